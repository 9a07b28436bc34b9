package propagation

import (
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// b3Context is what B3 headers say.
type b3Context struct {
	traceID trace.TraceID
	spanID  trace.SpanID
	short   bool // the trace ID came with 16 digits
	state   b3State
}

type b3State uint8

const (
	b3Defer b3State = iota // no decision: the receiver decides
	b3Deny
	b3Accept
	b3Debug
)

func (c b3Context) hasIDs() bool { return c.spanID.IsValid() }

// b3Headers are the values of a request's B3 headers, by their place in the
// family, and which of them were repeated.
type b3Headers struct {
	values   [b3Count]string
	repeated uint8
}

// parseB3 reads B3 headers: the single one if it is valid, else the others. It
// reports false if there is neither a usable context nor a decision. Nothing
// malformed is repaired: a wrong guess would hang spans below a stranger.
func parseB3(h *b3Headers) (b3Context, bool) {
	if h.repeated&(1<<b3Single) == 0 {
		if c, ok := parseB3Single(h.values[b3Single]); ok {
			return c, true
		}
	}
	return parseB3Multi(h)
}

func parseB3Multi(h *b3Headers) (c b3Context, ok bool) {
	if h.repeated&(1<<b3TraceID|1<<b3SpanID|1<<b3Sampled) != 0 {
		return b3Context{}, false
	}
	switch sampled := h.values[b3Sampled]; {
	case sampled == "":
	case sampled == "1" || isWord(sampled, "true"):
		c.state = b3Accept
	case sampled == "0" || isWord(sampled, "false"):
		c.state = b3Deny
	default:
		return b3Context{}, false
	}
	if h.values[b3Flags] == "1" && h.repeated&(1<<b3Flags) == 0 {
		c.state = b3Debug
	}
	traceID, spanID := h.values[b3TraceID], h.values[b3SpanID]
	if traceID == "" && spanID == "" {
		return c, c.state != b3Defer
	}
	if !c.setIDs(traceID, spanID) {
		return b3Context{}, false
	}
	return c, true
}

// isWord reports whether s is the word, in any case. Unicode's case folding,
// which takes \u017f for an s, makes it longer.
func isWord(s, word string) bool {
	return len(s) == len(word) && strings.EqualFold(s, word)
}

// parseB3Single reads {trace}-{span}[-{state}[-{parent}]], or a state alone.
func parseB3Single(v string) (c b3Context, ok bool) {
	if len(v) == 1 {
		ok = c.setState(v)
		return c, ok
	}
	traceID, v, _ := strings.Cut(v, "-")
	spanID, v, more := strings.Cut(v, "-")
	if !c.setIDs(traceID, spanID) {
		return b3Context{}, false
	}
	if !more {
		return c, true
	}
	state, parent, more := strings.Cut(v, "-")
	if !c.setState(state) || more && (parent == "" || strings.Contains(parent, "-")) {
		return b3Context{}, false
	}
	return c, true
}

func (c *b3Context) setIDs(traceID, spanID string) bool {
	c.short = len(traceID) == 16
	if c.short {
		if !unhex(c.traceID[8:], traceID) {
			return false
		}
	} else if !unhex(c.traceID[:], traceID) {
		return false
	}
	return unhex(c.spanID[:], spanID) && c.traceID.IsValid() && c.spanID.IsValid()
}

func (c *b3Context) setState(v string) bool {
	switch v {
	case "0":
		c.state = b3Deny
	case "1":
		c.state = b3Accept
	case "d":
		c.state = b3Debug
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
	var all byte
	for i := range dst {
		hi, lo := digits[s[2*i]], digits[s[2*i+1]]
		all |= hi | lo
		dst[i] = hi<<4 | lo
	}
	return all <= 0xf
}

// digits are the values of lower-case hex digits, and 0xff for all else.
var digits = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range "0123456789abcdef" {
		t[c] = byte(i)
	}
	return t
}()
