package integration_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	otel "go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/tracebaton/tracebaton/integration/envoy"
	"github.com/tracebaton/tracebaton/propagation"
)

// A gRPC service between its sidecar's inbound and outbound listeners: the
// sidecar makes the spans, and only the service can tell it that the two belong
// together.
func TestAGRPCServiceBesideEnvoyKeepsTheTraceWhole(t *testing.T) {
	for _, binary := range envoy.NeedAll(t) {
		for _, tracer := range []envoy.Tracer{envoy.Zipkin, envoy.OpenTelemetry} {
			t.Run(binary.Version+", "+string(tracer)+", relaying", func(t *testing.T) {
				besideEnvoy(t, binary, tracer, serverInterceptors(propagation.Istio()), clientInterceptors(), 1)
			})
			t.Run(binary.Version+", "+string(tracer)+", not", func(t *testing.T) {
				besideEnvoy(t, binary, tracer, nil, nil, 2)
			})
		}
		t.Run(binary.Version+", zipkin, with TraceContext, relaying B3", func(t *testing.T) {
			opts, dial := beside(otel.TraceContext{}, notW3C)
			besideEnvoy(t, binary, envoy.Zipkin, opts, dial, 1)
		})
		t.Run(binary.Version+", zipkin, with TraceContext, not relaying B3", func(t *testing.T) {
			opts, dial := beside(otel.TraceContext{}, propagation.Of(propagation.RequestID))
			besideEnvoy(t, binary, envoy.Zipkin, opts, dial, 2)
		})
	}
}

func besideEnvoy(t *testing.T, binary envoy.Binary, tracer envoy.Tracer, opts []grpc.ServerOption, dial []grpc.DialOption, traces int) {
	spans := envoy.Collect(t)
	arrived := make(chan metadata.MD, 10)
	upstream := serveGRPC(t, func(g *grpc.Server) {
		testgrpc.RegisterTestServiceServer(g, testService{do: func(ctx context.Context) error {
			md, _ := metadata.FromIncomingContext(ctx)
			arrived <- md
			return nil
		}})
	})
	// The service is told where its sidecar is once that is there.
	var out atomic.Pointer[grpc.ClientConn]
	service := serveGRPC(t, func(g *grpc.Server) {
		testgrpc.RegisterTestServiceServer(g, testService{do: func(ctx context.Context) error {
			kind := "a stream"
			if method, _ := grpc.Method(ctx); strings.HasSuffix(method, "/EmptyCall") {
				kind = "a unary call"
			}
			return grpcCalls[kind](ctx, out.Load())
		}})
	}, opts...)
	sidecar := envoy.Start(t, binary, envoy.Config{
		Service: "reviews.tracebaton", Zipkin: spans.Addr, OTLP: spans.Addr,
		Listeners: []envoy.Listener{
			{Name: "inbound", Inbound: true, Upstream: service, Operation: "in", Tracer: tracer, GRPC: true},
			{Name: "outbound", Upstream: upstream, Operation: "out", Tracer: tracer, GRPC: true},
		},
	})
	out.Store(dialGRPC(t, sidecar.Addr("outbound"), dial...))
	in := dialGRPC(t, sidecar.Addr("inbound"))
	written := map[envoy.Tracer]string{envoy.Zipkin: "x-b3-traceid", envoy.OpenTelemetry: "traceparent"}[tracer]
	for kind, call := range grpcCalls {
		require.NoError(t, call(t.Context(), in), kind)
		sidecar.Settle(t)
		all, err := spans.Take()
		require.NoError(t, err)
		require.Len(t, all, 2, kind)
		server, client := all[0], all[1]
		if server.Kind != "server" {
			server, client = client, server
		}
		assert.Len(t, map[string]bool{server.Trace: true, client.Trace: true}, traces, kind)
		if traces == 1 {
			assert.Equal(t, server.ID, client.Parent, kind)
		}
		md := <-arrived
		require.Len(t, md[written], 1, "the upstream gets %s once", written)
		assert.Contains(t, md[written][0], client.Trace)
	}
}
