//go:build !race

package grpcrelay_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/tracebaton/tracebaton/middleware/grpcrelay"
	"github.com/tracebaton/tracebaton/propagation"
)

// withSix returns a context that carries the six headers of a traced request.
func withSix() context.Context {
	return grpcrelay.Incoming(metadata.NewIncomingContext(context.Background(), metadata.Pairs(six...)), propagation.Istio())
}

func TestReceivingAndSendingSixHeadersTakesSevenAllocationsAndFour(t *testing.T) {
	others := []string{":authority", "a", "content-type", "b", "user-agent", "c", "grpc-accept-encoding", "d"}
	in := metadata.NewIncomingContext(t.Context(), metadata.Pairs(append(others, six...)...))
	allocate(t, 7, "Incoming", func() { sink = grpcrelay.Incoming(in, propagation.Istio()) })
	ctx := withSix()
	allocate(t, 4, "Outgoing", func() { sink = grpcrelay.Outgoing(ctx) })
}

func TestWithoutHeadersNothingIsAllocated(t *testing.T) {
	in := metadata.NewIncomingContext(t.Context(), metadata.Pairs("content-type", "a", "user-agent", "b"))
	out := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("authorization", "secret"))
	allocate(t, 0, "Incoming", func() { sink = grpcrelay.Incoming(in, propagation.Istio()) })
	allocate(t, 0, "Outgoing", func() { sink = grpcrelay.Outgoing(out) })
}

// sink keeps results from being optimized away.
var sink context.Context

func allocate(t *testing.T, most float64, what string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(1000, f); n > most {
		t.Errorf("%s allocates %v times, want %v at most", what, n, most)
	} else {
		t.Logf("%s allocates %v times", what, n)
	}
}

// setups are a connection without the interceptors, which carries the six
// headers all the same, and one with those of both sides.
func setups(t *testing.T) map[bool]func() (context.Context, testgrpc.TestServiceClient) {
	null := func(context.Context) error { return nil }
	plain, relayed := serve(t, null)(), serve(t, null, relaying(propagation.Istio())...)(sending()...)
	caller, carrying := metadata.NewOutgoingContext(t.Context(), metadata.Pairs(six...)), withSix()
	return map[bool]func() (context.Context, testgrpc.TestServiceClient){
		false: func() (context.Context, testgrpc.TestServiceClient) { return caller, plain },
		true:  func() (context.Context, testgrpc.TestServiceClient) { return carrying, relayed },
	}
}

// added returns how many allocations, in client and server together, the
// interceptors add to what do does. Others allocate meanwhile: the least of
// several runs counts.
func added(t *testing.T, do func(context.Context, testgrpc.TestServiceClient)) float64 {
	least := map[bool]float64{}
	for relay, setup := range setups(t) {
		ctx, client := setup()
		for i := range 5 {
			n := testing.AllocsPerRun(200, func() { do(ctx, client) })
			if i == 0 || n < least[relay] {
				least[relay] = n
			}
		}
	}
	t.Logf("%v allocations, and %v with interceptors", least[false], least[true])
	return least[true] - least[false]
}

func TestAUnaryCallTakesFourteenAllocationsMoreOnBothSidesTogether(t *testing.T) {
	n := added(t, func(ctx context.Context, c testgrpc.TestServiceClient) {
		_, err := c.EmptyCall(ctx, &testgrpc.Empty{})
		require.NoError(t, err)
	})
	assert.LessOrEqual(t, n, 14.0)
}

func TestAStreamedMessageTakesNoAllocationMore(t *testing.T) {
	streams := make(map[testgrpc.TestServiceClient]testgrpc.TestService_FullDuplexCallClient)
	n := added(t, func(ctx context.Context, c testgrpc.TestServiceClient) {
		stream := streams[c]
		if stream == nil {
			var err error
			stream, err = c.FullDuplexCall(ctx)
			require.NoError(t, err)
			streams[c] = stream
		}
		require.NoError(t, stream.Send(&testgrpc.StreamingOutputCallRequest{}))
		_, err := stream.Recv()
		require.NoError(t, err)
	})
	assert.LessOrEqual(t, n, 0.0)
	for _, stream := range streams {
		require.NoError(t, stream.CloseSend())
		_, err := stream.Recv()
		require.Equal(t, io.EOF, err)
	}
}
