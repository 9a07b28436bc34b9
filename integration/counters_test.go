package integration_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/envoy"
	"github.com/tracebaton/tracebaton/integration/process"
)

// What docs/istio.md says of Envoy's counters of a request: wanted is which of the
// listener's counts it, and sent how many spans are counted.
var counted = []struct {
	says   string
	rate   string // of the listener
	in     []string
	wanted string
	sent   int

	tracer       envoy.Tracer // empty: all of them
	since, until string       // minor versions; empty: the oldest, the newest
}{
	{says: "sampling picked it", rate: "100", wanted: "random_sampling", sent: 1},
	{says: "sampling did not", rate: "0", wanted: "not_traceable"},
	{says: "its ID says that sampling picked it", rate: "0", in: []string{"x-request-id: R9"}, wanted: "random_sampling", sent: 1},
	{says: "its ID says that a service forced it", rate: "0", in: []string{"x-request-id: Ra"}, wanted: "service_forced", sent: 1},
	{says: "its ID says that a client asked for it", rate: "0", in: []string{"x-request-id: Rb"}, wanted: "client_enabled", sent: 1},
	{says: "a client asks for it", rate: "0", in: []string{"x-client-trace-id: me"}, wanted: "client_enabled", sent: 1},
	{says: "its ID has no eight hexadecimal digits in front", rate: "100", in: []string{"x-request-id: hello-world"}, wanted: "not_traceable"},
	{says: "B3's no is not seen", rate: "100", in: []string{"x-b3-sampled: 0"}, wanted: "random_sampling", tracer: envoy.Zipkin},
	{says: "B3's yes is not seen", rate: "0", in: []string{"x-b3-sampled: 1"}, wanted: "not_traceable", sent: 1, tracer: envoy.Zipkin},
	{says: "an ID in B3 that cannot be read is not seen", rate: "100", in: []string{"x-b3-traceid: zz", "x-b3-spanid: S"}, wanted: "random_sampling", tracer: envoy.Zipkin},
	{says: "W3C's no is not seen", rate: "100", in: []string{"traceparent: 00-T-S-00"}, wanted: "random_sampling", tracer: envoy.OpenTelemetry},
	{says: "W3C's yes is not seen", rate: "0", in: []string{"traceparent: 00-T-S-01"}, wanted: "not_traceable", sent: 1, tracer: envoy.OpenTelemetry, until: "1.38"},
	{says: "W3C's yes is not seen, and makes no span", rate: "0", in: []string{"traceparent: 00-T-S-01"}, wanted: "not_traceable", tracer: envoy.OpenTelemetry, since: "1.39"},
	{says: "a traceparent that cannot be read is not seen", rate: "100", in: []string{"traceparent: hello"}, wanted: "random_sampling", tracer: envoy.OpenTelemetry},
}

// spansCounters are how Envoy's tracers name themselves in their counters.
var spansCounters = map[envoy.Tracer]string{envoy.Zipkin: "tracing.zipkin.", envoy.ZipkinW3C: "tracing.zipkin.", envoy.OpenTelemetry: "tracing.opentelemetry."}

func TestCountersOfRequests(t *testing.T) {
	for _, binary := range envoy.NeedAll(t) {
		for format, tracer := range formats {
			t.Run(binary.Version+" in "+format, func(t *testing.T) {
				p := countingSidecar(t, binary, tracer, envoy.Collect(t).Addr)
				for _, tt := range counted {
					if !(statement{since: tt.since, until: tt.until}).appliesTo(binary) || tt.tracer != "" && tt.tracer != tracer {
						continue
					}
					t.Run(tt.says, func(t *testing.T) {
						before := counters(t, p)
						request(t, p, "at-"+tt.rate, tt.in)
						p.Settle(t)
						got := map[string]int{}
						for name, value := range counters(t, p) {
							if n := value - before[name]; n != 0 && !strings.Contains(name, ".reports_") {
								got[name] = n
							}
						}
						want := map[string]int{"http.at-" + tt.rate + ".tracing." + tt.wanted: 1}
						if tt.sent > 0 {
							want[spansCounters[tracer]+"spans_sent"] = tt.sent
						}
						require.Equal(t, want, got)
					})
				}
			})
		}
	}
}

// A collector that is not there is seen in the counters of Zipkin's tracer alone.
func TestCountersOfSpansThatAreLost(t *testing.T) {
	for _, binary := range envoy.NeedAll(t) {
		for format, tracer := range formats {
			t.Run(binary.Version+" in "+format, func(t *testing.T) {
				p := countingSidecar(t, binary, tracer, process.FreeAddr(t))
				request(t, p, "at-100", nil)
				want := map[string]int{"http.at-100.tracing.random_sampling": 1, spansCounters[tracer] + "spans_sent": 1}
				if tracer != envoy.OpenTelemetry {
					want["tracing.zipkin.reports_dropped"] = 1
				}
				require.EventuallyWithT(t, func(c *assert.CollectT) {
					assert.Equal(c, want, nonzero(counters(t, p)))
				}, patience, 20*time.Millisecond)
			})
		}
	}
}

// countingSidecar has a listener at-0 that keeps no trace that begins there, and
// at-100 that keeps all.
func countingSidecar(t *testing.T, binary envoy.Binary, tracer envoy.Tracer, collector string) *envoy.Proxy {
	t.Helper()
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(service.Close)
	c := envoy.Config{Service: "sidecar", Zipkin: collector, OTLP: collector}
	for _, rate := range []string{"0", "100"} {
		c.Listeners = append(c.Listeners, envoy.Listener{
			Name: "at-" + rate, Upstream: service.Listener.Addr().String(), Inbound: true, Operation: "call", Tracer: tracer, Sampling: rate,
		})
	}
	return envoy.Start(t, binary, c)
}

func request(t *testing.T, p *envoy.Proxy, listener string, lines []string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.Addr(listener), nil)
	require.NoError(t, err)
	for _, line := range lines {
		name, value := split(line)
		req.Header.Add(name, expand(value))
	}
	resp, err := (&http.Client{Timeout: patience}).Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// counters are what docs/istio.md asks a sidecar for.
func counters(t *testing.T, p *envoy.Proxy) map[string]int {
	t.Helper()
	stats, err := p.Stats("tracing")
	require.NoError(t, err)
	return stats
}

func nonzero(stats map[string]int) map[string]int {
	found := map[string]int{}
	for name, value := range stats {
		if value != 0 {
			found[name] = value
		}
	}
	return found
}
