// Package grpc_test measures what it costs to pass trace headers on over gRPC.
package grpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	otel "go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tracebaton/tracebaton/middleware/grpcrelay"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

// six are the headers of a traced request in an Istio mesh.
var six = metadata.Pairs(
	"x-request-id", "5f2c1c9a-77b3-9f0e-a2fd-8d1a3f6f8f2f",
	"x-b3-traceid", "463ac35c9f6413ad48485a3953bb6124",
	"x-b3-spanid", "a2fb4a1d1a96d312",
	"x-b3-parentspanid", "0020000000000001",
	"x-b3-sampled", "1",
	"traceparent", "00-463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-01",
)

// peer is a row: what is installed on both sides of a connection, and what a
// service's context has of the request that it serves.
type peer struct {
	name   string
	server []grpc.ServerOption
	client []grpc.DialOption
	ctx    context.Context
}

func peers() []peer {
	relayed := grpcrelay.Incoming(metadata.NewIncomingContext(context.Background(), six), propagation.Istio())
	server := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(grpcrelay.UnaryServerInterceptor(propagation.Istio())),
		grpc.ChainStreamInterceptor(grpcrelay.StreamServerInterceptor(propagation.Istio())),
	}
	client := []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(grpcrelay.UnaryClientInterceptor()),
		grpc.WithChainStreamInterceptor(grpcrelay.StreamClientInterceptor()),
	}
	// The baselines write the same bytes, which were made beforehand.
	written := metadata.NewOutgoingContext(context.Background(), six)
	all := []peer{
		{"baseline", nil, nil, written},
		{"grpcrelay", server, client, relayed},
		{"grpcrelay-server", server, nil, written},
		{"grpcrelay-client", nil, client, relayed},
	}
	for _, sampler := range []struct {
		name     string
		provider trace.TracerProvider
	}{{"noop", noop.NewTracerProvider()}, {"sampled", sdk.NewTracerProvider()}} {
		for _, p := range []struct {
			name       string
			propagator otel.TextMapPropagator
		}{{"w3c", otel.TraceContext{}}, {"ours", otelprop.Propagator{}}} {
			opts := []otelgrpc.Option{otelgrpc.WithTracerProvider(sampler.provider), otelgrpc.WithPropagators(p.propagator)}
			all = append(all, peer{
				"otelgrpc-" + sampler.name + "-" + p.name,
				[]grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(opts...))},
				[]grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler(opts...))},
				p.propagator.Extract(context.Background(), carrier(six)),
			})
		}
	}
	return all
}

// carrier is metadata as OpenTelemetry's propagators read it.
type carrier metadata.MD

func (c carrier) Get(name string) string {
	if v := c[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (c carrier) Set(name, value string) { c[name] = []string{value} }

func (c carrier) Keys() (names []string) {
	for name := range c {
		names = append(names, name)
	}
	return names
}

// service answers at once, and shows the last call's metadata and context.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	seen func(context.Context)
}

func (s service) EmptyCall(ctx context.Context, in *testgrpc.Empty) (*testgrpc.Empty, error) {
	s.seen(ctx)
	return in, nil
}

func (s service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	s.seen(stream.Context())
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: in.Payload}); err != nil {
			return err
		}
	}
}

func (p peer) connect(tb testing.TB, seen func(context.Context)) testgrpc.TestServiceClient {
	listener := bufconn.Listen(1 << 20)
	s := grpc.NewServer(p.server...)
	testgrpc.RegisterTestServiceServer(s, service{seen: seen})
	go func() { _ = s.Serve(listener) }()
	tb.Cleanup(s.Stop)
	conn, err := grpc.NewClient("passthrough:///bufconn", append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
	}, p.client...)...)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	return testgrpc.NewTestServiceClient(conn)
}

func run(b *testing.B, prepare func(testing.TB, context.Context, testgrpc.TestServiceClient) func() error) {
	for _, p := range peers() {
		b.Run("by="+p.name, func(b *testing.B) {
			call := prepare(b, p.ctx, p.connect(b, func(context.Context) {}))
			require.NoError(b, call()) // the connection is there
			b.ReportAllocs()
			start := cpu()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
			if spent := cpu() - start; spent > 0 {
				b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "cpu-ns/op")
			}
		})
	}
}

// BenchmarkUnary is a unary call.
func BenchmarkUnary(b *testing.B) {
	run(b, func(_ testing.TB, ctx context.Context, client testgrpc.TestServiceClient) func() error {
		return func() error {
			_, err := client.EmptyCall(ctx, &testgrpc.Empty{})
			return err
		}
	})
}

// BenchmarkStream is a stream that is opened and closed, without a message.
func BenchmarkStream(b *testing.B) {
	run(b, func(_ testing.TB, ctx context.Context, client testgrpc.TestServiceClient) func() error {
		return func() error {
			stream, err := client.FullDuplexCall(ctx)
			if err != nil {
				return err
			}
			return closeStream(stream)
		}
	})
}

func closeStream(stream testgrpc.TestService_FullDuplexCallClient) error {
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the stream does not end: %w", err)
	}
	return nil
}

// BenchmarkMessage is a message there and back over a stream that is open.
func BenchmarkMessage(b *testing.B) {
	run(b, func(tb testing.TB, ctx context.Context, client testgrpc.TestServiceClient) func() error {
		stream, err := client.FullDuplexCall(ctx)
		require.NoError(tb, err)
		tb.Cleanup(func() { assert.NoError(tb, closeStream(stream)) })
		return func() error {
			if err := stream.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
				return err
			}
			_, err := stream.Recv()
			return err
		}
	})
}

// BenchmarkAlone is what the interceptors do, without a network: metadata with
// six headers and four others into a context, and six headers from a context into
// metadata.
func BenchmarkAlone(b *testing.B) {
	others := metadata.Pairs(":authority", "reviews", "content-type", "application/grpc", "user-agent", "grpc-go", "grpc-accept-encoding", "gzip")
	in := metadata.NewIncomingContext(context.Background(), metadata.Join(six, others))
	none := metadata.NewIncomingContext(context.Background(), others)
	out := grpcrelay.Incoming(in, propagation.Istio())
	for _, row := range []struct {
		name string
		do   func() context.Context
	}{
		{"incoming", func() context.Context { return grpcrelay.Incoming(in, propagation.Istio()) }},
		{"incoming-none", func() context.Context { return grpcrelay.Incoming(none, propagation.Istio()) }},
		{"outgoing", func() context.Context { return grpcrelay.Outgoing(out) }},
		{"outgoing-none", func() context.Context { return grpcrelay.Outgoing(none) }},
		{"append-loop", func() context.Context {
			ctx := out
			for name, value := range propagation.FromContext(out).All() {
				ctx = metadata.AppendToOutgoingContext(ctx, name, value)
			}
			return ctx
		}},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = row.do()
			}
		})
	}
}

var sink context.Context

// TestEveryRowDoesItsWork says what each row is timed doing.
func TestEveryRowDoesItsWork(t *testing.T) {
	for _, p := range peers() {
		t.Run(p.name, func(t *testing.T) {
			contexts := make(chan context.Context, 2)
			client := p.connect(t, func(ctx context.Context) { contexts <- ctx })
			_, err := client.EmptyCall(p.ctx, &testgrpc.Empty{})
			require.NoError(t, err)
			stream, err := client.FullDuplexCall(p.ctx)
			require.NoError(t, err)
			require.NoError(t, closeStream(stream))
			for range 2 {
				assertRow(<-contexts, t, p)
			}
		})
	}
}

func assertRow(ctx context.Context, t *testing.T, p peer) {
	t.Helper()
	got, _ := metadata.FromIncomingContext(ctx)
	for name, values := range six {
		switch {
		case name == "traceparent" && p.name == "otelgrpc-noop-w3c":
			assert.Equal(t, values, got[name])
		case p.name == "otelgrpc-noop-w3c", p.name == "otelgrpc-sampled-w3c" && name != "traceparent":
			assert.NotContains(t, got, name)
		case p.name == "otelgrpc-sampled-w3c", p.name == "otelgrpc-sampled-ours" && name != "x-request-id" && name != "x-b3-parentspanid":
			require.Len(t, got[name], 1)
			if name == "traceparent" || name == "x-b3-spanid" {
				assert.NotEqual(t, values, got[name], "no span of its own")
			}
		case p.name == "otelgrpc-sampled-ours" && name == "x-b3-parentspanid":
			assert.NotContains(t, got, name)
		default:
			assert.Equal(t, values, got[name], name)
		}
	}
	carried := propagation.FromContext(ctx).Get("x-request-id")
	if strings.HasPrefix(p.name, "otelgrpc") {
		assert.Equal(t, "463ac35c9f6413ad48485a3953bb6124", trace.SpanContextFromContext(ctx).TraceID().String())
		assert.Equal(t, strings.HasSuffix(p.name, "ours"), carried != "")
	} else {
		assert.Equal(t, p.name == "grpcrelay" || p.name == "grpcrelay-server", carried != "")
	}
}
