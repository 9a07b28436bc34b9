package examples_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/propagators/b3"
	otelpropagation "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

// costs are the cases in which this library and contrib/b3 are compared, each
// in the form that contrib is told to write.
var costs = []struct {
	name    string
	in      []string
	contrib otelpropagation.TextMapPropagator
}{
	{"several headers", walkthrough(), b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader))},
	{"one header", []string{requestID, otSpan, "b3: " + traceID + "-" + spanID + "-1-" + parentID}, b3.New()},
	{"nothing", nil, b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader))},
}

var sdks = []sampling{noopSDK, never, always}

// TestExtractAndInjectAllocateNoMoreThanContribs compares them as net/http's
// server calls them, whose strings need no copy. Where a span is sampled, ours
// writes W3C too, and is held against what it takes the place of: contrib's b3
// and TraceContext together.
func TestExtractAndInjectAllocateNoMoreThanContribs(t *testing.T) {
	served := context.WithValue(t.Context(), http.ServerContextKey, new(http.Server))
	for _, c := range costs {
		for _, s := range sdks {
			t.Run(c.name+", "+s.name, func(t *testing.T) {
				allocs := func(p otelpropagation.TextMapPropagator) float64 {
					provider, _ := s.provider(t)
					in := otelpropagation.HeaderCarrier(headers(c.in...))
					ctx, server := provider.Tracer("test").Start(p.Extract(served, in), "serve", trace.WithSpanKind(trace.SpanKindServer))
					defer server.End()
					ctx, client := provider.Tracer("test").Start(ctx, "call", trace.WithSpanKind(trace.SpanKindClient))
					defer client.End()
					out := http.Header{"Accept": {"*/*"}, "User-Agent": {"test"}}
					sent := out.Clone()
					extracted := context.Background()
					n := testing.AllocsPerRun(1000, func() {
						extracted = p.Extract(served, in)
						clear(sent)
						for name, values := range out {
							sent[name] = values
						}
						p.Inject(ctx, otelpropagation.HeaderCarrier(sent))
					})
					if len(c.in) > 0 {
						require.True(t, trace.SpanContextFromContext(extracted).IsRemote(), "nothing was extracted")
						require.Greater(t, len(sent), len(out), "nothing was injected")
					}
					return n
				}
				contrib := c.contrib
				if s.name == always.name {
					contrib = otelpropagation.NewCompositeTextMapPropagator(contrib, otelpropagation.TraceContext{})
				}
				ours, theirs := allocs(otelprop.Propagator{}), allocs(contrib)
				t.Logf("ours %v, contrib's %v", ours, theirs)
				assert.LessOrEqual(t, ours, theirs)
			})
		}
	}
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// BenchmarkOtelhttp is one request served and one call made meanwhile, both
// under otelhttp and with no network: with no propagator, with this library's
// and with contrib's.
func BenchmarkOtelhttp(b *testing.B) {
	for _, c := range costs {
		for _, s := range sdks {
			for _, p := range []struct {
				name       string
				propagator otelpropagation.TextMapPropagator
			}{
				{"none", otelpropagation.NewCompositeTextMapPropagator()},
				{"tracebaton", otelprop.Propagator{}},
				{"contrib", c.contrib},
			} {
				b.Run(c.name+"/"+s.name+"/"+p.name, func(b *testing.B) {
					provider, exporter := s.provider(b)
					options := []otelhttp.Option{otelhttp.WithTracerProvider(provider), otelhttp.WithPropagators(p.propagator)}
					client := otelhttp.NewTransport(roundTripFunc(func(*http.Request) (*http.Response, error) {
						return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
					}), options...)
					call := httptest.NewRequest(http.MethodGet, "http://httpbin:8000/ip", nil)
					call.Header = http.Header{"Accept": {"*/*"}, "User-Agent": {"test"}}
					handler := otelhttp.NewHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						res, err := client.RoundTrip(call.WithContext(r.Context()))
						if err == nil {
							err = res.Body.Close()
						}
						if err != nil {
							b.Error(err)
						}
					}), "serve", options...)
					req := httptest.NewRequest(http.MethodGet, "http://flaskapp/fetch_with_trace", nil)
					req.Header = headers(c.in...)
					w := discard{http.Header{}}
					b.ReportAllocs()
					n := 0
					for b.Loop() {
						handler.ServeHTTP(w, req)
						if n++; n%1024 == 0 {
							exporter.Reset()
						}
					}
				})
			}
		}
	}
}
