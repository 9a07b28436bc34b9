package integration_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/envoy"
	"github.com/tracebaton/tracebaton/integration/process"
)

// relay is a row of the table in docs/headers.md of what a service between two
// pairs of sidecars makes of a trace:
//
//	client's, outbound > service's, inbound > service's, outbound > server's, inbound
type relay struct {
	says         string
	tracer       envoy.Tracer
	in           []string                  // the client's header lines, as in statements
	first        string                    // sampling at the client's sidecar
	rest         string                    // at the three others
	sends        func(in, out http.Header) // what the service takes from its request for its call
	traces       string                    // how many spans each trace has, and whether they are a chain
	since, until string
}

func relaying(names ...string) func(in, out http.Header) {
	return func(in, out http.Header) {
		for _, name := range names {
			if values := in.Values(name); len(values) > 0 {
				out[http.CanonicalHeaderKey(name)] = values
			}
		}
	}
}

// copying is the loop of many examples, which sends what is absent empty.
func copying(names ...string) func(in, out http.Header) {
	return func(in, out http.Header) {
		for _, name := range names {
			out.Set(name, in.Get(name))
		}
	}
}

var (
	xb3 = []string{"x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"}
	w3c = []string{"traceparent", "tracestate"}
)

var relays = []relay{
	{says: "all", sends: relaying(append(xb3, "b3")...), traces: "4 in a chain"},
	{says: "nothing", sends: relaying(), traces: "2 in a chain, 2 in a chain"},
	{says: "`x-request-id` alone: the decision goes on, the trace does not", rest: "0", sends: relaying("x-request-id"), traces: "2 in a chain, 2 in a chain"},
	{says: "`x-request-id` alone, after a yes in `x-b3-sampled`: it says no to the next", first: "0", rest: "0", in: []string{"x-b3-sampled: 1"}, sends: relaying("x-request-id"), traces: "2 in a chain"},
	{says: "`x-request-id` alone, after a no in `x-b3-sampled`: it says yes to the next", in: []string{"x-b3-sampled: 0"}, sends: relaying("x-request-id"), traces: "2 in a chain"},
	{says: "all but `x-b3-parentspanid`", sends: relaying("x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled"), traces: "4 in a chain"},
	{says: "all, a 64-bit trace ID padded with zeros", in: []string{"x-b3-traceid: t", "x-b3-spanid: S", "x-b3-sampled: 1"}, sends: func(in, out http.Header) {
		relaying(xb3...)(in, out)
		out.Set("X-B3-Traceid", "0000000000000000"+out.Get("X-B3-Traceid"))
	}, traces: "4 in a chain"},
	{says: "all, and an empty `x-b3-*` where one is absent", sends: copying(xb3...), traces: "4 in a chain"},
	{says: "all, and an empty `b3` where it is absent", sends: copying(append(xb3, "b3")...), traces: "2 in a chain"},
	{says: "all, and `x-b3-sampled: 0`", sends: func(in, out http.Header) {
		relaying(xb3...)(in, out)
		out.Set("X-B3-Sampled", "0")
	}, traces: "2 in a chain"},
	{says: "all; a client has sent `b3`", until: "1.39", in: []string{"b3: T-S-1"}, sends: relaying(append(xb3, "b3")...), traces: "4 side by side"},
	{says: "all; a client has sent `b3`", since: "1.40", in: []string{"b3: T-S-1"}, sends: relaying(append(xb3, "b3")...), traces: "4 in a chain"},
	{says: "all but `b3`, which a client has sent", until: "1.39", in: []string{"b3: T-S-1"}, sends: relaying(xb3...), traces: "4, 2 of them side by side"},
	{says: "all but `b3`, which a client has sent", since: "1.40", in: []string{"b3: T-S-1"}, sends: relaying(xb3...), traces: "2 in a chain, 2 in a chain"},
	{says: "all", tracer: envoy.OpenTelemetry, rest: "0", sends: relaying(append(w3c, "x-request-id")...), traces: "4 in a chain"},
	{says: "`traceparent` and `tracestate` without `x-request-id`", until: "1.38", tracer: envoy.OpenTelemetry, rest: "0", sends: relaying(w3c...), traces: "4 in a chain"},
	{says: "`traceparent` and `tracestate` without `x-request-id`", since: "1.39", tracer: envoy.OpenTelemetry, rest: "0", sends: relaying(w3c...), traces: "2 in a chain"},
}

// Which of the relays the service is, and where it calls.
const (
	rowHeader  = "Row"
	callHeader = "Call"
)

func TestRelaysMakeOfATraceWhatTheirPageSays(t *testing.T) {
	for _, binary := range envoy.NeedAll(t) {
		t.Run(binary.Version, func(t *testing.T) {
			spans := envoy.Collect(t)
			config := envoy.Config{Service: "sidecar", Zipkin: spans.Addr, OTLP: spans.Addr}
			server := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(server.Close)
			service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
				i, err := strconv.Atoi(in.Header.Get(rowHeader))
				assert.NoError(t, err)
				out, err := http.NewRequestWithContext(in.Context(), http.MethodGet, "http://"+in.Header.Get(callHeader), nil)
				assert.NoError(t, err)
				relays[i].sends(in.Header, out.Header)
				resp, err := http.DefaultClient.Do(out)
				if assert.NoError(t, err) {
					w.WriteHeader(resp.StatusCode)
					assert.NoError(t, resp.Body.Close())
				}
			}))
			t.Cleanup(service.Close)
			for _, r := range relays {
				if addr(config, r.listener("server-in")) == "" {
					in, out := process.FreeAddr(t), process.FreeAddr(t)
					config.Listeners = append(config.Listeners,
						envoy.Listener{Name: r.listener("server-in"), Addr: in, Upstream: server.Listener.Addr().String(), Inbound: true, Tracer: r.tracer, Sampling: r.rest, Operation: "call"},
						envoy.Listener{Name: r.listener("service-out"), Addr: process.FreeAddr(t), Upstream: in, Tracer: r.tracer, Sampling: r.rest, Operation: "call"},
						envoy.Listener{Name: r.listener("service-in"), Addr: out, Upstream: service.Listener.Addr().String(), Inbound: true, Tracer: r.tracer, Sampling: r.rest, Operation: "call"},
						envoy.Listener{Name: r.listener("client-out"), Addr: process.FreeAddr(t), Upstream: out, Tracer: r.tracer, Sampling: r.first, Operation: "call"})
				}
			}
			proxy := envoy.Start(t, binary, config)
			for i, r := range relays {
				if !(statement{since: r.since, until: r.until}).appliesTo(binary) {
					continue
				}
				t.Run(r.says, func(t *testing.T) {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr(config, r.listener("client-out")), nil)
					require.NoError(t, err)
					req.Header.Set(rowHeader, strconv.Itoa(i))
					req.Header.Set(callHeader, addr(config, r.listener("service-out")))
					for _, line := range r.in {
						name, value := split(line)
						req.Header.Add(name, expand(value))
					}
					resp, err := (&http.Client{Timeout: patience}).Do(req)
					require.NoError(t, err)
					require.NoError(t, resp.Body.Close())
					require.Equal(t, http.StatusNotFound, resp.StatusCode, "the server's answer")
					proxy.Settle(t)
					sent, err := spans.Take()
					require.NoError(t, err)
					require.Equal(t, r.traces, shapes(sent))
				})
			}
		})
	}
}

func (r relay) listener(name string) string {
	return strings.Join([]string{name, string(r.tracer), r.first, r.rest}, "-")
}

// addr is where the listener of that name will take requests.
func addr(config envoy.Config, name string) string {
	for _, l := range config.Listeners {
		if l.Name == name {
			return l.Addr
		}
	}
	return ""
}

// shapes says how many spans each trace has, and how they hang together.
func shapes(spans []envoy.Span) string {
	var all []string
	for _, trace := range envoy.Traces(spans) {
		children, most := map[string]int{}, 0
		for _, span := range trace {
			children[span.Parent]++
			most = max(most, children[span.Parent])
		}
		switch {
		case most == 1:
			all = append(all, fmt.Sprintf("%d in a chain", len(trace)))
		case most == len(trace):
			all = append(all, fmt.Sprintf("%d side by side", len(trace)))
		default:
			all = append(all, fmt.Sprintf("%d, %d of them side by side", len(trace), most))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// relaysTable is the table as docs/headers.md has it.
func relaysTable() string {
	names := map[envoy.Tracer]string{"": "Zipkin", envoy.OpenTelemetry: "OpenTelemetry"}
	var b strings.Builder
	b.WriteString("\n| relayed | tracer | % at the client's sidecar, and at the others | comes in | traces | Envoy |\n|---|---|---|---|---|---|\n")
	for _, r := range relays {
		fmt.Fprintf(&b, "| %s | %s | %s, %s | %s | %s | %s |\n", r.says, names[r.tracer], orElse(r.first, "100"), orElse(r.rest, "100"),
			lines(r.in, "nothing"), r.traces, statement{since: r.since, until: r.until}.versions())
	}
	return b.String() + "\n"
}
