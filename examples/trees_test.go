package examples_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tracebaton/tracebaton/examples/internal/egress"
	"github.com/tracebaton/tracebaton/examples/internal/flaskapp"
	"github.com/tracebaton/tracebaton/examples/internal/httpbin"
	"github.com/tracebaton/tracebaton/examples/internal/sleep"
	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
)

// run lets sleep call httpbin through flaskapp, each behind its sidecars, with
// these headers. The services make spans unless they only relay.
func (m *mesh) run(t *testing.T, relay bool, in http.Header) []string {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	tracing := func(service string) *telemetry.Tracing {
		if relay {
			return nil
		}
		tr, err := telemetry.New(t.Context(), telemetry.Config{
			Service: service, Processor: sdktrace.NewSimpleSpanProcessor(m), Sampler: sdktrace.ParentBased(sdktrace.AlwaysSample()), Logger: quiet,
		})
		require.NoError(t, err)
		return tr
	}
	end := httpbin.New(httpbin.Config{Tracing: tracing("httpbin"), Logger: quiet})
	server := httptest.NewServer(m.sidecar("flaskapp-out", m.sidecar("httpbin-in", end)))
	defer server.Close()
	policy, err := egress.Parse("httpbin")
	require.NoError(t, err)
	middle := flaskapp.New(flaskapp.Config{
		Tracing: tracing("flaskapp"), Logger: quiet,
		Dialer: &egress.Dialer{Policy: policy, Resolve: func(string) string { return server.Listener.Addr().String() }},
	})
	begin := &sleep.Client{
		Tracing: tracing("sleep"),
		Base:    local{m.sidecar("sleep-out", m.sidecar("flaskapp-in", middle))},
	}
	answer, err := begin.Get(t.Context(), "http://flaskapp/fetch_with_trace?url=http://httpbin:8000/headers", in)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.Status, string(answer.Body))
	return m.traces()
}

func TestTheTreesOfTheExamplesComeOutAsOne(t *testing.T) {
	for _, e := range []envoy{zipkin139, zipkin140, zipkinW3C, openTelemetry} {
		for _, c := range caller {
			// Up to 1.39, Envoy believes b3 and does not renew it, so that what
			// the services do not renew hangs from it.
			flat := e == zipkin139 && strings.HasPrefix(c.name, "b3")

			t.Run("services that relay, "+c.name+" into "+e.String(), func(t *testing.T) {
				want := "sleep-out(flaskapp-in(flaskapp-out(httpbin-in)))"
				if flat {
					want = "flaskapp-in, flaskapp-out, httpbin-in, sleep-out"
				}
				// Nobody reads a trace in a format that the sidecars do not speak.
				if position := e.read(headers(c.headers...)); position.span != "" {
					want = "caller(" + want + ")"
				}
				assert.Equal(t, []string{want}, (&mesh{envoy: e}).run(t, true, headers(c.headers...)))
			})
			t.Run("services with an SDK, "+c.name+" into "+e.String(), func(t *testing.T) {
				want := "sleep's call(sleep-out(flaskapp-in(flaskapp(flaskapp's call(flaskapp-out(httpbin-in(httpbin)))))))"
				if flat {
					want = "sleep's call(flaskapp-in(flaskapp(flaskapp's call(flaskapp-out, httpbin-in(httpbin)))), sleep-out)"
				}
				if isPosition(c.headers) {
					want = "caller(" + want + ")"
				}
				assert.Equal(t, []string{want}, (&mesh{envoy: e}).run(t, false, headers(c.headers...)))
			})
		}
	}
}
