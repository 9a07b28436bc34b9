package otelprop

import (
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// position is a place in a trace, as one format names it. Its zero value names
// none.
type position struct {
	traceID trace.TraceID
	spanID  trace.SpanID
	parent  trace.SpanID     // B3 alone has one
	flags   trace.TraceFlags // of traceparent
	state   state            // of B3
	short   bool             // the trace ID came with 16 digits
}

// state is B3's sampling state.
type state uint8

const (
	deferred state = iota // no decision: the receiver decides
	denied
	accepted
	debug
)

func (p position) valid() bool { return p.spanID.IsValid() }

// parseMulti reads x-b3-* headers. It reports false if they hold neither a
// usable position nor a decision. Nothing malformed is repaired: a wrong guess
// would hang spans below a stranger.
func parseMulti(traceID, spanID, parent, sampled, flags string) (p position, ok bool) {
	switch {
	case sampled == "":
	case sampled == "1" || isWord(sampled, "true"):
		p.state = accepted
	case sampled == "0" || isWord(sampled, "false"):
		p.state = denied
	default:
		return position{}, false
	}
	if flags == "1" {
		p.state = debug
	}
	if traceID == "" && spanID == "" {
		return p, p.state != deferred
	}
	if !p.setIDs(traceID, spanID, parent) {
		return position{}, false
	}
	return p, true
}

// isWord reports whether s is the word, in any case. Unicode's case folding,
// which takes \u017f for an s, makes it longer.
func isWord(s, word string) bool {
	return len(s) == len(word) && strings.EqualFold(s, word)
}

// parseSingle reads {trace}-{span}[-{state}[-{parent}]], or a state alone.
func parseSingle(v string) (p position, ok bool) {
	if len(v) == 1 {
		ok = p.setState(v)
		return p, ok
	}
	traceID, v, _ := strings.Cut(v, "-")
	spanID, v, hasState := strings.Cut(v, "-")
	state, parent, hasParent := strings.Cut(v, "-")
	if !p.setIDs(traceID, spanID, parent) || hasState && !p.setState(state) ||
		hasParent && (parent == "" || strings.Contains(parent, "-")) {
		return position{}, false
	}
	return p, true
}

// setIDs reports false for IDs that are malformed or zero. A parent that is,
// is none.
func (p *position) setIDs(traceID, spanID, parent string) bool {
	p.short = len(traceID) == 16
	dst := p.traceID[:]
	if p.short {
		dst = p.traceID[8:]
	}
	if !unhex(p.parent[:], parent) {
		p.parent = trace.SpanID{}
	}
	return unhex(dst, traceID) && unhex(p.spanID[:], spanID) && p.traceID.IsValid() && p.spanID.IsValid()
}

func (p *position) setState(v string) bool {
	switch v {
	case "0":
		p.state = denied
	case "1":
		p.state = accepted
	case "d":
		p.state = debug
	default:
		return false
	}
	return true
}

// unhex decodes the lower-case hex digits of s, which must fill dst exactly.
func unhex(dst []byte, s string) bool {
	if len(s) != 2*len(dst) {
		return false
	}
	for i := range dst {
		hi, lo := digit(s[2*i]), digit(s[2*i+1])
		if hi|lo > 0xf {
			return false
		}
		dst[i] = hi<<4 | lo
	}
	return true
}

func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}
