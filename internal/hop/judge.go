// Package hop says what became of a trace on its way through one service. It
// makes the headers to send, and judges those that arrive at the next service
// by reading: for each family of headers a reader, which stands for whatever
// is behind the service, reads what was sent and what arrived, and the two
// readings are compared. Bytes are compared only to see that there is nothing
// to read.
package hop

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tracebaton/tracebaton/internal/wire"
)

// Spans says whether a service makes spans of its own.
type Spans int

// What can be known of it.
const (
	// AnySpans: not known. Headers arrive as they came, or as those of a span
	// in the same trace.
	AnySpans Spans = iota
	// NoSpans: headers must arrive as they came, and none else.
	NoSpans
	// DroppedSpans: the same, but for traces of its own that are not sampled.
	DroppedSpans
	// OwnSpans: B3 and W3C must arrive as those of a child span if the trace is
	// sampled.
	OwnSpans
)

// relays reports whether no span of the service may be anybody's parent.
func (s Spans) relays() bool { return s == NoSpans || s == DroppedSpans }

// Expect is what a service has promised.
type Expect struct {
	// Families must arrive. What becomes of others is no fault.
	Families []Family
	Spans    Spans

	// Sidecars says that proxies may be on the way, which write their trace
	// reason into request IDs, and fill in what is missing.
	Sidecars bool

	// Foreign reports whether a value belongs to another request. Nil knows
	// none.
	Foreign func(value string) bool
}

// Verdict is what a reader says of a hop.
type Verdict string

// The verdicts of a reader.
const (
	Relayed   Verdict = "relayed"   // the same bytes, or the same reading
	Continued Verdict = "continued" // the same trace, another span
	Begun     Verdict = "begun"     // a trace, where none came in
	WasLost   Verdict = "lost"      // something beside the trace is missing
	Overrode  Verdict = "overridden"
	WasBroken Verdict = "broken"
	NotThere  Verdict = "nothing" // nothing was sent, and nothing arrived
)

// Reading is the verdict of one reader.
type Reading struct {
	Family  Family
	Verdict Verdict
}

// What became of a header, as the table has it.
const (
	RowRelayed  = "relayed"
	RowSame     = "the same in other words"
	RowSpan     = "a span of the same trace"
	RowStale    = "stale"
	RowLeftOut  = "left out"
	RowAdded    = "added"
	RowLost     = "lost"
	RowChanged  = "changed"
	RowInvented = "invented"
)

// Row is what became of one header.
type Row struct {
	Name     string   `json:"name"`
	Sent     []string `json:"sent,omitempty"`
	Arrived  []string `json:"arrived,omitempty"`
	Became   string   `json:"became"`
	Promised bool     `json:"promised"`
	Wrong    bool     `json:"wrong"` // a fault speaks of it
}

// Judgment is what became of a hop.
type Judgment struct {
	Readings []Reading // of the promised families
	Faults   []Fault   // the worst first
	Rows     []Row     // one a header that was sent or arrived
	Sidecar  bool      // a mesh's proxy has seen the call
}

// Worst returns the severity of the worst fault.
func (j Judgment) Worst() Severity {
	if len(j.Faults) == 0 {
		return Note
	}
	return j.Faults[0].Severity
}

// Judge says what became of the headers that were sent, given those that
// arrived.
func Judge(sent, arrived http.Header, want Expect) Judgment {
	j := &judge{sent: sent, arrived: arrived, want: want, sidecar: want.Sidecars && Sidecar(arrived), spoiled: make(map[string]bool)}
	j.values()
	for _, f := range want.Families {
		j.readings = append(j.readings, Reading{f, j.family(f)})
	}
	j.between()
	j.summarize()
	slices.SortStableFunc(j.faults, func(a, b Fault) int { return int(b.Severity) - int(a.Severity) })
	return Judgment{j.readings, j.faults, j.rows(), j.sidecar}
}

type judge struct {
	sent, arrived http.Header
	want          Expect
	sidecar       bool
	readings      []Reading
	faults        []Fault
	spoiled       map[string]bool // headers whose value alone is a fault
	fresh, same   []wire.Context  // that arrived with a new span, and as they were sent
	in            []wire.Context  // that same and fresh were compared with
}

func (j *judge) fault(k Kind, s Severity, family Family, headers []string, format string, args ...any) *Fault {
	j.faults = append(j.faults, Fault{Kind: k, Severity: s, Family: family.Title, Headers: headers, What: fmt.Sprintf(format, args...)})
	return &j.faults[len(j.faults)-1]
}

// strict returns the severity of what readers do not mind: a note, unless the
// service has promised how it writes the headers.
func (j *judge) strict(s Severity) Severity {
	if j.want.Spans == AnySpans {
		return Note
	}
	return s
}

// relay returns the severity of what is a fault only in a service that must
// pass headers on as they came.
func (j *judge) relay() Severity {
	if j.want.Spans.relays() {
		return Lost
	}
	return Note
}

// made says in a sidecar's presence who made what arrived.
func (j *judge) made(otherwise string) string {
	if j.sidecar {
		return "was lost, and made anew by the sidecar"
	}
	return otherwise
}

// filled reports whether the header has a value that is not empty.
func filled(h http.Header, name string) bool {
	return slices.ContainsFunc(h.Values(name), func(v string) bool { return v != "" })
}

func filledOf(h http.Header, names []string) (filledNames []string) {
	for _, name := range names {
		if filled(h, name) {
			filledNames = append(filledNames, name)
		}
	}
	return filledNames
}

// equal reports whether the headers arrived as they were sent.
func (j *judge) equal(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		return !slices.Equal(j.sent.Values(name), j.arrived.Values(name))
	})
}

// differ returns those of the headers that did not arrive as they were sent.
func (j *judge) differ(names ...string) (differing []string) {
	for _, name := range names {
		if !j.equal([]string{name}) {
			differing = append(differing, name)
		}
	}
	if len(differing) == 0 {
		return names[:1]
	}
	return differing
}

// values finds what can be seen in a value without knowing what it means.
func (j *judge) values() {
	var empty, passedOn, foreign, cased []string
	for _, name := range Headers(j.want.Families) {
		sent, arrived := j.sent.Values(name), j.arrived.Values(name)
		switch {
		case len(arrived) == 0:
		case slices.Contains(arrived, ""):
			// Envoy's OpenTelemetry tracer writes an empty tracestate beside
			// each traceparent, and no reader takes it for anything.
			switch {
			case name == "tracestate" && j.want.Spans == AnySpans:
			case slices.Equal(sent, arrived):
				passedOn = append(passedOn, name)
			default:
				empty = append(empty, name)
			}
		case slices.Equal(sent, arrived):
		case j.want.Foreign != nil && slices.ContainsFunc(arrived, j.want.Foreign):
			foreign = append(foreign, name)
		case slices.EqualFunc(sent, arrived, strings.EqualFold) && name != "x-b3-sampled":
			cased = append(cased, name)
		}
	}
	j.empty(empty, false)
	j.empty(passedOn, true)
	if len(foreign) > 0 {
		j.fault(Mixed, Broken, Family{}, foreign, "%s", are(foreign, "arrived with the value of another request"))
		for _, name := range foreign {
			// What came along and has no ID in it is that request's, too.
			for _, sibling := range FamilyOf(name).Headers {
				j.spoiled[sibling] = true
			}
		}
	}
	if len(cased) > 0 {
		severity := Lost
		if slices.ContainsFunc(cased, holdsPlace) {
			severity = Broken
		}
		j.fault(Case, severity, Family{}, cased, "%s", are(cased, "arrived in another case"))
		for _, name := range cased {
			j.spoiled[name] = true
		}
	}
}

// holdsPlace reports whether a header holds a place in a trace.
func holdsPlace(name string) bool {
	switch name {
	case "x-request-id", "tracestate", "baggage", "x-ot-span-context", "x-datadog-origin", "x-datadog-tags", "sw8-x", "sw8-correlation":
		return false
	}
	return FamilyOf(name).Name != name
}

func (j *judge) empty(names []string, asSent bool) {
	if len(names) == 0 {
		return
	}
	_, harmful := worstEmpty(names)
	for _, name := range names {
		j.spoiled[name] = true
	}
	severity := Broken
	if j.want.Spans == AnySpans && (!harmful || asSent) {
		severity = Note
	}
	j.faults = append(j.faults, emptyFault(names, severity, asSent))
}

// emptyFault says that headers are empty, which are sorted by how much that
// harms.
func emptyFault(names []string, severity Severity, asSent bool) Fault {
	why, _ := worstEmpty(names)
	what := are(names, "arrived empty")
	if asSent {
		what = are(names, "is passed on empty, as it came", "are passed on empty, as they came")
	}
	return Fault{Kind: Empty, Severity: severity, Headers: names, What: what, why: "An empty header is not an absent one. " + why}
}

// family returns the verdict of the family's reader.
func (j *judge) family(f Family) Verdict {
	before := len(j.faults)
	var v Verdict
	switch f.Name {
	case "request-id":
		v = j.requestID(f)
	case "baggage":
		v = j.baggage(f)
	case "ot", "grpc-trace-bin":
		v = j.opaque(f)
	default:
		if _, known := Named(f.Name); known {
			v = j.trace(f)
		} else {
			v = j.opaque(f)
		}
	}
	worst := Note
	for _, fault := range j.faults[before:] {
		worst = max(worst, fault.Severity)
	}
	for _, fault := range j.faults[:before] { // of values
		if fault.Family == "" && slices.ContainsFunc(fault.Headers, func(name string) bool { return slices.Contains(f.Headers, name) }) {
			worst = max(worst, fault.Severity)
		}
	}
	switch worst {
	case Broken:
		return WasBroken
	case Overridden:
		return Overrode
	case Lost:
		return WasLost
	}
	return v
}

// opaque judges headers of which only equal bytes can be understood.
func (j *judge) opaque(f Family) Verdict {
	v := NotThere
	for _, name := range f.Headers {
		sent, arrived := j.sent.Values(name), j.arrived.Values(name)
		if filled(j.sent, name) {
			v = Relayed
		}
		switch {
		case j.spoiled[name], slices.Equal(sent, arrived):
		case !filled(j.sent, name):
			if len(arrived) > 0 && j.want.Spans.relays() {
				j.fault(NotSent, Lost, f, []string{name}, "%s arrived and was not sent", name)
			}
		case len(arrived) == 0:
			j.fault(HeaderLost, Lost, f, []string{name}, "%s was lost", name)
		default:
			j.fault(HeaderChanged, Lost, f, []string{name}, "%s", lines(name, sent, arrived))
		}
	}
	return v
}

// lines says how the lines of a header differ.
func lines(name string, sent, arrived []string) string {
	missing := less(sent, arrived)
	switch extra := less(arrived, sent); {
	case len(missing) == 0 && len(extra) == 0:
		return "the values of " + name + " arrived in another order"
	case len(missing) == 0:
		return name + " arrived as sent, and with another line beside it"
	case len(extra) == 0:
		return fmt.Sprintf("%d of %d values of %s did not arrive", len(missing), len(sent), name)
	default:
		return name + " arrived with another value"
	}
}

// less returns what is in a and not in b, as often.
func less(a, b []string) []string {
	left := slices.Clone(b)
	var missing []string
	for _, v := range a {
		if i := slices.Index(left, v); i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		missing = append(missing, v)
	}
	return missing
}

func (j *judge) requestID(f Family) Verdict {
	const name = "x-request-id"
	sent, arrived := j.sent.Values(name), j.arrived.Values(name)
	same := func(a, b string) bool { return a == b || j.want.Sidecars && wire.SameRequest(a, b) }
	if len(sent) == 1 && sent[0] == "" {
		sent = nil
	}
	if j.spoiled[name] {
		return NotThere
	}
	severity := Lost
	if len(sent) == 1 && !wire.IsUUID(sent[0]) {
		severity = j.strict(Lost) // sidecars make UUIDs: only a client's own ID is replaced
	}
	switch {
	case len(sent) == 0 && len(arrived) == 0:
		return NotThere
	case len(sent) == 0 && len(arrived) > 1:
		j.fault(NotSent, j.relay(), f, f.Headers, "%d x-request-id arrived, and none was sent", len(arrived))
	case len(sent) == 0:
		if !wire.IsUUID(arrived[0]) {
			j.fault(RequestIDNotUUID, j.strict(Lost), f, f.Headers, "the x-request-id that was made where none came in is not a UUID")
		}
		return Begun
	case len(arrived) == 0:
		j.fault(RequestIDLost, severity, f, f.Headers, "x-request-id was lost")
	case slices.EqualFunc(sent, arrived, same):
		return Relayed
	case slices.ContainsFunc(arrived, func(v string) bool { return strings.Contains(v, ",") && strings.Contains(v, sent[0]) }):
		j.fault(RequestIDTwice, Lost, f, f.Headers, "x-request-id arrived joined with another ID")
	case len(arrived) > 1 && !slices.ContainsFunc(arrived, func(v string) bool { return !same(v, sent[0]) }):
		j.fault(RequestIDTwice, Lost, f, f.Headers, "x-request-id arrived as sent, %d times", len(arrived))
	case len(arrived) > 1 && slices.ContainsFunc(arrived, func(v string) bool { return same(v, sent[0]) }):
		j.fault(RequestIDTwice, Lost, f, f.Headers, "x-request-id arrived as sent, and a second one beside it")
	default:
		j.fault(RequestIDChanged, severity, f, f.Headers, "x-request-id %s", j.made("arrived as another ID"))
		if len(arrived) == 1 && !wire.IsUUID(arrived[0]) {
			j.fault(RequestIDNotUUID, severity, f, f.Headers, "the new x-request-id is not a UUID")
		}
	}
	return Relayed
}

func (j *judge) baggage(f Family) Verdict {
	sent, arrived := j.sent.Values("baggage"), j.arrived.Values("baggage")
	in, _ := wire.Baggage(sent)
	out, err := wire.Baggage(arrived)
	switch {
	case j.spoiled["baggage"]:
	case !filled(j.sent, "baggage"):
		if len(arrived) > 0 && j.want.Spans.relays() {
			j.fault(NotSent, Lost, f, f.Headers, "baggage arrived and was not sent")
		}
		return NotThere
	case slices.Equal(sent, arrived):
	case len(arrived) == 0:
		j.fault(StateLost, Lost, f, f.Headers, "baggage was lost").why =
			"The service that reads the members further on misses them."
	default:
		j.members(f, in, out, err)
	}
	return Relayed
}

// members finds those that are missing or changed in a set.
func (j *judge) members(f Family, in, out []wire.Member, err error) {
	byHeader := make(map[string][]string)
	var headers []string
	for _, m := range in {
		what := ""
		switch i := slices.IndexFunc(out, func(o wire.Member) bool { return o.Header == m.Header && o.Key == m.Key }); {
		case slices.Contains(out, m):
			continue
		case i < 0 && m.Key == "":
			what = m.Header + " was lost"
		case i < 0:
			what = fmt.Sprintf("%s was lost", m)
		case m.Value == out[i].Value:
			what = fmt.Sprintf("%s arrived with the properties %q in place of %q", m, out[i].Properties, m.Properties)
		default:
			what = fmt.Sprintf("%s arrived as %q, and %q was sent", m, out[i].Value, m.Value)
		}
		if byHeader[m.Header] == nil {
			headers = append(headers, m.Header)
		}
		byHeader[m.Header] = append(byHeader[m.Header], what)
	}
	for _, name := range headers {
		what := strings.Join(byHeader[name], "; ")
		if err != nil {
			what += " (" + oneLine(err) + ")"
		}
		if !filled(j.arrived, name) {
			what = name + " was lost"
		}
		j.fault(StateLost, Lost, f, []string{name}, "%s", what).why = stateWhy(name, what)
	}
}

// stateWhy says what the loss of what travels beside a trace costs.
func stateWhy(name, what string) string {
	switch {
	case name == "baggage":
		return "The service that reads the member further on misses it, or reads another value."
	case name == "tracestate":
		return "traceparent still names the trace. What is missed is what a vendor's tracer or sampler keeps there for itself, such as its own span or a sampling threshold."
	case name == "x-datadog-tags" && strings.Contains(what, "_dd.p.tid"), name == "x-datadog-tags" && strings.HasSuffix(what, "was lost"):
		return "x-datadog-tags has the upper half of the trace ID, _dd.p.tid: a reader of 128 bits, such as traceparent's, sees another trace."
	case name == "x-datadog-origin":
		return "The trace goes on. What is missed is where it came from, such as a synthetic test."
	case name == "sw8-correlation":
		return "sw8 still names the trace. What is missed are the members that services put there to read further on."
	case name == "sw8-x":
		return "sw8 still names the trace. What is missed is whether it is to be analyzed, and when the message was sent."
	}
	return ""
}

// tracestate finds members that are missing or changed, or that arrived in
// another order. The service's own tracer puts its member in front.
func (j *judge) tracestate(f Family, in, out []wire.Member, err error) {
	names := []string{"tracestate"}
	var wrong []string
	var kept []string // of in, as out has them
	at := func(state []wire.Member, key string) int {
		return slices.IndexFunc(state, func(m wire.Member) bool { return m.Key == key })
	}
	for _, m := range in {
		switch i := at(out, m.Key); {
		case i < 0:
			wrong = append(wrong, fmt.Sprintf("member %s was lost", m.Key))
		case slices.Contains(out, m):
		case i == 0 && !j.want.Spans.relays(): // a tracer's own, renewed
		default:
			wrong = append(wrong, fmt.Sprintf("member %s arrived as %q, and %q was sent", m.Key, out[i].Value, m.Value))
		}
	}
	for i, m := range out {
		if was := at(in, m.Key); was >= 0 && (i > 0 || in[was] == m) && !slices.Contains(kept, m.Key) {
			kept = append(kept, m.Key)
		}
	}
	var order []string
	for _, m := range in {
		if slices.Contains(kept, m.Key) && !slices.Contains(order, m.Key) {
			order = append(order, m.Key)
		}
	}
	if !slices.Equal(order, kept) {
		wrong = append(wrong, fmt.Sprintf("the members %s arrived in the order %s", And(order), And(kept)))
	}
	if len(wrong) == 0 {
		return
	}
	what := "tracestate: " + strings.Join(wrong, "; ")
	if !filled(j.arrived, "tracestate") {
		what = "tracestate was lost"
	} else if err != nil {
		what += " (" + oneLine(err) + ")"
	}
	fault := j.fault(StateLost, Lost, f, names, "%s", what)
	fault.why = stateWhy("tracestate", what)
	if len(wrong) == 1 && strings.Contains(what, "in the order") {
		fault.why = "The order says which tracer was there last, and where a list is too long members are dropped from its end: W3C keeps the order of members that were not changed."
	}
}

// rows says of each header what became of it.
func (j *judge) rows() []Row {
	promised := Headers(j.want.Families)
	verdicts := make(map[string]Verdict)
	for _, r := range j.readings {
		for _, name := range r.Family.Headers {
			verdicts[name] = r.Verdict
		}
	}
	wrong := make(map[string]Severity)
	noted := make(map[string]Kind)
	for _, f := range j.faults {
		for _, name := range f.Headers {
			wrong[name] = max(wrong[name], f.Severity)
			if f.Severity == Note {
				noted[name] = f.Kind
			}
		}
	}
	var rows []Row
	for _, name := range allHeaders(j.want.Families) {
		r := Row{Name: name, Sent: j.sent.Values(name), Arrived: j.arrived.Values(name), Promised: slices.Contains(promised, name), Wrong: wrong[name] > Note}
		sent, arrived := len(r.Sent) > 0, len(r.Arrived) > 0
		v := verdicts[name]
		switch {
		case !sent && !arrived:
			continue
		case slices.Equal(r.Sent, r.Arrived) && noted[name] == Stale:
			r.Became = RowStale
		case slices.Equal(r.Sent, r.Arrived):
			r.Became = RowRelayed
		case !arrived && r.Promised && !r.Wrong && v != WasBroken:
			r.Became = RowLeftOut
		case !arrived:
			r.Became = RowLost
		case !sent && r.Wrong:
			r.Became = RowInvented
		case !sent:
			r.Became = RowAdded
		case r.Promised && !r.Wrong && v == Relayed:
			r.Became = RowSame
		case r.Promised && !r.Wrong && v != WasBroken:
			r.Became = RowSpan
		default:
			r.Became = RowChanged
		}
		rows = append(rows, r)
	}
	return rows
}
