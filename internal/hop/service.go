package hop

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Call is one that a service made while a probe was under way, judged.
type Call struct {
	Name     string // method and path
	Header   http.Header
	Judgment Judgment
}

// Outcome is a probe and the calls that it led to.
type Outcome struct {
	Probe Probe
	Calls []Call
}

// Worst returns the index of the call with the worst fault.
func (o Outcome) Worst() int {
	at := 0
	for i, c := range o.Calls {
		if c.Judgment.Worst() > o.Calls[at].Judgment.Worst() {
			at = i
		}
	}
	return at
}

// Finding is a fault of a service, with where it showed first.
type Finding struct {
	Fault
	Probe string
	Call  string // method and path, and which of several it was, or they were
	Also  []string

	Sent, Arrived http.Header // of the first of these calls

	own     []string // of Headers, those that showed in this probe, if others did in others
	names   []string // of the calls
	numbers []string // of them, from 1
}

// calls says which calls the finding is of, of so many.
func (f *Finding) calls(of int) string {
	const most = 3
	what := And(f.names)
	if n := len(f.names) - most; n > 0 {
		what = And(append(slices.Clone(f.names[:most]), fmt.Sprintf("%d more", n)))
	}
	switch {
	case of == 1:
		return what
	case len(f.numbers) == 1:
		return fmt.Sprintf("%s, call %s of %d", what, f.numbers[0], of)
	case len(f.numbers) > most:
		return fmt.Sprintf("%s, %d of %d calls", what, len(f.numbers), of)
	}
	return fmt.Sprintf("%s, calls %s of %d", what, And(f.numbers), of)
}

// Summary is what all probes say of a service together.
type Summary struct {
	Severity Severity
	Headline string    // without a full stop
	Findings []Finding // but for notes, the worst first
	Notes    []Finding
	Readers  []Reading // the worst of each family, over all probes
	Advice   string    // -families to ask for, where one format is enough; or empty
}

// Summarize says what the outcomes of [Probes] mean for a service that has
// promised the families.
func Summarize(families []Family, outcomes []Outcome) Summary {
	s := &summary{families: families, verdicts: make(map[string]Verdict), gone: make(map[string]bool)}
	for _, o := range outcomes {
		s.add(o)
	}
	slices.SortStableFunc(s.findings, func(a, b Finding) int { return int(b.Severity) - int(a.Severity) })
	var sum Summary
	for _, f := range s.findings {
		if f.Severity == Note {
			sum.Notes = append(sum.Notes, f)
			continue
		}
		sum.Findings = append(sum.Findings, f)
		sum.Severity = max(sum.Severity, f.Severity)
	}
	for _, f := range families {
		sum.Readers = append(sum.Readers, Reading{f, s.verdicts[f.Name]})
	}
	sum.Headline, sum.Advice = s.headline(sum)
	return sum
}

// Tells reports whether a probe can tell something about a service of which the
// outcomes are known already: what becomes of one format alone says nothing
// more where that format is lost in any case.
func Tells(p Probe, families []Family, outcomes []Outcome) bool {
	s := &summary{families: families, verdicts: make(map[string]Verdict), gone: make(map[string]bool)}
	for _, o := range outcomes {
		s.add(o)
	}
	return p.needs == "" || !s.gone[titleOf(p.needs)]
}

type summary struct {
	families []Family
	findings []Finding
	verdicts map[string]Verdict
	gone     map[string]bool // titles of families that do not arrive in any case
}

func (s *summary) add(o Outcome) {
	if o.Probe.needs != "" && s.gone[titleOf(o.Probe.needs)] {
		return
	}
	var gone []string
	for n, c := range o.Calls {
		for _, r := range c.Judgment.Readings {
			s.verdict(o.Probe, r, c.Judgment)
		}
		for _, f := range c.Judgment.Faults {
			finding := Finding{Fault: f, Probe: o.Probe.Name, Sent: o.Probe.Sent, Arrived: c.Header, names: []string{c.Name}, numbers: []string{strconv.Itoa(n + 1)}}
			finding.Call = finding.calls(len(o.Calls))
			if o.Probe.onlyB3 && f.Family == "B3" && f.Severity > Note {
				// Sidecars begin traces in x-b3-*, which is asked for by itself.
				finding.Fault = alone(f)
			}
			if o.Probe.lines && c.Judgment.Sidecar && f.Severity == Lost {
				finding.Severity = Note
				finding.why = f.Why() + " A sidecar is on the way, and may have done it: Envoy's Datadog tracer keeps the first line of tracestate only."
			}
			if s.told(finding, len(o.Calls)) {
				continue
			}
			s.findings = append(s.findings, finding)
			if f.Gone() && f.Kind != DecisionLost && finding.Severity > Note {
				gone = append(gone, s.titles(f)...)
			}
		}
	}
	for _, title := range gone {
		s.gone[title] = true
	}
}

func titleOf(name string) string {
	if f, ok := Named(name); ok {
		return f.Title
	}
	return name
}

// titles returns the families that a fault is of.
func (s *summary) titles(f Fault) (titles []string) {
	if f.Family != "" {
		return []string{f.Family}
	}
	for _, name := range f.Headers {
		titles = append(titles, FamilyOf(name).Title)
	}
	return titles
}

// alone turns into a note what becomes of a trace, or a decision, that came in
// b3 alone. What a service makes up stays what it is.
func alone(f Fault) Fault {
	switch {
	case f.Kind == DecisionLost, f.Kind == DecisionChanged, f.Kind == RootDecided:
		f.Severity = Note
	case f.Gone():
		f.Kind, f.Severity = OneFormat, Note
		f.What, f.why = "a trace that comes in b3 alone ends here; x-b3-* do not need it", "Sidecars begin traces in x-b3-*, and since Envoy 1.40 renew b3 where it came in alone. It matters only where a caller of the mesh sends b3 alone."
	}
	return f
}

// told reports whether a finding says nothing new. What was found before takes
// in what is: other headers, and other ones of the calls that a probe led to.
func (s *summary) told(f Finding, calls int) bool {
	if f.Family != "" && s.gone[f.Family] && (f.Gone() || f.Kind == DecisionChanged || f.Kind == StateLost || f.Severity == Note) {
		return true
	}
	if f.Family == "" && f.Gone() && !slices.ContainsFunc(s.titles(f.Fault), func(title string) bool { return !s.gone[title] }) {
		return true
	}
	for i, g := range s.findings {
		switch {
		case g.Kind != f.Kind:
		case f.Kind == Empty && passedOn(g) == passedOn(f):
			s.findings[i] = g.and(f)
			return true
		case g.Severity < f.Severity:
		case g.What == f.What, len(less(f.Headers, g.Headers)) == 0 && direction(g) == direction(f):
			if g.Probe == f.Probe && g.What == f.What && !slices.Contains(g.numbers, f.numbers[0]) {
				g.names = slices.Clone(g.names)
				if !slices.Contains(g.names, f.names[0]) {
					g.names = append(g.names, f.names[0])
				}
				g.numbers = append(slices.Clone(g.numbers), f.numbers[0])
				g.Call = g.calls(calls)
				s.findings[i] = g
			}
			return true
		case f.Kind == DecisionChanged && direction(g) == direction(f), f.Kind == RootDecided && f.Family == g.Family, f.Kind == Stale, f.Kind == Disagree:
			// One cause, which shows in several formats.
			if !slices.Contains(g.Headers, f.Headers[0]) {
				s.findings[i].Headers = append(slices.Clone(g.Headers), f.Headers...)
				s.findings[i].Also = append(s.findings[i].Also, f.What)
			}
			return true
		}
	}
	return false
}

// and joins two findings of empty headers. It is told of the request that the
// worst of them showed in, with what else was empty there.
func (f Finding) and(g Finding) Finding {
	names := slices.Clone(f.Headers)
	names = append(names, less(g.Headers, names)...)
	worstEmpty(names)
	severity := max(f.Severity, g.Severity)
	if f.own == nil {
		f.own = f.Headers
	}
	if !slices.Contains(f.own, names[0]) {
		f = g
		f.own = g.Headers
	}
	f.Fault = emptyFault(f.own, severity, passedOn(f))
	f.Headers = names
	if others := less(names, f.own); len(others) > 0 {
		f.Also = []string{are(others, "did so in other requests")}
	}
	return f
}

// passedOn reports whether empty headers arrived as they were sent.
func passedOn(f Finding) bool { return strings.Contains(f.What, "passed on") }

// direction returns in which direction a decision was changed.
func direction(f Finding) string {
	if f.Kind != DecisionChanged {
		return ""
	}
	d, _, _ := strings.Cut(f.What, ":")
	return d
}

var order = []Verdict{NotThere, Begun, Relayed, Continued, WasLost, Overrode, WasBroken}

// verdict keeps the worst of a family's verdicts.
func (s *summary) verdict(p Probe, r Reading, j Judgment) {
	if p.onlyB3 && r.Family.Name == "b3" || p.lines && j.Sidecar && r.Verdict == WasLost {
		return
	}
	for _, f := range j.Faults {
		if f.Severity > Note && f.Gone() && slices.Contains(s.titles(f), r.Family.Title) {
			r.Verdict = max2(r.Verdict, map[Severity]Verdict{Broken: WasBroken, Overridden: Overrode, Lost: WasLost}[f.Severity])
		}
	}
	s.verdicts[r.Family.Name] = max2(s.verdicts[r.Family.Name], r.Verdict)
}

func max2(a, b Verdict) Verdict {
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// headline says in one line what became of the trace, and what to ask for
// where one format is enough.
func (s *summary) headline(sum Summary) (headline, families string) {
	var relayed, continued []string
	bad := make(map[string][]string)
	var words []string
	say := func(word, title string) {
		if bad[word] == nil {
			words = append(words, word)
		}
		bad[word] = append(bad[word], title)
	}
	ok := make(map[string]bool)
	for _, r := range sum.Readers {
		title := r.Family.Title
		switch r.Verdict {
		case Relayed, Continued:
			ok[r.Family.Name] = true
			if r.Verdict == Relayed {
				relayed = append(relayed, title)
			} else {
				continued = append(continued, title)
			}
		case NotThere, Begun:
		default:
			say(s.word(r, sum), title)
		}
	}
	var good []string
	if len(continued) > 0 {
		good = append(good, "continues the trace in "+And(continued))
	}
	if len(relayed) > 0 {
		good = append(good, "relays "+And(relayed))
	}
	_, b3 := s.verdicts["b3"]
	_, w3c := s.verdicts["w3c"]
	if b3 && w3c && len(ok) == len(sum.Readers)-1 && sum.Severity == Broken {
		switch {
		case !ok["b3"] && s.verdicts["b3"] == WasBroken:
			return "whole where sidecars read W3C; broken where they read B3", s.without("b3")
		case !ok["w3c"] && s.verdicts["w3c"] == WasBroken:
			return "whole where sidecars read B3; broken where they read W3C", s.without("w3c")
		}
	}
	if len(good) == 0 && len(words) == 0 {
		return "nothing was promised that was sent", ""
	}
	parts := good
	for _, word := range words {
		parts = append(parts, word+" "+And(bad[word]))
	}
	switch w := s.verdicts; {
	case b3 && w3c && w["b3"] == WasBroken && (w["w3c"] == Relayed || w["w3c"] == Continued):
		families = s.without("b3")
	case b3 && w3c && w["w3c"] == WasBroken && (w["b3"] == Relayed || w["b3"] == Continued):
		families = s.without("w3c")
	}
	return strings.Join(parts, "; "), families
}

// word says what is worst about a family.
func (s *summary) word(r Reading, sum Summary) string {
	for _, f := range sum.Findings { // the worst first
		if !slices.Contains(s.titles(f.Fault), r.Family.Title) && !slices.ContainsFunc(f.Headers, func(name string) bool { return slices.Contains(r.Family.Headers, name) }) {
			continue
		}
		switch f.Kind {
		case AllLost, OnlyRequestID, TraceLost, HeaderLost, RequestIDLost:
			return "drops"
		case RequestIDChanged:
			if strings.Contains(f.What, "made anew") {
				return "drops"
			}
			return "replaces"
		case RequestIDTwice, Repeated:
			return "repeats"
		case OtherTrace:
			if strings.Contains(f.What, "made anew") {
				return "drops"
			}
			return "begins a new trace in"
		case Empty:
			return "sends empty headers of"
		case Mixed:
			return "mixes up requests in"
		case NoInvented:
			return "makes up a decision in"
		case DecisionChanged:
			return "overrides sampling in"
		case DecisionLost, RootDecided:
			return "loses a decision in"
		case StateLost:
			return "loses part of"
		case HeaderChanged, Case:
			return "changes"
		}
		return "breaks"
	}
	return "breaks"
}

// without returns the names of the families but for one.
func (s *summary) without(name string) string {
	var names []string
	for _, f := range s.families {
		if f.Name != name {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, ",")
}
