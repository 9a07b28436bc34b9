package wire

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

func readTraceparent(v string) Context {
	c := Context{Format: W3C}
	fields := strings.Split(v, "-")
	if len(fields) < 4 || len(fields[0]) != 2 || fields[0] == "ff" || fields[0] == "00" && len(fields) > 4 {
		c.Err = fmt.Errorf("traceparent %q is not 00-{trace}-{span}-{flags}", v)
		return c
	}
	c.Trace, c.Span = fields[1], fields[2]
	flags, err := hex.DecodeString(fields[3])
	if err != nil || len(flags) != 1 || fields[3] != strings.ToLower(fields[3]) {
		c.Err = fmt.Errorf("traceparent's flags %q are not two hex digits in lower case", fields[3])
		return c
	}
	c.Decision = decided(flags[0]&1 != 0)
	c.Err = checkIDs("traceparent's trace ID", c.Trace, []int{32}, "traceparent's span ID", c.Span)
	return c
}

// readDatadog reads decimal IDs: 64 bits of the trace ID, and the upper 64 in
// the tag _dd.p.tid, in hex.
func readDatadog(h http.Header) Context {
	c := Context{Format: Datadog}
	id := func(name string) string {
		v, err := one(h, name)
		if err == nil && v != "" {
			var n uint64
			if n, err = strconv.ParseUint(v, 10, 64); err == nil && n != 0 {
				return fmt.Sprintf("%016x", n)
			}
			err = fmt.Errorf("%s %q is no decimal number above 0 of 64 bits", name, v)
		}
		c.Err = errors.Join(c.Err, err)
		return ""
	}
	c.Trace, c.Span = id("x-datadog-trace-id"), id("x-datadog-parent-id")
	for tag := range strings.SplitSeq(h.Get("x-datadog-tags"), ",") {
		if high, ok := strings.CutPrefix(tag, "_dd.p.tid="); ok && checkID("", high, 16) == nil && c.Trace != "" {
			c.Trace = high + c.Trace
		}
	}
	switch priority := h.Get("x-datadog-sampling-priority"); priority {
	case "":
	case "0", "-1":
		c.Decision = Denied
	case "1", "2":
		c.Decision = Accepted
	default:
		c.Err = errors.Join(c.Err, fmt.Errorf("x-datadog-sampling-priority %q is not -1, 0, 1 or 2", priority))
	}
	if c.Err == nil && c.Trace == "" && c.Span == "" && c.Decision == Deferred {
		c.Err = errors.New("neither IDs nor a decision")
	}
	return c
}

// readSkyWalking reads the first four of eight fields: sampled, trace, segment
// and span, of which a parent is the last two together.
func readSkyWalking(v string) Context {
	c := Context{Format: SkyWalking}
	fields := strings.Split(v, "-")
	if len(fields) != 8 || fields[0] != "0" && fields[0] != "1" {
		c.Err = fmt.Errorf("sw8 %q does not have eight fields of which the first is 0 or 1", v)
		return c
	}
	trace, err1 := base64.StdEncoding.DecodeString(fields[1])
	segment, err2 := base64.StdEncoding.DecodeString(fields[2])
	_, err3 := strconv.ParseUint(fields[3], 10, 32)
	if err := errors.Join(err1, err2, err3); err != nil || len(trace) == 0 || len(segment) == 0 {
		c.Err = fmt.Errorf("sw8 %q has no IDs in base64 and no span number in fields two to four", v)
		return c
	}
	c.Trace, c.Span = string(trace), string(segment)+"/"+fields[3]
	c.Decision = decided(fields[0] == "1")
	return c
}

// readGoogleCloud reads {trace}/{span in decimal};o={0 or 1}, of which the
// last two are optional.
func readGoogleCloud(v string) Context {
	c := Context{Format: GoogleCloud}
	ids, options, _ := strings.Cut(v, ";")
	trace, span, _ := strings.Cut(ids, "/")
	switch options {
	case "o=0":
		c.Decision = Denied
	case "o=1":
		c.Decision = Accepted
	}
	c.Trace = strings.ToLower(trace)
	c.Err = checkID("x-cloud-trace-context's trace ID", c.Trace, 32)
	if span == "" {
		return c
	}
	n, err := strconv.ParseUint(span, 10, 64)
	if err != nil {
		c.Err = errors.Join(c.Err, fmt.Errorf("x-cloud-trace-context's span ID %q is no decimal number of 64 bits", span))
		return c
	}
	if n != 0 {
		c.Span = fmt.Sprintf("%016x", n)
	}
	return c
}

// readGRPCTraceBin reads OpenCensus's binary format, which gRPC sends in
// base64: version 0, then fields by number, 0 trace, 1 span, 2 options.
func readGRPCTraceBin(v string) Context {
	c := Context{Format: GRPCTraceBin}
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(v, "="))
	if err != nil || len(b) < 27 || b[0] != 0 || b[1] != 0 || b[18] != 1 {
		c.Err = fmt.Errorf("grpc-trace-bin %q is not a span context of OpenCensus in base64", v)
		return c
	}
	c.Trace, c.Span = hex.EncodeToString(b[2:18]), hex.EncodeToString(b[19:27])
	if len(b) >= 29 && b[27] == 2 {
		c.Decision = decided(b[28]&1 != 0)
	}
	c.Err = checkIDs("grpc-trace-bin's trace ID", c.Trace, []int{32}, "grpc-trace-bin's span ID", c.Span)
	return c
}

// readXRay reads Root=1-{8 digits}-{24 digits};Parent={span};Sampled={0, 1 or ?}.
func readXRay(v string) Context {
	c := Context{Format: XRay}
	for field := range strings.SplitSeq(v, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch key {
		case "Root":
			if parts := strings.Split(value, "-"); len(parts) == 3 && parts[0] == "1" && len(parts[1]) == 8 {
				c.Trace = parts[1] + parts[2]
			}
		case "Parent":
			c.Span = value
		case "Sampled":
			switch value {
			case "0":
				c.Decision = Denied
			case "1":
				c.Decision = Accepted
			}
		}
	}
	if c.Trace == "" {
		c.Err = fmt.Errorf("x-amzn-trace-id %q has no Root=1-{8 digits}-{24 digits}", v)
		return c
	}
	c.Err = checkID("x-amzn-trace-id's Root", c.Trace, 32)
	if c.Span != "" {
		c.Err = errors.Join(c.Err, checkID("x-amzn-trace-id's Parent", c.Span, 16))
	}
	return c
}

// readJaeger reads {trace}:{span}:{parent}:{flags}, whose IDs may lack zeros
// in front.
func readJaeger(v string) Context {
	c := Context{Format: Jaeger}
	fields := strings.Split(v, ":")
	if len(fields) != 4 {
		c.Err = fmt.Errorf("uber-trace-id %q is not {trace}:{span}:{parent}:{flags}", v)
		return c
	}
	flags, err := strconv.ParseUint(fields[3], 16, 8)
	if err != nil {
		c.Err = fmt.Errorf("uber-trace-id's flags %q are not a byte in hex", fields[3])
		return c
	}
	switch {
	case flags&2 != 0:
		c.Decision = Debug
	default:
		c.Decision = decided(flags&1 != 0)
	}
	if c.Trace = zeros(fields[0], 16); len(c.Trace) > 16 {
		c.Trace = zeros(c.Trace, 32)
	}
	c.Span = zeros(fields[1], 16)
	if parent := zeros(fields[2], 16); checkID("", parent, 16) == nil {
		c.Parent = parent
	}
	c.Err = checkIDs("uber-trace-id's trace ID", c.Trace, []int{16, 32}, "uber-trace-id's span ID", c.Span)
	return c
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
