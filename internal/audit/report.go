package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdict is what becomes of traces at a service.
type Verdict string

// The verdicts, from the worst.
const (
	Drops   Verdict = "drops"   // it loses them: this one is proven
	Likely  Verdict = "likely"  // it loses those of other calls, and likely of these
	Unclear Verdict = "unclear" // its calls begin traces, and it cannot be told why
	Begins  Verdict = "begins"  // its calls begin traces, and nothing that came in caused them
	Relays  Verdict = "relays"  // it passes them on
	Origin  Verdict = "origin"  // nothing came in
)

var order = []Verdict{Drops, Likely, Unclear, Begins, Relays, Origin}

// The ways to lose a trace: [Callee.Kind].
const (
	KindDrops       = "drops"           // the headers of the request are not passed on
	KindRequestID   = "request-id-only" // none but x-request-id is
	KindAfterAnswer = "after-answer"    // not on calls made after the answer
	KindMadeUp      = "made-up-parents" // what is passed on names spans that nobody stored
)

// Report is what the spans tell.
type Report struct {
	Spans    int       `json:"spans"`
	Traces   int       `json:"traces"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Services []Service `json:"services"` // that call others, from the worst
	Problems []Problem `json:"problems"` // with what is stored
}

// Dropping returns the services that are proven to lose traces.
func (r *Report) Dropping() []Service {
	n := slices.IndexFunc(r.Services, func(s Service) bool { return s.Verdict != Drops })
	if n < 0 {
		n = len(r.Services)
	}
	return r.Services[:n]
}

// Service is the verdict on a service: that of its worst callee.
type Service struct {
	Service string   `json:"service"`
	Verdict Verdict  `json:"verdict"`
	Callees []Callee `json:"callees"`
}

// Callee is the verdict on a service's calls to another.
type Callee struct {
	Service    string    `json:"service"`
	Verdict    Verdict   `json:"verdict"`
	Calls      int       `json:"calls"`
	Begun      int       `json:"begun"` // of the calls: those that begin a trace
	Kind       string    `json:"kind,omitempty"`
	Confidence float64   `json:"confidence,omitempty"`
	Routes     []Route   `json:"routes,omitempty"`
	Examples   []Example `json:"examples,omitempty"`

	Why    string    `json:"-"` // the evidence, or why it cannot be told, as half a sentence
	First  time.Time `json:"-"` // of the calls that begin a trace
	Last   time.Time `json:"-"`
	Pods   []string  `json:"-"` // that such calls came from, if only some do; with the version if it is known
	OfPods int       `json:"-"` // pods that got requests
}

// Route is a route on which calls lose the trace.
type Route struct {
	Route string `json:"route"`
	Calls int    `json:"calls"`
	Begun int    `json:"begun"`
}

// Example is a call that should have been a child, and of what.
type Example struct {
	Parent Ref `json:"parent"`
	Orphan Ref `json:"orphan"`
}

// Ref names a span.
type Ref struct {
	trace TraceID
	span  uint64
}

// String returns the ID in hex digits, 16 of them if it has 64 bits.
func (t TraceID) String() string {
	if t.High == 0 {
		return fmt.Sprintf("%016x", t.Low)
	}
	return fmt.Sprintf("%016x%016x", t.High, t.Low)
}

// Trace returns the ID of the span's trace.
func (r Ref) Trace() string { return r.trace.String() }

// MarshalJSON implements [encoding/json.Marshaler].
func (r Ref) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"trace":"%s","span":"%016x"}`, r.trace, r.span), nil
}

// Problem is a reason not to trust what is stored.
type Problem struct {
	Kind    string `json:"kind"`
	Service string `json:"service,omitempty"`
	Count   int    `json:"count"`
	Text    string `json:"text"`

	Verdict string `json:"-"` // of two-formats: which side speaks which, as a verdict on the service
}

// Report settles what was added and returns the verdicts. Spans that are added
// later count as late if they began earlier than the last that is settled.
func (a *Auditor) Report() Report {
	if len(a.buf) > 0 {
		a.sort()
		a.settle(a.buf[len(a.buf)-1].start + 1)
	}
	r := Report{
		Spans: a.total.spans, Traces: a.total.traces,
		From: time.UnixMicro(a.total.from).UTC(), To: time.UnixMicro(a.total.to).UTC(),
		Services: []Service{}, Problems: []Problem{},
	}
	if a.total.spans == 0 {
		r.From, r.To = time.Time{}, time.Time{}
	}
	named := a.try()
	stored := a.stored(named)
	for i, s := range a.service {
		if len(s.pairs) > 0 && (s.proxy || !a.hasProxy(s.name)) {
			r.Services = append(r.Services, a.judge(s, named[i], stored))
		}
	}
	slices.SortStableFunc(r.Services, func(x, y Service) int {
		return cmp.Or(worse(x.Verdict, y.Verdict), cmp.Compare(y.begun(), x.begun()), strings.Compare(x.Service, y.Service))
	})
	r.Problems = append(r.Problems, a.problems(named)...)
	return r
}

func (a *Auditor) hasProxy(name string) bool {
	_, ok := a.svcs.ids[serviceKey{name, true}]
	return ok
}

func worse(x, y Verdict) int {
	return cmp.Compare(slices.Index(order, x), slices.Index(order, y))
}

func (s *Service) begun() (n int) {
	for _, c := range s.Callees {
		n += c.Begun
	}
	return n
}
