package envoy

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tracebaton/tracebaton/integration/process"
)

// Span is a span as an Envoy has sent it.
type Span struct {
	Trace, ID, Parent string // Parent is empty for a root
	Service, Kind     string // Kind is client or server
}

// Collector takes the spans of Zipkin's and OpenTelemetry's tracers, and keeps
// them. Where what they say is asked of a real store, use Jaeger: this one is
// for tests of many requests, each of its own trace.
type Collector struct {
	Addr string

	mu    sync.Mutex
	spans []Span
	err   error
}

// Collect starts a collector, which the test's end stops.
func Collect(t process.T) *Collector {
	t.Helper()
	c := &Collector{}
	server := httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(server.Close)
	c.Addr = server.Listener.Addr().String()
	return c
}

// Take returns the spans that came since it was last called, and what was wrong
// with any.
func (c *Collector) Take() ([]Span, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans, err := c.spans, c.err
	c.spans, c.err = nil, nil
	return spans, err
}

func (c *Collector) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 10<<20))
	var spans []Span
	if err == nil {
		switch r.URL.Path {
		case "/api/v2/spans":
			spans, err = zipkin(body)
			w.WriteHeader(http.StatusAccepted)
		case "/v1/traces":
			spans, err = otlp(body)
		default:
			w.WriteHeader(http.StatusNotFound) // of a tracer whose spans nobody reads here
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = append(c.spans, spans...)
	if err != nil {
		c.err = err
	}
}

func zipkin(body []byte) ([]Span, error) {
	var sent []struct {
		TraceID, ID, ParentID, Kind string
		LocalEndpoint               struct{ ServiceName string }
	}
	if err := json.Unmarshal(body, &sent); err != nil {
		return nil, err
	}
	var spans []Span
	for _, s := range sent {
		spans = append(spans, Span{s.TraceID, s.ID, s.ParentID, s.LocalEndpoint.ServiceName, strings.ToLower(s.Kind)})
	}
	return spans, nil
}

func otlp(body []byte) ([]Span, error) {
	var sent trace.TracesData // the same bytes as an ExportTraceServiceRequest, without gRPC
	if err := proto.Unmarshal(body, &sent); err != nil {
		return nil, err
	}
	var spans []Span
	for _, resource := range sent.GetResourceSpans() {
		var service string
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				spans = append(spans, Span{
					hex.EncodeToString(s.GetTraceId()), hex.EncodeToString(s.GetSpanId()), hex.EncodeToString(s.GetParentSpanId()),
					service, strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_")),
				})
			}
		}
	}
	return spans, nil
}

// Traces sorts spans by their traces, each in the order of a call: every span
// after its parent.
func Traces(spans []Span) map[string][]Span {
	traces := map[string][]Span{}
	for _, s := range spans {
		traces[s.Trace] = append(traces[s.Trace], s)
	}
	for _, trace := range traces {
		depth := func(s Span) int {
			d := 0
			for s.Parent != "" && d <= len(trace) {
				i := slices.IndexFunc(trace, func(p Span) bool { return p.ID == s.Parent })
				if i < 0 {
					break
				}
				s, d = trace[i], d+1
			}
			return d
		}
		slices.SortStableFunc(trace, func(a, b Span) int { return depth(a) - depth(b) })
	}
	return traces
}
