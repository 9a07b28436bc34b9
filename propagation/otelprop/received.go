package otelprop

import (
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/propagation"
)

// received is what the headers of a snapshot say of the trace.
type received struct {
	b3, w3c       position
	single, multi bool // which forms of B3 came in, if only malformed
	decided       bool // B3 came with a decision and no IDs

	tracestate string // as one list
}

// read reads the B3 and W3C headers of h. A header that comes twice where one
// is meant is malformed.
func read(h propagation.Headers) (in received) {
	const twice = "-"
	var single, traceID, spanID, parent, sampled, flags, traceparent string
	set := func(dst *string, value string) {
		if *dst != "" {
			value = twice
		}
		*dst = value
	}
	for name, value := range h.All() {
		switch name {
		case "b3":
			in.single = true
			set(&single, value)
			continue
		case "traceparent":
			set(&traceparent, value)
			continue
		case "tracestate":
			if in.tracestate != "" {
				in.tracestate += ","
			}
			in.tracestate += value
			continue
		case "x-b3-traceid":
			set(&traceID, value)
		case "x-b3-spanid":
			set(&spanID, value)
		case "x-b3-parentspanid":
			set(&parent, value)
		case "x-b3-sampled":
			set(&sampled, value)
		case "x-b3-flags":
			set(&flags, value)
		default:
			continue
		}
		in.multi = true
	}
	in.w3c = parseTraceparent(traceparent)
	several, _ := parseMulti(traceID, spanID, parent, sampled, flags)
	one, ok := parseSingle(single)
	// Envoy up to 1.39 reads b3 and writes x-b3-*, which are then the fresher.
	if !ok || one.valid() && several.valid() && one.traceID == several.traceID && one.spanID == several.parent {
		one = several
	}
	in.b3 = one
	in.decided = !one.valid() && one.state != deferred
	return in
}

// position returns the parent that is believed, or the zero position.
//
// Two formats that name different spans of one trace are not of the same age: a
// sidecar renews the one that it speaks. One that renews B3 writes the parent's
// ID, so that B3 without it is the older (seen in Envoy 1.38 to 1.40). Of
// different traces, the one that is listed first counts.
func (in *received) position(w3cFirst bool) position {
	same := in.b3.valid() && in.b3.traceID == in.w3c.traceID
	switch {
	case !in.b3.valid():
		return in.w3c
	case !in.w3c.valid():
		return in.b3
	case same && in.b3.spanID != in.w3c.spanID:
		w3cFirst = !in.b3.parent.IsValid()
	}
	if w3cFirst {
		return in.w3c
	}
	return in.b3
}

// parent returns the span that p names. What B3 cannot say comes from a
// traceparent of the same trace.
func (in *received) parent(p position) trace.SpanContext {
	cfg := trace.SpanContextConfig{TraceID: p.traceID, SpanID: p.spanID, TraceFlags: p.flags, Remote: true}
	if p.traceID == in.w3c.traceID {
		cfg.TraceState = in.state()
		cfg.TraceFlags = in.w3c.flags
	}
	if p.state != deferred {
		cfg.TraceFlags = cfg.TraceFlags.WithSampled(p.state != denied)
	}
	return trace.NewSpanContext(cfg)
}

// state returns what OpenTelemetry's parser makes of tracestate.
func (in *received) state() trace.TraceState {
	if in.tracestate == "" || !validTracestate(in.tracestate) {
		return trace.TraceState{}
	}
	state, _ := trace.ParseTraceState(in.tracestate)
	return state
}
