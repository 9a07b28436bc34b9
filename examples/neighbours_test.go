package examples_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/propagators/b3"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

// neighbours are the services that ours may stand next to. All make spans.
var neighbours = []struct {
	name       string
	propagator propagation.TextMapPropagator
}{
	{"no propagator", propagation.NewCompositeTextMapPropagator()},
	{"TraceContext", propagation.TraceContext{}},
	{"contrib's b3", b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader))},
	{"ours", otelprop.Propagator{}},
}

// service returns a service that makes spans and, unless next is nil, calls it.
func (m *mesh) service(name string, p propagation.TextMapPropagator, next http.Handler) http.Handler {
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(m), sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", name))))
	options := []otelhttp.Option{otelhttp.WithTracerProvider(provider), otelhttp.WithPropagators(p)}
	client := otelhttp.NewTransport(local{next}, options...)
	return otelhttp.NewHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if next == nil {
			return
		}
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://next/", nil)
		if err != nil {
			panic(err)
		}
		res, err := client.RoundTrip(req)
		if err != nil {
			panic(err)
		}
		_ = res.Body.Close()
	}), "", options...)
}

// What becomes of two services that make spans, and of the sidecars between
// them.
const (
	cut   = "cut"   // more than one trace
	flat  = "flat"  // one trace, and a span hangs from a stale parent
	right = "right" // one trace, and every span below the one before
)

func TestAServiceNextToOursStaysInTheTrace(t *testing.T) {
	type grid [4][4]string // upstream and downstream, in the order of neighbours
	for _, row := range []struct {
		envoy envoy
		grid  grid
	}{
		{noEnvoy, grid{
			{cut, cut, cut, cut},
			{cut, right, cut, right},
			{cut, cut, right, right},
			{cut, right, right, right},
		}},
		{zipkin139, grid{
			{cut, cut, cut, cut},
			{cut, cut, cut, cut},
			{cut, cut, right, right},
			{cut, flat, right, right},
		}},
		{zipkin140, grid{
			{cut, cut, cut, cut},
			{cut, cut, cut, cut},
			{cut, cut, right, right},
			{cut, flat, right, right},
		}},
		{zipkinW3C, grid{
			{cut, cut, cut, cut},
			{cut, right, right, right},
			{cut, right, right, right},
			{cut, right, right, right},
		}},
		{openTelemetry, grid{
			{cut, cut, cut, cut},
			{cut, right, cut, right},
			{cut, cut, cut, cut},
			{cut, right, flat, right},
		}},
	} {
		for i, up := range neighbours {
			for j, down := range neighbours {
				for _, c := range caller {
					t.Run(fmt.Sprintf("%s: %s, %s, called with %s", row.envoy, up.name, down.name, c.name), func(t *testing.T) {
						want := row.grid[i][j]
						if want == right && row.envoy == zipkin139 && up.name == "ours" && strings.HasPrefix(c.name, "b3") {
							want = flat // this Envoy believes b3, which it does not renew
						}
						got, trees := between(row.envoy, up.propagator, down.propagator, c.headers)
						assert.Equal(t, want, got, trees)
						if up.name == "ours" {
							assert.Equal(t, isPosition(c.headers), strings.Contains(strings.Join(trees, " "), "caller(upstream("), "the caller's trace goes on: %s", trees)
						}
					})
				}
			}
		}

		// Two services cannot be joined where sidecars have cut the upstream
		// one off: it is cut off from its own kind, too.
		const ours = 3
		for i, up := range neighbours {
			if i > 0 {
				assert.NotEqual(t, cut, row.grid[ours][i], "%s: %s downstream of ours", row.envoy, up.name)
				assert.Equal(t, row.grid[i][i], row.grid[i][ours], "%s: %s upstream of ours is as well off as among its own", row.envoy, up.name)
			}
		}
	}
}

// between runs a request through both services and the sidecars between them.
func between(e envoy, up, down propagation.TextMapPropagator, in []string) (verdict string, trees []string) {
	m := &mesh{envoy: e}
	b := m.sidecar("upstream-out", m.sidecar("downstream-in", m.service("downstream", down, nil)))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = headers(in...)
	m.service("upstream", up, b).ServeHTTP(httptest.NewRecorder(), r)
	trees = m.traces()
	chain := "upstream(upstream's call(upstream-out(downstream-in(downstream))))"
	if e == noEnvoy {
		chain = "upstream(upstream's call(downstream))"
	}
	switch {
	case len(trees) > 1:
		return cut, trees
	case !strings.Contains(trees[0], chain):
		return flat, trees
	}
	return right, trees
}

// isPosition reports whether the headers name a span.
func isPosition(in []string) bool { return strings.Contains(strings.Join(in, ""), spanID) }
