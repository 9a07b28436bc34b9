// Package wire reads what trace headers say, for the conformance kit and the
// command. It shares no code with package propagation on purpose: a kit that
// read headers as the library does would have the library's mistakes for
// rules.
package wire

import (
	"errors"
	"fmt"
	"net/http"
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

func (d Decision) String() string {
	return [...]string{"undecided", "not sampled", "sampled", "debug"}[d]
}

// Context is a position in a trace as one format wrote it.
type Context struct {
	Format Format
	// Trace, Span and Parent are as written, or empty if they are not there:
	// hex digits in all formats but SkyWalking, whose IDs are free text.
	Trace, Span, Parent string
	Decision            Decision
	// Err says why the headers name no usable position or decision; the other
	// fields are what could be read all the same.
	Err error
}

// HasIDs reports whether c names a span that a child can hang from.
func (c Context) HasIDs() bool { return c.Err == nil && c.Trace != "" && c.Span != "" }

// formats are the readers, in the order in which Read returns what they found.
var formats = []struct {
	headers []string
	read    func(http.Header) Context
}{
	{[]string{"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"}, readB3Multi},
	{[]string{"b3"}, only("b3", readB3Single)},
	{[]string{"traceparent"}, only("traceparent", readTraceparent)},
	{[]string{"x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority"}, readDatadog},
	{[]string{"sw8"}, only("sw8", readSkyWalking)},
	{[]string{"x-cloud-trace-context"}, only("x-cloud-trace-context", readGoogleCloud)},
	{[]string{"grpc-trace-bin"}, only("grpc-trace-bin", readGRPCTraceBin)},
	{[]string{"x-amzn-trace-id"}, only("x-amzn-trace-id", readXRay)},
	{[]string{"uber-trace-id"}, only("uber-trace-id", readJaeger)},
}

// Read returns what h says in each of the formats that it has any header of.
func Read(h http.Header) []Context {
	var found []Context
	for _, f := range formats {
		for _, name := range f.headers {
			if len(h.Values(name)) > 0 {
				found = append(found, f.read(h))
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
// have fewer.
func Pad(trace string) string {
	if n := 32 - len(trace); n > 0 {
		return strings.Repeat("0", n) + trace
	}
	return trace
}

// checkID returns an error that says what is wrong with an ID, which must have
// one of the lengths and be in lower-case hex.
func checkID(name, v string, lengths ...int) error {
	fits := false
	for _, n := range lengths {
		fits = fits || len(v) == n
	}
	switch {
	case v == "":
		return fmt.Errorf("%s is empty", name)
	case strings.Trim(v, "0123456789abcdef") != "" && strings.Trim(v, "0123456789abcdefABCDEF") == "":
		return fmt.Errorf("%s %q is in upper case; it must be in lower case", name, v)
	case strings.Trim(v, "0123456789abcdef") != "":
		return fmt.Errorf("%s %q is not in hex digits", name, v)
	case !fits:
		return fmt.Errorf("%s %q has %d digits; it must have %s", name, v, len(v), strings.ReplaceAll(strings.Trim(fmt.Sprint(lengths), "[]"), " ", " or "))
	case strings.Trim(v, "0") == "":
		return fmt.Errorf("%s is all zeros, which is no ID", name)
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
