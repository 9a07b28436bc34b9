package examples_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// envoy is a model of a sidecar that samples all that it may decide on: what
// Envoy 1.38 to 1.40 were seen to do with the headers of a request, of each of
// the formats that a mesh may have.
type envoy int

const (
	noEnvoy       envoy = iota
	zipkin139           // B3, up to Envoy 1.39: b3 is read and x-b3-* are written
	zipkin140           // B3, since Envoy 1.40: b3 is renewed where it came
	zipkinW3C           // USE_B3_WITH_W3C_PROPAGATION: both written, traceparent read where there is no B3
	openTelemetry       // W3C
)

func (e envoy) String() string {
	return [...]string{"no sidecars", "B3 up to Envoy 1.39", "B3 since Envoy 1.40", "B3 and W3C", "W3C"}[e]
}

// position is what a sidecar reads: where in which trace it is called.
type position struct {
	trace, span string
	decision    string // "1", "0", or "" for none
	unreadable  bool   // the sidecar makes no span, and passes on what came
}

// mesh keeps the spans of its sidecars and of the services between them.
type mesh struct {
	envoy envoy

	mu    sync.Mutex
	spans []meshSpan
	made  int
}

type meshSpan struct{ name, trace, span, parent string }

// sidecar returns next behind a sidecar that makes a span of that name.
func (m *mesh) sidecar(name string, next http.Handler) http.Handler {
	if m.envoy == noEnvoy {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Request-Id") == "" {
			r.Header.Set("X-Request-Id", "5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10")
		}
		in := m.envoy.read(r.Header)
		if !in.unreadable {
			m.mu.Lock()
			m.made++
			s := meshSpan{name: name, trace: in.trace, span: fmt.Sprintf("aaaaaaaa%08x", m.made), parent: in.span}
			if s.trace == "" {
				s.trace = fmt.Sprintf("bbbbbbbbbbbbbbbbbbbbbbbb%08x", m.made)
			}
			if in.decision != "0" {
				m.spans = append(m.spans, s)
			}
			m.mu.Unlock()
			m.envoy.write(r.Header, s, in.decision != "0")
		}
		next.ServeHTTP(w, r)
	})
}

func (e envoy) read(h http.Header) position {
	if e == openTelemetry {
		return readTraceparent(h)
	}
	in := readB3(h)
	if _, came := h["Traceparent"]; e == zipkinW3C && came && in.span == "" && h.Get("b3") == "" {
		decision := in.decision
		in = readTraceparent(h)
		in.unreadable = false // a new trace
		if decision == "1" {
			in.decision = "1"
		}
	}
	return in
}

func readB3(h http.Header) (in position) {
	if _, came := h["B3"]; came {
		fields := strings.Split(h.Get("b3"), "-")
		switch {
		case len(fields) == 1 && strings.Contains("01d", fields[0]) && fields[0] != "":
			in.decision = strings.Replace(fields[0], "d", "1", 1)
		case len(fields) == 1 || !isHex(fields[0], 16, 32) || !isHex(fields[1], 16):
			in.unreadable = true
		default:
			in.trace, in.span = fields[0], fields[1]
			if len(fields) > 2 {
				in.decision = strings.Replace(fields[2], "d", "1", 1)
			}
		}
		return in
	}
	if v, came := h["X-B3-Sampled"]; came {
		in.decision = "0"
		if v[0] == "1" || v[0] == "true" {
			in.decision = "1"
		}
	}
	traceID, spanID := h.Get("x-b3-traceid"), h.Get("x-b3-spanid")
	if traceID == "" || spanID == "" {
		return in
	}
	in.trace, in.span = traceID, spanID
	in.unreadable = !isHex(traceID, 16, 32) || !isHex(spanID, 16)
	return in
}

func readTraceparent(h http.Header) (in position) {
	v, came := h["Traceparent"]
	if !came {
		return in
	}
	fields := strings.Split(v[0], "-")
	if len(v[0]) != 55 || len(fields) != 4 || !isHex(fields[1], 32) || !isHex(fields[2], 16) {
		return position{unreadable: true}
	}
	return position{trace: fields[1], span: fields[2], decision: strings.TrimPrefix(fields[3], "0")}
}

func isHex(s string, lengths ...int) bool {
	_, err := hex.DecodeString(s)
	return err == nil && slices.Contains(lengths, len(s))
}

func (e envoy) write(h http.Header, s meshSpan, sampled bool) {
	decision := map[bool]string{true: "1", false: "0"}[sampled]
	if e == openTelemetry || e == zipkinW3C {
		h.Set("traceparent", inW3C(s.trace, s.span, sampled))
		h.Set("tracestate", strings.Join(h["Tracestate"], ",")) // even empty
	}
	switch _, single := h["B3"]; {
	case e == openTelemetry:
	case e != zipkin139 && single:
		value := s.trace + "-" + s.span + "-" + decision
		if s.parent != "" {
			value += "-" + s.parent
		}
		h.Set("b3", value)
	default:
		h.Set("x-b3-traceid", s.trace)
		h.Set("x-b3-spanid", s.span)
		h.Set("x-b3-sampled", decision)
		h.Del("x-b3-parentspanid")
		if s.parent != "" {
			h.Set("x-b3-parentspanid", s.parent)
		}
	}
}

// ExportSpans makes the spans of services those of the mesh.
func (m *mesh) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range spans {
		name, _ := s.Resource().Set().Value("service.name")
		span := meshSpan{name: name.AsString(), trace: s.SpanContext().TraceID().String(), span: s.SpanContext().SpanID().String()}
		if s.SpanKind() == trace.SpanKindClient {
			span.name += "'s call"
		}
		if s.Parent().IsValid() {
			span.parent = s.Parent().SpanID().String()
		}
		m.spans = append(m.spans, span)
	}
	return nil
}

func (m *mesh) Shutdown(context.Context) error { return nil }

// traces returns the spans as trees, such as "caller(a(b))", of which each is of
// one trace. The caller's span is spanID.
func (m *mesh) traces() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := make(map[string]bool)
	children := make(map[string][]meshSpan) // by trace and parent
	for _, s := range m.spans {
		s.trace = strings.Repeat("0", 32-len(s.trace)) + s.trace
		known[s.trace+s.span] = true
		children[s.trace+s.parent] = append(children[s.trace+s.parent], s)
	}
	var below func(id string) string
	below = func(id string) string {
		var all []string
		for _, s := range children[id] {
			one := s.name
			if more := below(s.trace + s.span); more != "" {
				one += "(" + more + ")"
			}
			all = append(all, one)
		}
		slices.Sort(all)
		return strings.Join(all, ", ")
	}
	var trees []string
	for id := range children {
		switch parent := id[32:]; {
		case known[id]:
		case parent == "":
			trees = append(trees, below(id))
		case parent == spanID:
			trees = append(trees, "caller("+below(id)+")")
		default:
			trees = append(trees, "phantom("+below(id)+")")
		}
	}
	slices.Sort(trees)
	return trees
}

// caller are the headers of a request from outside, by what they say.
var caller = []struct {
	name    string
	headers []string
}{
	{"nothing", nil},
	{"b3", []string{"b3: " + traceID + "-" + spanID + "-1"}},
	{"x-b3-*", multi(traceID, spanID, sampled)},
	{"x-b3-* of a sidecar", multi(traceID, spanID, sampled, "x-b3-parentspanid: "+parentID)},
	{"a decision", []string{sampled}},
	{"W3C", []string{traceparent}},
	{"b3 and W3C", []string{"b3: " + traceID + "-" + spanID + "-1", traceparent}},
	{"x-b3-* and W3C", multi(traceID, spanID, sampled, traceparent)},
}

// Each row was seen behind two Envoys in series.
func TestTheSidecarsOfTheTestsWriteWhatEnvoysWrite(t *testing.T) {
	const first, second, firstTrace = "aaaaaaaa00000001", "aaaaaaaa00000002", "bbbbbbbbbbbbbbbbbbbbbbbb00000001"
	single := []string{"b3: " + traceID + "-" + spanID + "-1"}
	several, w3c := multi(traceID, spanID, sampled), []string{traceparent}
	renewed := multi(traceID, second, sampled, "x-b3-parentspanid: "+first)
	for _, row := range []struct {
		envoys   []envoy
		in, want []string
	}{
		{[]envoy{zipkin139, zipkin140}, nil, multi(firstTrace, second, sampled, "x-b3-parentspanid: "+first)},
		{[]envoy{openTelemetry}, nil, lines("traceparent: "+inW3C(firstTrace, second, true), "tracestate: ")},
		{[]envoy{zipkin139, zipkin140}, lines(several, w3c), lines(renewed, w3c)},
		{[]envoy{openTelemetry}, lines(several, w3c), lines(several, "traceparent: "+inW3C(traceID, second, true), "tracestate: ")},
		{[]envoy{zipkinW3C}, lines(several, w3c), lines(renewed, "traceparent: "+inW3C(traceID, second, true), "tracestate: ")},
		{[]envoy{zipkin139}, lines(single, several), lines(single, multi(traceID, second, sampled, "x-b3-parentspanid: "+spanID))},
		{[]envoy{zipkin140}, lines(single, several), lines("b3: "+traceID+"-"+second+"-1-"+first, several)},
		{[]envoy{openTelemetry}, lines(single, several), lines(single, several, "traceparent: "+inW3C(firstTrace, second, true), "tracestate: ")},
		{[]envoy{zipkin139, zipkin140}, []string{deny}, multi(firstTrace, second, deny, "x-b3-parentspanid: "+first)},
		{[]envoy{zipkin139, zipkin140}, []string{"x-b3-sampled: "}, multi(firstTrace, second, deny, "x-b3-parentspanid: "+first)},
		{[]envoy{zipkin139, zipkin140}, []string{"b3: "}, []string{"b3: "}},
		{[]envoy{zipkin139, zipkin140}, multi("zz", spanID, sampled), multi("zz", spanID, sampled)},
		{[]envoy{zipkin140}, []string{"b3: 0"}, []string{"b3: " + firstTrace + "-" + second + "-0-" + first}},
		{[]envoy{zipkin140}, []string{"b3: " + traceID + "-" + spanID + "-d"}, []string{"b3: " + traceID + "-" + second + "-1-" + first}},
		{[]envoy{openTelemetry}, []string{traceparentUnsampled, "tracestate: a=1", "tracestate: b=2"}, lines("traceparent: "+inW3C(traceID, second, false), "tracestate: a=1,b=2")},
		{[]envoy{openTelemetry}, []string{"traceparent: hello"}, []string{"traceparent: hello"}},
		{[]envoy{zipkinW3C}, []string{deny, traceparent}, lines(renewed, "traceparent: "+inW3C(traceID, second, true), "tracestate: ")},
		{[]envoy{zipkinW3C}, []string{"traceparent: hello"}, lines(multi(firstTrace, second, sampled, "x-b3-parentspanid: "+first), "traceparent: "+inW3C(firstTrace, second, true), "tracestate: ")},
	} {
		for _, e := range row.envoys {
			t.Run(e.String()+", "+strings.Join(row.in, ", "), func(t *testing.T) {
				up, m := newUpstream(), &mesh{envoy: e}
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header = headers(append(slices.Clone(row.in), requestID)...)
				m.sidecar("out", m.sidecar("in", up)).ServeHTTP(httptest.NewRecorder(), r)
				assert.Equal(t, headers(append(slices.Clone(row.want), requestID)...), <-up.arrived)
			})
		}
	}
}
