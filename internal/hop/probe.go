package hop

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/tracebaton/tracebaton/internal/wire"
)

// Probe is one request's headers, and what they are to find out.
type Probe struct {
	Name  string // what is in it, such as: x-b3-* alone
	Trace Trace  // that the headers are of; the zero value for none
	Sent  http.Header

	// needs is the family that the probe is about. It tells nothing of a
	// service that loses that family in any case. Empty is none.
	needs string
	// only says that all of B3 is in b3, which sidecars do not begin traces in.
	onlyB3 bool
	// lines says that lists are in several lines, of which a sidecar may take
	// the first only: Envoy's Datadog tracer does so with tracestate.
	lines bool
}

// Probes returns the requests that tell what a service does with the families,
// beginning with one of all of them and ending with none.
func Probes(families []Family, random io.Reader) []Probe {
	promised := Headers(families)
	has := func(name string) bool { return slices.Contains(promised, name) }
	made := func(name string, t Trace, headers ...string) Probe {
		return Probe{Name: name, Trace: t, Sent: t.Header(headers...)}
	}
	about := func(family string, p Probe) Probe {
		p.needs = family
		return p
	}
	one := func(family, name, header, value string) Probe {
		t := NewTrace(random)
		p := made(name, t, "x-request-id")
		p.Sent.Set(header, value)
		if value == "0" {
			p.Sent.Set("x-request-id", t.Decided(wire.Denied).RequestID)
		}
		p.needs, p.onlyB3 = family, header == "b3"
		return p
	}

	everything := allHeaders(families)
	probes := []Probe{
		made("every family", NewTrace(random), everything...),
		made("a trace that is not sampled", NewTrace(random).Decided(wire.Denied), everything...),
		made("a low trace ID", NewTrace(random).Low(), promised...),
		made("a high trace ID", NewTrace(random).High(), promised...),
	}
	multi := formats["b3"][1].headers
	if has("x-b3-traceid") {
		probes = append(probes, about("b3", made("x-b3-* alone", NewTrace(random), append([]string{"x-request-id"}, multi...)...)))
	}
	if has("b3") {
		p := about("b3", made("b3 alone", NewTrace(random), "x-request-id", "b3"))
		p.onlyB3 = true
		probes = append(probes, p)
	}
	for _, f := range families {
		if of := formats[f.Name]; len(of) == 1 && len(families) > 1 {
			probes = append(probes, about(f.Name, made(string(of[0].format)+" alone", NewTrace(random), append([]string{"x-request-id"}, f.Headers...)...)))
		}
	}
	if has("x-b3-traceid") {
		probes = append(probes, about("b3", made("a trace ID of 64 bits", NewTrace(random).Short(), append([]string{"x-request-id"}, multi...)...)))
	}
	if has("x-b3-sampled") {
		probes = append(probes, one("b3", "x-b3-sampled: 0 alone", "x-b3-sampled", "0"), one("b3", "x-b3-sampled: 1 alone", "x-b3-sampled", "1"))
	}
	if has("x-b3-flags") {
		probes = append(probes, one("b3", "x-b3-flags: 1 alone", "x-b3-flags", "1"))
	}
	if has("b3") {
		probes = append(probes, one("b3", "b3: 0 alone", "b3", "0"))
	}
	if has("x-request-id") {
		// Alone: Envoy does not heed the yes of a traceparent that comes with an
		// ID which it cannot sample by.
		p := made("a request ID that is no UUID", NewTrace(random))
		p.Sent.Set("x-request-id", "tracebaton-"+p.Trace.Span)
		probes = append(probes, about("request-id", p))
	}
	if p, ok := repeated(made("headers in several lines", NewTrace(random), promised...)); ok {
		probes = append(probes, p)
	}
	if has("x-b3-sampled") {
		p := made("an empty x-b3-sampled", NewTrace(random), "x-request-id")
		p.Sent["X-B3-Sampled"] = []string{""}
		probes = append(probes, p)
	}
	return append(probes, Probe{Name: "no trace headers", Sent: make(http.Header)})
}

// repeated splits the lists among the headers into several lines. It reports
// false if there is none.
func repeated(p Probe) (Probe, bool) {
	found := false
	p.lines = true
	for name, values := range p.Sent {
		lower := strings.ToLower(name)
		switch lower {
		case "tracestate", "baggage":
			p.Sent[name] = strings.Split(values[0], ",")
			found = true
		default:
			if _, known := Named(FamilyOf(lower).Name); !known {
				p.Sent[name] = append(values, "another "+values[0])
				found = true
			}
		}
	}
	return p, found
}

// Owns reports whether v is a value of the probe's trace, or one that it was
// sent with and that is long enough to be nobody else's.
func (p Probe) Owns(v string) bool {
	if p.Trace.ID != "" && p.Trace.In(v) {
		return true
	}
	for _, values := range p.Sent {
		if len(v) >= 16 && slices.Contains(values, v) {
			return true
		}
	}
	return false
}
