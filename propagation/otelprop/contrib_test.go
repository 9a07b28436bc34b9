package otelprop_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/contrib/propagators/b3"
	otelpropagation "go.opentelemetry.io/otel/propagation"

	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

// TestContribB3HarmsAServiceWithoutAnSDK holds the facts that the README
// states. When contrib/b3 mends one of them, the README is to follow.
func TestContribB3HarmsAServiceWithoutAnSDK(t *testing.T) {
	contrib := b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader))
	hop := func(p otelpropagation.TextMapPropagator, in, dst http.Header) http.Header {
		p.Inject(p.Extract(context.Background(), otelpropagation.HeaderCarrier(in)), otelpropagation.HeaderCarrier(dst))
		return dst
	}
	ids := func(lines ...string) http.Header {
		return header(append(lines, "x-b3-spanid: "+inSpan, "x-b3-sampled: 1")...)
	}
	for name, row := range map[string]struct{ in, contrib http.Header }{
		"it invents a decision not to sample":   {in: header(), contrib: header("x-b3-sampled: 0")},
		"it turns a decision around":            {in: header("x-b3-sampled: 1"), contrib: header("x-b3-sampled: 0")},
		"it pads a trace ID":                    {in: ids("x-b3-traceid: " + shortTrace), contrib: ids("x-b3-traceid: " + paddedTrace)},
		"it drops the parent":                   {in: ids("x-b3-traceid: "+inTrace, "x-b3-parentspanid: 0020000000000001"), contrib: ids("x-b3-traceid: " + inTrace)},
		"it leaves the request ID to the loop":  {in: header("x-request-id: r"), contrib: header("x-b3-sampled: 0")},
		"it speaks x-b3-* to whoever speaks b3": {in: header("b3: " + inTrace + "-" + inSpan + "-1"), contrib: ids("x-b3-traceid: " + inTrace)},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, row.contrib, hop(contrib, row.in, http.Header{}))
			assert.Equal(t, row.in, hop(otelprop.Propagator{}, row.in, http.Header{}), "ours")
		})
	}
	t.Run("it names a span that is not sampled", func(t *testing.T) {
		in := ids("x-b3-traceid: " + inTrace)
		inject := func(p otelpropagation.TextMapPropagator) http.Header {
			out := http.Header{}
			ctx := p.Extract(context.Background(), otelpropagation.HeaderCarrier(in))
			p.Inject(withSpan(ctx, id(t, inTrace), false), otelpropagation.HeaderCarrier(out))
			return out
		}
		assert.Equal(t, header("x-b3-traceid: "+inTrace, "x-b3-spanid: "+ownSpan, "x-b3-sampled: 0"), inject(contrib))
		assert.Equal(t, in, inject(otelprop.Propagator{}), "ours")
	})
}
