package audit

import "fmt"

// problems tells what stands against trusting the store.
func (a *Auditor) problems(named []naming) []Problem {
	var out []Problem
	add := func(n int, kind, service, format string, args ...any) {
		if n > 0 {
			out = append(out, Problem{Kind: kind, Service: service, Count: n, Text: fmt.Sprintf(format, args...)})
		}
	}
	t := &a.total
	if t.spans > 0 && t.clients == 0 {
		add(1, "no-proxy-spans", "", "there is no span of an outgoing call: neither sidecars nor services have recorded any")
	}
	if loss := a.loss(); loss > 0.01 {
		add(t.lost, "missing-parent", "", "%.0f %% of the requests name a caller's span that is not stored: spans are lost, or each sidecar samples by itself", 100*loss)
	}
	for _, s := range a.service {
		// Far beyond what is lost elsewhere.
		if others := t.child - s.child; s.lost >= 10 && others > 0 && 5*s.lost > s.child &&
			atLeast(s.lost, s.child, 2*float64(t.lost-s.lost)/float64(others)+0.01) < 1e-6 {
			add(s.lost, "sampling-split", s.name, "%d of %d requests name a caller's span that is not stored, many more than elsewhere: does the caller's sidecar decide by itself whether to record?", s.lost, s.child)
		}
	}
	for i, s := range a.service {
		// Calls whose parents are made up begin traces, and are a verdict. These
		// stay in the request's trace.
		if named[i].q[madeUp] > level && s.long == 0 && s.missing >= 10 && 5*s.missing > s.relayed &&
			atLeast(s.missing, s.relayed, 2*a.loss()+0.01) < 1e-6 {
			add(s.missing, "missing-parent", s.name, "%d of %d calls name a parent that is not stored, many more than elsewhere: does its own tracer export its spans to this store?", s.missing, s.relayed)
		}
		if !s.twoFormats() {
			continue
		}
		d := &s.doubled
		verdict := speaks(a.service[d.own].speaks(), s.speaks())
		add(d.hits, "two-formats", s.name, "%s. %d of its sidecars' %d calls lie inside a call of its own tracer that belongs to another trace: neither reads what the other writes. Let the service speak its sidecars' format too%s",
			verdict, d.hits, d.of, propagators[s.speaks()])
		out[len(out)-1].Verdict = verdict
	}
	add(t.negative+t.skewed, "clock", "", "spans that end before they begin, or begin a second before their caller: %d; a clock is wrong, or was set", t.negative+t.skewed)
	add(t.twice, "duplicate-ids", "", "spans that are stored twice: %d", t.twice)
	add(t.nameless, "names", "", "spans left out, since there are more than %d services, pods or hosts: %d", maxNames, t.nameless)
	add(t.late, "late", "", "spans left out, since they came after more than %d later ones: %d", Window/2, t.late)
	add(t.long, "long-requests", "", "requests left out, since they last for more than a minute: %d", t.long)
	return out
}

// twoFormats reports whether the sidecar and the service's own tracer are two
// trees that interlock.
func (s *service) twoFormats() bool {
	d := &s.doubled
	return d.of >= 10 && 10*d.hits >= 8*d.of && d.chance < 0.5*float64(d.of)
}

// speaks returns the format of most spans that tell.
func (s *service) speaks() Format {
	most := Unknown
	for f := B3; f < formats; f++ {
		if n := s.format[f]; n > 0 && (most == Unknown || n > s.format[most]) {
			most = f
		}
	}
	return most
}

// propagators are the settings by which OpenTelemetry's SDKs speak W3C and what
// the sidecars speak. What is read last counts.
var propagators = [formats]string{
	B3:     ", with OTEL_PROPAGATORS=tracecontext,baggage,b3multi for instance",
	W3C:    ", with OTEL_PROPAGATORS=tracecontext,baggage for instance",
	Jaeger: ", with OTEL_PROPAGATORS=tracecontext,baggage,jaeger for instance",
}

// speaks says what a service speaks, and its sidecars. If both seem to speak the
// same, the service's tracer has been told to speak something else than it does
// by default.
func speaks(own, sidecars Format) string {
	switch {
	case own == Unknown && sidecars == Unknown:
		return "speaks another format than its sidecars"
	case own == sidecars || own == Unknown:
		return fmt.Sprintf("does not speak %s, as its sidecars do", sidecars)
	}
	return fmt.Sprintf("speaks %s, its sidecars %s", own, sidecars)
}
