// Package wire reads what trace headers say, strictly, for the conformance kit
// and the command. It shares no code with package propagation on purpose: a kit
// that read headers as the library does would have the library's mistakes for
// rules.
//
// [Read] returns a [Context] for each format that a request has headers of.
// Two contexts of one format, of what was sent and what arrived, are compared
// field by field: IDs are normalised, and what else must survive is a list of
// [Member].
package wire

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Format is a way to write a position in a trace into headers.
type Format string

// The formats that can be read.
const (
	B3Multi      Format = "x-b3-*"
	B3Single     Format = "b3"
	W3C          Format = "traceparent"
	Datadog      Format = "x-datadog-*"
	SkyWalking   Format = "sw8"
	GoogleCloud  Format = "x-cloud-trace-context"
	GRPCTraceBin Format = "grpc-trace-bin"
	XRay         Format = "x-amzn-trace-id"
	Jaeger       Format = "uber-trace-id"
)

// Decision is what headers say of whether a trace is recorded.
type Decision int

// The decisions, from none to the strongest.
const (
	Deferred Decision = iota // none: the receiver decides
	Denied
	Accepted
	Debug // accepted, and past every sampler
)

// Sampled reports whether the decision is a yes.
func (d Decision) Sampled() bool { return d >= Accepted }

func (d Decision) String() string {
	return [...]string{"undecided", "not sampled", "sampled", "debug"}[d]
}

// Context is a position in a trace as one format wrote it.
type Context struct {
	Format Format
	// Trace is the ID of the trace, or empty if there is none: 32 hex digits in
	// lower case, filled up with zeros in front where fewer were written. Only
	// SkyWalking's IDs are free text.
	Trace string
	// Digits is how many digits of the trace ID were written, those of Datadog
	// after they were turned into hex. It is 0 for SkyWalking.
	Digits int
	// Span is the ID that the receiver hangs its span from, 16 hex digits, and
	// Parent that of the span's own parent where the format has one and it can
	// be read. Both may be empty. SkyWalking's span is {segment}/{number}.
	Span, Parent string
	Decision     Decision
	// Random says that the right half of the trace ID is random, as flag 02 of
	// traceparent does.
	Random bool
	// State is what else must survive beside the position: tracestate's members
	// in their order, and what other formats carry sorted by header, key and
	// value. It is empty if there is none.
	State []Member
	// Err says why the headers name no usable position or decision; the other
	// fields are what could be read all the same.
	Err error
	// StateErr says what is wrong with headers that only hold state. They spoil
	// no position.
	StateErr error
}

// Member is one of the things that headers carry beside a position.
type Member struct {
	Header string // lower case
	Key    string // empty if the header is one value
	Value  string // decoded
	// Properties are those of a member of baggage, without blanks.
	Properties string
}

// String returns the member as a sentence calls it.
func (m Member) String() string {
	if m.Key == "" {
		return m.Header
	}
	return m.Key + " of " + m.Header
}

// HasIDs reports whether c names a span that a child can hang from.
func (c Context) HasIDs() bool { return c.Err == nil && c.Trace != "" && c.Span != "" }

// formats are the readers, in the order in which Read returns what they found,
// with the headers that hold a position or a decision.
var formats = []struct {
	headers []string
	read    func(http.Header) Context
}{
	{[]string{"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"}, readB3Multi},
	{[]string{"b3"}, only("b3", readB3Single)},
	{[]string{"traceparent"}, readW3C},
	{[]string{"x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority"}, readDatadog},
	{[]string{"sw8"}, readSkyWalking},
	{[]string{"x-cloud-trace-context"}, only("x-cloud-trace-context", readGoogleCloud)},
	{[]string{"grpc-trace-bin"}, only("grpc-trace-bin", readGRPCTraceBin)},
	{[]string{"x-amzn-trace-id"}, only("x-amzn-trace-id", readXRay)},
	{[]string{"uber-trace-id"}, readJaeger},
}

// Read returns what h says in each of the formats that it has a position or a
// decision of, even an empty one. Headers that only hold state, such as
// tracestate, are read along with those; on their own they say nothing.
func Read(h http.Header) []Context {
	var found []Context
	for _, f := range formats {
		for _, name := range f.headers {
			if len(h.Values(name)) > 0 {
				c := f.read(h)
				if c.Format != SkyWalking {
					c.Trace, c.Digits = Pad(c.Trace), len(c.Trace)
				}
				found = append(found, c)
				break
			}
		}
	}
	return found
}

// only returns a reader of a format that is one header.
func only(name string, read func(string) Context) func(http.Header) Context {
	return func(h http.Header) Context {
		v, err := one(h, name)
		c := read(v)
		if err != nil {
			c.Err = err
		}
		return c
	}
}

// one returns the value of a header that must not be repeated.
func one(h http.Header, name string) (string, error) {
	switch values := h.Values(name); {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return values[0], fmt.Errorf("%s is there %d times", name, len(values))
	default:
		return values[0], nil
	}
}

// Pad returns a trace ID in 32 digits, for comparing those of formats that
// have fewer. None stays none.
func Pad(trace string) string {
	return zeros(trace, 32)
}

// zeros fills s up to n digits.
func zeros(s string, n int) string {
	if s == "" || len(s) >= n {
		return s
	}
	return strings.Repeat("0", n-len(s)) + s
}

func decided(yes bool) Decision {
	if yes {
		return Accepted
	}
	return Denied
}

// sorted orders members that have no order of their own.
func sorted(state []Member) []Member {
	slices.SortFunc(state, func(a, b Member) int {
		return cmp.Or(strings.Compare(a.Header, b.Header), strings.Compare(a.Key, b.Key),
			strings.Compare(a.Value, b.Value), strings.Compare(a.Properties, b.Properties))
	})
	return state
}

// isHex reports whether v has nothing but hex digits in lower case.
func isHex(v string) bool { return strings.Trim(v, "0123456789abcdef") == "" }

// checkID returns an error that says what is wrong with an ID, which must have
// one of the lengths and be in lower-case hex.
func checkID(name, v string, lengths ...int) error {
	switch {
	case v == "":
		return fmt.Errorf("%s is empty", name)
	case !isHex(v) && isHex(strings.ToLower(v)):
		return fmt.Errorf("%s %q is in upper case; it must be in lower case", name, v)
	case !isHex(v):
		return fmt.Errorf("%s %q is not in hex digits", name, v)
	case !slices.Contains(lengths, len(v)):
		return fmt.Errorf("%s %q has %d digits; it must have %s", name, v, len(v), strings.ReplaceAll(strings.Trim(fmt.Sprint(lengths), "[]"), " ", " or "))
	case strings.Trim(v, "0") == "":
		return fmt.Errorf("%s is all zeros, which is not an ID", name)
	}
	return nil
}

// checkIDs returns what is wrong with a trace ID and a span ID, which must
// come together.
func checkIDs(traceName, trace string, lengths []int, spanName, span string) error {
	switch {
	case trace == "" && span != "":
		return fmt.Errorf("%s without %s names no place in a trace", spanName, traceName)
	case trace != "" && span == "":
		return fmt.Errorf("%s without %s names no place in a trace", traceName, spanName)
	}
	return errors.Join(checkID(traceName, trace, lengths...), checkID(spanName, span, 16))
}
