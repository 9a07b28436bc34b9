package grpcrelay_test

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	"github.com/tracebaton/tracebaton/middleware/grpcrelay"
	"github.com/tracebaton/tracebaton/propagation"
)

// FuzzOutgoing sends whatever headers came in over HTTP with a call over gRPC:
// the call succeeds, and what arrives is of what came in.
func FuzzOutgoing(f *testing.F) {
	f.Add("x-request-id: 1\ntraceparent: 2\ntracestate: é\na+b: 3\nplain: 4", "")
	f.Add("grpc-trace-bin: AAE=,AQ\ngrpc-trace-bin: \ngrpc-trace-bin: $", "grpc-trace-bin")
	f.Add("end-user: "+strings.Repeat("u", 4100)+"\nbaggage: a=b\tc", "B3")
	f.Add("tracestate: "+strings.Repeat("t", 3000)+"\ntracestate: "+strings.Repeat("t", 3000)+"\nb3: 0", "x-request-id")
	u := newUpstream(f)
	client := u.connect(sending()...)
	families := everything.With(propagation.Custom("a+b", "plain"), propagation.Custom("dots.and_", "~"))
	f.Fuzz(func(t *testing.T, lines, own string) {
		ctx := received(families, strings.Split(lines, "\n")...)
		h := propagation.FromContext(ctx)
		// gRPC refuses the two, and the call, whoever sets them.
		if slices.Contains(families.Names(), strings.ToLower(own)) && own != "~" && !strings.EqualFold(own, "a+b") {
			ctx = metadata.AppendToOutgoingContext(ctx, own, "the caller's")
		}
		require.NoError(t, kinds["a unary call"](ctx, client))
		got := u.arrived()[0]
		if own := strings.ToLower(own); got[own] != nil && slices.Contains(got[own], "the caller's") {
			assert.Equal(t, []string{"the caller's"}, got[own])
			delete(got, own)
		}
		assert.LessOrEqual(t, weight(got), 4096)
		for name, values := range got {
			if !strings.HasSuffix(name, "-bin") {
				assert.Equal(t, h.Values(name), values)
			}
			for _, v := range values {
				assert.NotEmpty(t, v)
			}
		}
	})
}

// FuzzIncoming receives whatever metadata there is, and sends it on: bytes
// arrive as they came.
func FuzzIncoming(f *testing.F) {
	f.Add("\x00\x01", "é", "a=1")
	f.Add("", " ", "\n")
	f.Add("AAE=", "~", "")
	f.Fuzz(func(t *testing.T, bytes, custom, state string) {
		in := metadata.MD{"grpc-trace-bin": {bytes}, "end-user": {custom}, "tracestate": {state}}
		ctx := grpcrelay.Incoming(metadata.NewIncomingContext(context.Background(), in), everything)
		if got := propagation.FromContext(ctx).Get("grpc-trace-bin"); len(bytes) > 0 && len(bytes) < 6000 {
			want, err := base64.RawStdEncoding.DecodeString(got)
			require.NoError(t, err)
			assert.Equal(t, bytes, string(want))
		}
		for name, values := range outgoing(ctx) {
			assert.Equal(t, in[name], values)
		}
	})
}
