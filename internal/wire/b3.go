package wire

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

func readB3Multi(h http.Header) Context {
	c := Context{Format: B3Multi}
	get := func(name string) string {
		v, err := one(h, name)
		c.Err = errors.Join(c.Err, err)
		return v
	}
	c.Trace, c.Span = get("x-b3-traceid"), get("x-b3-spanid")
	// A parent or flags that make no sense are not there.
	if parent, err := one(h, "x-b3-parentspanid"); err == nil && checkID("", parent, 16) == nil {
		c.Parent = parent
	}
	switch sampled := get("x-b3-sampled"); {
	case sampled == "":
		if len(h.Values("x-b3-sampled")) > 0 {
			c.Err = errors.Join(c.Err, errors.New("x-b3-sampled is empty, which Envoy reads as 0"))
		}
	case sampled == "1", inAnyCase(sampled, "true"):
		c.Decision = Accepted
	case sampled == "0", inAnyCase(sampled, "false"):
		c.Decision = Denied
	default:
		c.Err = errors.Join(c.Err, fmt.Errorf("x-b3-sampled %q is neither 0 nor 1", sampled))
	}
	if flags, err := one(h, "x-b3-flags"); err == nil && flags == "1" {
		c.Decision = Debug
	}
	switch {
	case c.Err != nil:
	case c.Trace != "" || c.Span != "":
		c.Err = checkIDs("x-b3-traceid", c.Trace, []int{16, 32}, "x-b3-spanid", c.Span)
	case c.Decision == Deferred:
		c.Err = errors.New("neither IDs nor a decision")
	}
	return c
}

// inAnyCase reports whether v is the word, in any case. Unicode's case folding,
// which takes \u017f for an s, makes it longer.
func inAnyCase(v, word string) bool {
	return len(v) == len(word) && strings.EqualFold(v, word)
}

// readB3Single reads {trace}-{span}[-{state}[-{parent}]], or a state alone.
func readB3Single(v string) Context {
	c := Context{Format: B3Single}
	states := map[string]Decision{"0": Denied, "1": Accepted, "d": Debug}
	if state, ok := states[v]; ok {
		c.Decision = state
		return c
	}
	fields := strings.Split(v, "-")
	if len(fields) < 2 || len(fields) > 4 || fields[len(fields)-1] == "" {
		c.Err = fmt.Errorf("b3 %q is neither {trace}-{span}-{0, 1 or d}-{parent}, where the last two are optional, nor a decision alone", v)
		return c
	}
	c.Trace, c.Span = fields[0], fields[1]
	if len(fields) > 2 {
		state, ok := states[fields[2]]
		if !ok {
			c.Err = fmt.Errorf("b3's sampling state %q is not 0, 1 or d", fields[2])
			return c
		}
		c.Decision = state
	}
	if len(fields) > 3 && checkID("", fields[3], 16) == nil {
		c.Parent = fields[3]
	}
	c.Err = checkIDs("b3's trace ID", c.Trace, []int{16, 32}, "b3's span ID", c.Span)
	return c
}
