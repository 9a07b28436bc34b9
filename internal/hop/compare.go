// Package hop says what became of trace headers on their way through one
// service: it makes the headers to send, and compares them with those that
// arrive at the next service.
package hop

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tracebaton/tracebaton/internal/wire"
	"github.com/tracebaton/tracebaton/propagation"
)

// Verdict is what became of one header.
type Verdict string

// The verdicts.
const (
	Relayed   Verdict = "relayed"
	Reencoded Verdict = "re-encoded as a child span"
	Stale     Verdict = "stale" // as it came, beside another format that names a child span
	Lost      Verdict = "lost"
	Changed   Verdict = "changed"
	Invented  Verdict = "invented"
)

// Spans says whether a service makes spans of its own.
type Spans int

// What can be known of it.
const (
	NoSpans      Spans = iota // headers must arrive as they came, and none else
	DroppedSpans              // the same, but for traces of its own that are not sampled
	OwnSpans                  // those of a child span if the trace is sampled
	AnySpans                  // not known: as they came, or as those of a child span
)

// relays reports whether no span of the service may be anybody's parent.
func (s Spans) relays() bool { return s == NoSpans || s == DroppedSpans }

// Expect is what a service has promised.
type Expect struct {
	// Families must arrive. Others are listed, and nothing said about them.
	Families propagation.Families
	Spans    Spans

	// Sidecars says that proxies may be on the way, which write their trace
	// reason into request IDs.
	Sidecars bool

	// Foreign reports whether a value belongs to another request. Nil knows
	// none.
	Foreign func(value string) bool
}

// Row is what became of one header.
type Row struct {
	Name     string   `json:"name"`
	Sent     []string `json:"sent,omitempty"`
	Arrived  []string `json:"arrived,omitempty"`
	Verdict  Verdict  `json:"verdict"`
	Required bool     `json:"required"`

	settled bool // it is right, or one of the faults speaks of it
}

// Compare returns what became of the headers of sent that are trace headers,
// and those that arrived beside them, and what is wrong with that.
func Compare(sent, arrived http.Header, want Expect) ([]Row, []Fault) {
	c := &comparison{sent: sent, arrived: arrived, want: want}
	required := Names(want.Families)
	for _, name := range AllNames(want.Families) {
		c.add(name, slices.Contains(required, name))
	}
	c.values()
	c.positions()
	c.rest()

	rows := make([]Row, len(c.rows))
	for i, r := range c.rows {
		rows[i] = *r
	}
	return rows, c.faults
}

type comparison struct {
	sent, arrived http.Header
	want          Expect
	rows          []*Row
	faults        []Fault
}

func (c *comparison) add(name string, required bool) {
	r := &Row{Name: name, Sent: c.sent.Values(name), Arrived: c.arrived.Values(name), Required: required}
	switch {
	case len(r.Sent) == 0 && len(r.Arrived) == 0:
		return
	case slices.Contains(r.Arrived, ""):
		r.Verdict = Invented
	case slices.Equal(r.Sent, r.Arrived), joined(r):
		r.Verdict, r.settled = Relayed, true
	case len(r.Arrived) == 0:
		r.Verdict = Lost
	case len(r.Sent) == 0, slices.Equal(r.Sent, []string{""}):
		r.Verdict = Invented
	default:
		r.Verdict = Changed
	}
	r.settled = r.settled || !required
	c.rows = append(c.rows, r)
}

// joined reports whether a header that is a list arrived as one header where
// several were sent, which means the same (RFC 9110, section 5.3).
func joined(r *Row) bool {
	if r.Name != "tracestate" && r.Name != "baggage" {
		return false
	}
	return slices.Equal(list(r.Sent), list(r.Arrived))
}

func list(values []string) []string {
	var members []string
	for m := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if m = strings.TrimSpace(m); m != "" {
			members = append(members, m)
		}
	}
	return members
}

func (c *comparison) row(name string) *Row {
	for _, r := range c.rows {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// open returns those of the named rows that have the verdict and that nothing
// has been said about, or of all rows if no name is given.
func (c *comparison) open(v Verdict, names ...string) (open []*Row) {
	for _, r := range c.rows {
		if !r.settled && r.Verdict == v && (len(names) == 0 || slices.Contains(names, r.Name)) {
			open = append(open, r)
		}
	}
	return open
}

func (c *comparison) fault(k Kind, what string, rows ...*Row) {
	f := Fault{Kind: k, What: what}
	for _, r := range rows {
		r.settled = true
		f.Headers = append(f.Headers, r.Name)
	}
	c.faults = append(c.faults, f)
}

// values finds what can be seen in a value without knowing what it means.
func (c *comparison) values() {
	var empty, foreign, cased []*Row
	for _, r := range c.rows {
		switch {
		case r.settled || len(r.Arrived) == 0:
		case slices.Contains(r.Arrived, ""):
			empty = append(empty, r)
		case c.want.Foreign != nil && slices.ContainsFunc(r.Arrived, c.want.Foreign):
			foreign = append(foreign, r)
		case slices.EqualFunc(r.Sent, r.Arrived, strings.EqualFold):
			cased = append(cased, r)
		case len(r.Sent) > 1:
			c.repeated(r)
		}
	}
	if len(empty) > 0 {
		c.fault(Empty, are(empty, "arrived empty"), empty...)
	}
	if len(foreign) > 0 {
		c.fault(Mixed, are(foreign, "arrived with the value of another request"), foreign...)
		for _, r := range foreign {
			// What came along and has no ID in it is that request's, too.
			if f := FormatOf(r.Name); f != "" {
				settle(c.open(Invented, members[f]...), "")
			}
		}
	}
	if len(cased) > 0 {
		c.fault(Case, are(cased, "arrived in another case"), cased...)
	}
}

func (c *comparison) repeated(r *Row) {
	left := slices.Clone(r.Sent)
	for _, v := range r.Arrived {
		i := slices.Index(left, v)
		if i < 0 {
			return
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(left) == 0 {
		c.fault(Repeated, "the values of "+r.Name+" arrived in another order", r)
		return
	}
	c.fault(Repeated, fmt.Sprintf("%d of %d values of %s did not arrive", len(left), len(r.Sent), r.Name), r)
}

// rest finds what is wrong with the headers that stand for themselves.
func (c *comparison) rest() {
	c.tracestate()
	c.requestID()

	var sent []*Row
	for _, r := range c.rows {
		if r.Required && len(r.Sent) > 0 && !slices.Equal(r.Sent, []string{""}) {
			sent = append(sent, r)
		}
	}
	lost := c.open(Lost)
	lost = slices.DeleteFunc(lost, func(r *Row) bool { return slices.Equal(r.Sent, []string{""}) })
	switch kept := len(sent) - len(lost); {
	case len(lost) == 0:
	case kept == 0 && len(sent) > 1:
		c.fault(AllLost, "none of the headers arrived", lost...)
	case kept == 1 && len(lost) > 1 && c.row("x-request-id") != nil && c.row("x-request-id").Verdict == Relayed:
		c.fault(OnlyRequestID, "everything but x-request-id was lost", lost...)
	default:
		var torn, missing []*Row
		for _, r := range c.oneFormat(lost) {
			if c.torn(r.Name) {
				torn = append(torn, r)
			} else {
				missing = append(missing, r)
			}
		}
		if len(torn) > 0 {
			c.fault(Torn, are(torn, "was lost", "were lost")+" from a family of which the rest arrived", torn...)
		}
		if len(missing) > 0 {
			c.fault(Missing, are(missing, "was lost", "were lost"), missing...)
		}
	}
	if changed := c.open(Changed); len(changed) > 0 {
		c.fault(OtherValue, are(changed, "arrived with another value", "arrived with other values"), changed...)
	}
	if invented := c.open(Invented); len(invented) > 0 {
		c.fault(NotSent, are(invented, "arrived and was not sent", "arrived and were not sent"), invented...)
	}
}

// oneFormat finds a format of B3 that was lost while the other arrived, which
// says the same. It returns what else was lost.
func (c *comparison) oneFormat(lost []*Row) []*Row {
	for gone, came := range map[wire.Format]wire.Format{wire.B3Single: wire.B3Multi, wire.B3Multi: wire.B3Single} {
		of := func(r *Row) bool { return slices.Contains(members[gone], r.Name) }
		arrived := slices.ContainsFunc(c.rows, func(r *Row) bool { return of(r) && len(r.Arrived) > 0 })
		if !c.whole(came) || arrived || !slices.ContainsFunc(lost, of) {
			continue
		}
		var rows []*Row
		for _, r := range lost {
			if of(r) {
				rows = append(rows, r)
			}
		}
		c.fault(OneFormat, fmt.Sprintf("%s was lost, and %s arrived", gone, came), rows...)
		return slices.DeleteFunc(lost, of)
	}
	return lost
}

// whole reports whether the format arrived with all headers that were sent, but
// for those of which a fault speaks.
func (c *comparison) whole(f wire.Format) bool {
	arrived := false
	for _, name := range members[f] {
		switch r := c.row(name); {
		case r == nil || len(r.Sent) == 0:
		case len(r.Arrived) > 0:
			arrived = true
		case !r.settled:
			return false
		}
	}
	return arrived
}

// torn reports whether something of the header's family arrived.
func (c *comparison) torn(name string) bool {
	for _, f := range Known {
		if names := Names(propagation.Of(f.Family)); slices.Contains(names, name) {
			return slices.ContainsFunc(names, func(name string) bool { return len(c.arrived.Values(name)) > 0 })
		}
	}
	return false
}

func (c *comparison) requestID() {
	r := c.row("x-request-id")
	if r == nil || r.settled || r.Verdict == Lost {
		return
	}
	is, one := r.Arrived[0], len(r.Arrived) == 1
	_, uuid := wire.TraceReason(is)
	switch {
	case one && r.Verdict == Invented && uuid:
		r.settled = true // what a sidecar does, too
	case one && r.Verdict == Invented:
		c.fault(RequestIDNotUUID, "the x-request-id that was made where none came in is not a UUID", r)
	case one && c.want.Sidecars && wire.SameRequest(r.Sent[0], is):
		r.Verdict, r.settled = Relayed, true
	case r.Verdict == Changed:
		c.fault(RequestIDChanged, "x-request-id arrived as another ID", r)
		if !uuid {
			c.fault(RequestIDNotUUID, "the new x-request-id is not a UUID", r)
		}
	}
}

// tracestate may gain members from services that make spans, and keeps those
// that it had.
func (c *comparison) tracestate() {
	r, parent := c.row("tracestate"), c.row("traceparent")
	if r == nil || r.settled || r.Verdict != Changed || parent == nil || parent.Verdict != Reencoded {
		return
	}
	have := list(r.Arrived)
	for _, m := range list(r.Sent) {
		if !slices.Contains(have, m) {
			return
		}
	}
	r.Verdict, r.settled = Reencoded, true
}
