package propagation_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	otelprop "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/propagation"
)

// FuzzMapCarrier checks that headers mean the same in a map, such as those of
// a message, as in a request.
func FuzzMapCarrier(f *testing.F) {
	f.Add("b3: "+inTrace+"-"+inSpan+"-1", uint8(0))
	families := propagation.Istio().With(propagation.Baggage, propagation.Datadog)
	p := propagation.Propagator{Families: families}
	f.Fuzz(func(t *testing.T, lines string, span uint8) {
		inHeader, inMap := http.Header{}, otelprop.MapCarrier{}
		for name, values := range header(strings.Split(lines, "\n")...) {
			if lower := strings.ToLower(name); slices.Contains(p.Fields(), lower) {
				inHeader[name] = values[:1]
				inMap[lower] = values[0]
			}
		}
		a := p.Extract(context.Background(), otelprop.HeaderCarrier(inHeader))
		b := p.Extract(context.Background(), inMap)
		parent := trace.SpanContextFromContext(a)
		require.Equal(t, parent, trace.SpanContextFromContext(b))

		switch span % 3 {
		case 1:
			a, b = withSpan(a, parent.TraceID(), true), withSpan(b, parent.TraceID(), true)
		case 2:
			a, b = withSpan(a, trace.TraceID{1}, span > 100), withSpan(b, trace.TraceID{1}, span > 100)
		}
		outHeader, outMap := http.Header{}, otelprop.MapCarrier{}
		p.Inject(a, otelprop.HeaderCarrier(outHeader))
		p.Inject(b, outMap)
		want := otelprop.MapCarrier{}
		for name, values := range outHeader {
			want[strings.ToLower(name)] = values[0]
		}
		require.Equal(t, want, outMap)
	})
}

// FuzzCustom checks that a custom header is refused when the program starts,
// or is relayed whatever its name.
func FuzzCustom(f *testing.F) {
	f.Add("end-user", "jason")
	f.Fuzz(func(t *testing.T, name, value string) {
		var family propagation.Family
		refused := func() (v any) {
			defer func() { v = recover() }()
			family = propagation.Custom(name)
			return nil
		}()
		if refused != nil {
			require.Contains(t, refused, "propagation: cannot relay ")
			return
		}
		lower := strings.ToLower(name)
		for _, hop := range []string{"connection", "te", "trailer", "transfer-encoding", "upgrade", "host", "cookie", "authorization", "proxy-authorization", "content-length"} {
			require.NotEqual(t, hop, lower)
		}
		in := http.Header{}
		in.Set(name, value)
		out := inject(propagation.Of(family).Extract(in))
		r, err := http.NewRequest(http.MethodGet, "http://httpbin/", nil)
		require.NoError(t, err)
		r.Header = out
		_, err = refuses.RoundTrip(r) //nolint:bodyclose // there is no response
		require.ErrorIs(t, err, errDialed)
		if r.Header = in; len(out) == 0 && len(value) <= 8192 && strings.Trim(value, " \t") != "" {
			_, err = refuses.RoundTrip(r) //nolint:bodyclose // there is no response
			require.NotErrorIs(t, err, errDialed, "%q: %q is not relayed, and net/http would send it", name, value)
		} else if len(out) > 0 {
			require.Equal(t, in, out)
		}
	})
}
