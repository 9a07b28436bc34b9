package hop

import (
	"slices"

	"github.com/tracebaton/tracebaton/internal/wire"
)

// formats are those of each family that names a place in a trace, in the order
// in which its readers believe them, and the headers that each is made of.
var formats = map[string][]struct {
	format  wire.Format
	headers []string
}{
	"b3": {
		{wire.B3Single, []string{"b3"}},
		{wire.B3Multi, []string{"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"}},
	},
	"w3c":          {{wire.W3C, []string{"traceparent"}}},
	"datadog":      {{wire.Datadog, []string{"x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority"}}},
	"skywalking":   {{wire.SkyWalking, []string{"sw8"}}},
	"google-cloud": {{wire.GoogleCloud, []string{"x-cloud-trace-context"}}},
	"xray":         {{wire.XRay, []string{"x-amzn-trace-id"}}},
	"jaeger":       {{wire.Jaeger, []string{"uber-trace-id"}}},
}

// placed reports whether the context names a trace.
func placed(c wire.Context) bool { return c.Err == nil && c.Trace != "" }

// headersOf returns the headers that a format is made of.
func headersOf(format wire.Format) []string {
	for _, of := range formats {
		for _, f := range of {
			if f.format == format {
				return f.headers
			}
		}
	}
	return nil
}

func find(contexts []wire.Context, format wire.Format) (wire.Context, bool) {
	i := slices.IndexFunc(contexts, func(c wire.Context) bool { return c.Format == format })
	if i < 0 {
		return wire.Context{}, false
	}
	return contexts[i], true
}

// trace judges a family that names a place in a trace.
func (j *judge) trace(f Family) Verdict {
	var sent, arrived []wire.Context // in the order of belief
	var place []string
	in, out := wire.Read(j.sent), wire.Read(j.arrived)
	damaged := false
	for _, form := range formats[f.Name] {
		if !slices.ContainsFunc(form.headers, func(name string) bool { return slices.Contains(f.Headers, name) }) {
			continue
		}
		place = append(place, form.headers...)
		if c, ok := find(in, form.format); ok && len(filledOf(j.sent, form.headers)) > 0 {
			sent = append(sent, c)
		}
		spoiled := slices.ContainsFunc(form.headers, func(name string) bool { return j.spoiled[name] })
		if c, ok := find(out, form.format); ok && !spoiled && len(filledOf(j.arrived, form.headers)) > 0 {
			arrived = append(arrived, c)
		}
		damaged = damaged || spoiled
	}
	if len(sent) == 0 {
		return j.begun(f, arrived)
	}

	main := sent[0]
	for _, c := range sent {
		if placed(c) && !placed(main) {
			main = c
		}
	}
	if len(arrived) == 0 {
		if !damaged {
			j.gone(f, main, filledOf(j.sent, place))
		}
		return NotThere
	}
	verdict := NotThere
	before := len(j.faults)
	for _, o := range arrived {
		i, ok := find(sent, o.Format)
		if !ok && o.Err == nil && !placed(o) && placed(main) {
			// The other format of B3 has the IDs; this one is a decision beside it.
			if o.Decision.Sampled() != main.Decision.Sampled() {
				names := filledOf(j.arrived, headersOf(o.Format))
				j.fault(NoInvented, Broken, f, names, "%s says %s, and no such decision was sent", o.Format, o.Decision).why = invented(o)
			}
			continue
		}
		if !ok || !placed(i) && placed(o) {
			i = main
		}
		if v := j.compare(f, i, o); verdict == NotThere || v == Continued {
			verdict = v
		}
	}
	j.oneFormat(f, sent, arrived, verdict)
	broken := slices.ContainsFunc(j.faults[before:], func(f Fault) bool { return f.Severity == Broken })
	if i, o := main, arrived[0]; !broken && placed(i) && placed(o) {
		j.state(f, i, o)
	}
	return verdict
}

// begun judges what arrived where nothing of the family was sent.
func (j *judge) begun(f Family, arrived []wire.Context) Verdict {
	v := NotThere
	for _, o := range arrived {
		names := filledOf(j.arrived, headersOf(o.Format))
		switch {
		case placed(o):
			v = Begun
			if j.want.Spans == NoSpans || j.want.Spans == DroppedSpans && o.Decision.Sampled() {
				j.fault(NotSent, Broken, f, names, "%s", are(names, "arrived and was not sent", "arrived and were not sent"))
			}
		case o.Err != nil:
			j.fault(Malformed, Broken, f, names, "%s cannot be read: %s", o.Format, oneLine(o.Err))
		default:
			j.fault(NoInvented, Broken, f, names, "%s says %s, and no decision was sent", o.Format, o.Decision).why = invented(o)
		}
	}
	state := slices.DeleteFunc(filledOf(j.arrived, f.Headers), func(name string) bool { return j.spoiled[name] || filled(j.sent, name) })
	if v == NotThere && len(arrived) == 0 && len(state) > 0 && j.want.Spans.relays() {
		j.fault(NotSent, Lost, f, state, "%s", are(state, "arrived and was not sent", "arrived and were not sent"))
	}
	return v
}

func invented(o wire.Context) string {
	if o.Decision.Sampled() {
		return "Envoy takes it for a decision: every request is recorded from here on, whatever the mesh's rate is."
	}
	return "Envoy takes it for a decision and stops tracing there: the rest of the request is missing in the trace store."
}

// gone says that nothing of a family arrived.
func (j *judge) gone(f Family, i wire.Context, names []string) {
	switch {
	case placed(i):
		all := filledOf(j.sent, f.Headers)
		j.fault(TraceLost, Broken, f, all, "%s was lost: nothing of %s arrived", f.Title, And(all))
	case i.Err == nil && i.Decision != wire.Deferred:
		j.fault(DecisionLost, Overridden, f, names, "the decision %s was lost", written(i))
	}
}

// compare judges one format that arrived by the one that was sent.
func (j *judge) compare(f Family, i, o wire.Context) Verdict {
	sent, arrived := filledOf(j.sent, headersOf(i.Format)), filledOf(j.arrived, headersOf(o.Format))
	if i.Err != nil {
		return NotThere // nothing can be said of what was not right when it was sent
	}
	if o.Err != nil {
		j.unreadable(f, o, sent, arrived)
		return NotThere
	}
	if !placed(i) {
		return j.decisionAlone(f, i, o)
	}
	names := j.differ(headersOf(o.Format)...)
	if !placed(o) {
		j.fault(Torn, Broken, f, names, "the IDs of %s were lost, and its decision arrived", o.Format)
		return NotThere
	}
	if !sameTrace(i, o) {
		if len(i.Trace) == 32 && len(o.Trace) == 32 && o.Trace == zero16+i.Trace[16:] {
			j.fault(Truncated, Broken, f, names, "the 128-bit trace ID arrived with 16 digits in %s", o.Format)
		} else {
			phrase := j.made("names another trace than the one that was sent")
			j.fault(OtherTrace, Broken, f, names, "%s %s", o.Format, phrase).why = newTraceWhy(j.sidecar)
		}
		return NotThere
	}
	if i.Digits == 16 && o.Digits == 32 && f.Name == "b3" {
		j.fault(Padded, j.relay(), f, j.differ(headersOf(o.Format)[0]), "the 64-bit trace ID arrived with 32 digits in %s", o.Format)
	}
	if i.Random && !o.Random {
		j.fault(RandomLost, j.relay(), f, names, "the random flag was lost from traceparent")
	}
	j.in = append(j.in, i)
	if i.Span == o.Span {
		j.parent(f, i, o)
		j.decision(f, i, o)
		j.same = append(j.same, o)
		return Relayed
	}
	j.fresh = append(j.fresh, o)
	switch {
	case o.Span == "":
		j.fault(Torn, j.strict(Broken), f, names, "%s names the trace, and no span any more", o.Format)
	case j.want.Spans.relays():
		j.fault(Phantom, Broken, f, names, "%s names a span that nobody exports", o.Format)
	case o.Span == i.Parent:
		j.fault(WrongParent, j.strict(Broken), f, names, "%s names the span's parent in place of the span", o.Format)
	case o.Parent != "" && o.Parent == i.Parent:
		j.fault(WrongParent, j.strict(Lost), f, parentOf(o), "%s names a new span below the caller's own parent", o.Format)
	case o.Parent != "" && o.Parent == o.Span:
		j.fault(WrongParent, j.strict(Lost), f, parentOf(o), "%s names a span that is its own parent", o.Format)
	}
	j.decision(f, i, o)
	return Continued
}

const zero16 = "0000000000000000"

// sameTrace reports whether readers take the two for one trace. Datadog's
// upper half is a tag, which is judged for itself if it is missing.
func sameTrace(i, o wire.Context) bool {
	if i.Format == wire.Datadog && len(i.Trace) == 32 && len(o.Trace) == 32 && (i.Trace[:16] == zero16 || o.Trace[:16] == zero16) {
		return i.Trace[16:] == o.Trace[16:]
	}
	return i.Trace == o.Trace
}

func newTraceWhy(sidecar bool) string {
	why := "What this service calls is drawn in a trace of its own: the request is in pieces in the trace store."
	if sidecar {
		why += " A sidecar begins a trace where a call comes without one. Where the service's own tracer begins it, it looks the same from here."
	}
	return why
}

// parentOf returns the header in which a format names a parent.
func parentOf(o wire.Context) []string {
	if o.Format == wire.B3Multi {
		return []string{"x-b3-parentspanid"}
	}
	return headersOf(o.Format)[:1]
}

// unreadable says what is wrong with what arrived.
func (j *judge) unreadable(f Family, o wire.Context, sent, arrived []string) {
	for _, name := range arrived {
		if n := len(j.arrived.Values(name)); n > 1 {
			how := "with different values"
			if values := slices.Clone(j.arrived.Values(name)); len(slices.Compact(values)) == 1 {
				how = "with the same value"
			}
			j.fault(Repeated, Broken, f, []string{name}, "%s is there %d times, %s", name, n, how)
			return
		}
	}
	if missing := less(sent, arrived); len(missing) > 0 && len(missing) < len(sent) && len(less(arrived, sent)) == 0 && o.Format == wire.B3Multi {
		j.fault(Torn, Broken, f, missing, "%s from %s, and the rest arrived", are(missing, "was lost", "were lost"), o.Format)
		return
	}
	j.fault(Malformed, Broken, f, j.differ(arrived...), "%s cannot be read: %s", o.Format, oneLine(o.Err))
}

// decisionAlone judges what arrived where a decision without IDs was sent.
func (j *judge) decisionAlone(f Family, i, o wire.Context) Verdict {
	names := j.differ(headersOf(o.Format)...)
	v := Relayed
	if placed(o) {
		v = Continued
		if j.want.Spans == NoSpans || j.want.Spans == DroppedSpans && o.Decision.Sampled() {
			j.fault(NotSent, Broken, f, names, "%s", are(names, "arrived and was not sent", "arrived and were not sent"))
			return v
		}
	}
	switch was, is := i.Decision, o.Decision; {
	case was == is:
	case is == wire.Deferred:
		j.fault(DecisionLost, Overridden, f, names, "the decision %s was lost", written(i))
	case placed(o) && is.Sampled():
		// A tracer that sees no decision without IDs may record what nobody
		// asked for, and does not know of debug.
		j.root(f, Note, i, o, names)
	case placed(o):
		// It must not leave out what somebody asked for.
		j.root(f, Overridden, i, o, names)
	case was.Sampled() && is.Sampled():
		j.debugLost(f, j.strict(Overridden), i, o, names)
	default:
		j.changed(f, i, o, names)
		last := &j.faults[len(j.faults)-1]
		last.why = "The next hop obeys it. A B3 propagator of OpenTelemetry writes 0 in a service that makes no span."
		last.do = "Pass the decision on as it came. In Go, otelprop.Propagator and middleware.Relay do."
	}
	return v
}

// root says that a new trace decides otherwise than the decision without IDs
// that came in.
func (j *judge) root(f Family, severity Severity, i, o wire.Context, names []string) {
	fault := j.fault(RootDecided, severity, f, names, "%s was sent alone, and %s begins a trace that is %s", written(i), o.Format, o.Decision)
	if severity == Overridden {
		fault.why = "A decision without IDs names no parent, so that the tracer asked its sampler for roots, which said no. What somebody asked to be recorded is not."
	}
}

// decision compares what i and o say of sampling.
func (j *judge) decision(f Family, i, o wire.Context) {
	names := j.differ(deciders(o)...)
	switch was, is := i.Decision, o.Decision; {
	case was == is:
	case f.Name == "skywalking":
		// Envoy makes a span whatever sw8 says, and writes 1.
		j.fault(DecisionChanged, Note, f, names, "sw8 says %s, and %s was sent", is, was)
	case was == wire.Deferred:
		// Who makes spans may decide.
		switch {
		case !j.want.Spans.relays():
		case is == wire.Denied:
			j.fault(NoInvented, Broken, f, names, "%s says %s, and no decision was sent", o.Format, is)
		default:
			j.fault(NotSent, Lost, f, names, "%s says %s, and no decision was sent", o.Format, is)
		}
	case was.Sampled() && is.Sampled():
		j.debugLost(f, j.strict(Overridden), i, o, names)
	case is == wire.Deferred:
		j.fault(DecisionLost, Overridden, f, names, "the decision %s was lost", written(i))
	default:
		j.changed(f, i, o, names)
	}
}

func (j *judge) debugLost(f Family, severity Severity, i, o wire.Context, names []string) {
	if i.Decision == wire.Debug {
		j.fault(DebugLost, severity, f, names, "%s was sent, and %s says %s", written(i), o.Format, o.Decision)
		return
	}
	why := "Samplers further on must record a debug request: more is recorded than anybody asked for."
	if o.Format == wire.Jaeger {
		why += " OpenTelemetry's propagator for Python writes its own flags, in which Jaeger's bit for debug is set for random trace IDs."
	}
	j.fault(DebugLost, severity, f, names, "%s says debug, and %s was sent", o.Format, written(i)).why = why
}

// changed says in which direction a decision was overridden, and what does so.
func (j *judge) changed(f Family, i, o wire.Context, names []string) {
	direction, sampler := "not sampled became sampled", "A trace is recorded as a whole or not at all. A sampler that asks nobody, such as always_on, records a piece of a trace that nobody else records."
	if i.Decision.Sampled() {
		direction, sampler = "sampled became not sampled", "A trace is recorded as a whole or not at all. A sampler that asks nobody, such as always_off or a ratio of trace IDs, leaves a hole in the trace, and all services behind it obey."
	}
	j.fault(DecisionChanged, Overridden, f, names, "%s: %s was sent, and %s says %s", direction, written(i), o.Format, o.Decision).why = sampler
}

// deciders returns the headers in which a format says its decision.
func deciders(c wire.Context) []string {
	switch c.Format {
	case wire.B3Multi:
		return []string{"x-b3-sampled", "x-b3-flags"}
	case wire.Datadog:
		return []string{"x-datadog-sampling-priority"}
	}
	return headersOf(c.Format)[:1]
}

// written returns how i says what is to be recorded.
func written(i wire.Context) string {
	yes := "0"
	if i.Decision.Sampled() {
		yes = "1"
	}
	switch {
	case i.Format == wire.W3C:
		return "traceparent with the flags 0" + yes
	case i.Format == wire.B3Single && i.Decision == wire.Debug:
		return "b3 with the state d"
	case i.Format == wire.B3Single:
		return "b3 with the state " + yes
	case i.Format == wire.B3Multi && i.Decision == wire.Debug:
		return "x-b3-flags: 1"
	case i.Format == wire.B3Multi:
		return "x-b3-sampled: " + yes
	}
	return string(i.Format) + " with " + i.Decision.String()
}

// parent compares the parents of a span that was passed on as it came.
func (j *judge) parent(f Family, i, o wire.Context) {
	switch {
	case i.Format != o.Format || i.Parent == o.Parent || f.Name != "b3":
		// Only a lost zero parent can be told from none in B3.
		if o.Format == wire.B3Multi && i.Format == o.Format && i.Parent == "" && filled(j.arrived, "x-b3-parentspanid") && !filled(j.sent, "x-b3-parentspanid") {
			j.fault(NotSent, j.relay(), f, parentOf(o), "x-b3-parentspanid arrived and was not sent")
		}
	case o.Parent == "":
		j.fault(ParentLost, j.relay(), f, parentOf(o), "the span's parent was lost from %s", o.Format)
	default:
		j.fault(WrongParent, j.strict(Lost), f, parentOf(o), "%s names another parent than was sent", o.Format)
	}
}

// oneFormat finds a format of B3 that was sent and did not arrive, while the
// other, which says the same, did.
func (j *judge) oneFormat(f Family, sent, arrived []wire.Context, v Verdict) {
	if !j.want.Spans.relays() || v == NotThere {
		return
	}
	for _, i := range sent {
		if _, ok := find(arrived, i.Format); ok || !placed(i) && i.Decision == wire.Deferred {
			continue
		}
		if names := filledOf(j.sent, headersOf(i.Format)); !slices.ContainsFunc(names, func(name string) bool { return j.spoiled[name] }) {
			j.fault(OneFormat, Lost, f, names, "%s was lost, and %s arrived", i.Format, formatNames(arrived))
		}
	}
}

// state compares what travels beside a place in a trace.
func (j *judge) state(f Family, i, o wire.Context) {
	for _, name := range f.Headers {
		if j.spoiled[name] && name != "tracestate" {
			return
		}
	}
	switch f.Name {
	case "w3c":
		if !j.spoiled["tracestate"] {
			j.tracestate(f, i.State, o.State, o.StateErr)
		}
	case "datadog":
		in := slices.Clone(i.State)
		if i.Trace[:16] != zero16 && o.Trace[:16] == zero16 {
			in = append(in, wire.Member{Header: "x-datadog-tags", Key: "_dd.p.tid", Value: i.Trace[:16]})
		}
		j.members(f, in, o.State, o.StateErr)
	default:
		j.members(f, i.State, o.State, o.StateErr)
	}
}

// between compares the formats that arrived with one another.
func (j *judge) between() {
	switch fresh, same := own(j.fresh), own(j.same); {
	case len(fresh) > 0 && len(same) > 0:
		var names []string
		for _, s := range same {
			names = append(names, filledOf(j.arrived, headersOf(s.Format))...)
		}
		kind := Disagree
		if j.want.Spans == AnySpans {
			kind = Stale
		}
		which := "which names"
		if len(fresh) > 1 {
			which = "which name"
		}
		j.fault(kind, j.strict(Broken), Family{}, names, "%s arrived as sent, beside %s, %s a new span", formatNames(same), formatNames(fresh), which)
	case len(fresh) > 1:
		for n, o := range fresh {
			for _, p := range fresh[:n] {
				if o.Span != p.Span {
					j.fault(Disagree, j.strict(Broken), Family{}, []string{headersOf(p.Format)[0], headersOf(o.Format)[0]}, "%s and %s name different spans", p.Format, o.Format)
				}
			}
		}
	case len(same) > 0 && j.want.Spans == OwnSpans:
		if slices.ContainsFunc(j.in, func(i wire.Context) bool { return i.Decision.Sampled() && i.Span != "" }) {
			var names []string
			for _, s := range same {
				name := headersOf(s.Format)[0]
				if s.Format == wire.B3Multi {
					name = "x-b3-spanid"
				}
				names = append(names, name)
			}
			j.fault(NotChild, Broken, Family{}, names, "%s", are(names, "still names the caller's span", "still name the caller's span"))
		}
	}
}

// own returns those of the contexts that a service which makes spans writes
// for each of them.
func own(contexts []wire.Context) (own []wire.Context) {
	for _, c := range contexts {
		if c.Format == wire.B3Multi || c.Format == wire.B3Single || c.Format == wire.W3C {
			own = append(own, c)
		}
	}
	return own
}

// summarize says in one fault what many say: that nothing arrived, or nothing
// but the request ID.
func (j *judge) summarize() {
	if j.want.Spans == OwnSpans && len(j.fresh) > 0 {
		return
	}
	sent, kept := 0, 0
	var names []string
	requestID := false
	for _, r := range j.readings {
		had := filledOf(j.sent, r.Family.Headers)
		if len(had) == 0 {
			continue
		}
		sent += len(had)
		gone := slices.ContainsFunc(j.faults, func(f Fault) bool {
			return f.Family == r.Family.Title && (f.Gone() || f.Kind == StateLost)
		})
		there := len(filledOf(j.arrived, r.Family.Headers)) > 0
		switch {
		case gone && (!there || j.sidecar && made(j.faults, r.Family)):
			names = append(names, had...)
		case r.Family.Name == "request-id":
			requestID = true
		default:
			kept++
		}
	}
	if sent < 2 || kept > 0 || len(names) == 0 || requestID && len(names) < 2 {
		return
	}
	kind, what := AllLost, "none of the headers arrived"
	if requestID {
		kind, what = OnlyRequestID, "everything but x-request-id was lost"
	}
	if slices.ContainsFunc(names, func(name string) bool { return filled(j.arrived, name) }) {
		what += ", and the sidecar made new ones"
	}
	j.faults = slices.DeleteFunc(j.faults, func(f Fault) bool {
		return f.Family != "" && (!requestID || f.Family != "x-request-id")
	})
	j.fault(kind, Broken, Family{}, names, "%s", what)
}

// made reports whether the family was lost and made anew.
func made(faults []Fault, f Family) bool {
	return slices.ContainsFunc(faults, func(fault Fault) bool {
		return fault.Family == f.Title && (fault.Kind == OtherTrace || fault.Kind == RequestIDChanged)
	})
}
