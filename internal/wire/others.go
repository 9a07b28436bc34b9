package wire

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// readDatadog reads decimal IDs: 64 bits of the trace ID, and the upper 64 in
// the tag _dd.p.tid, in hex.
func readDatadog(h http.Header) Context {
	c := Context{Format: Datadog}
	id := func(name string) (string, error) {
		v, err := one(h, name)
		if err != nil || v == "" {
			return "", err
		}
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return "", fmt.Errorf("%s %q is not a decimal number of 64 bits", name, v)
		}
		return fmt.Sprintf("%016x", n), nil
	}
	var err1, err2, err3 error
	c.Trace, err1 = id("x-datadog-trace-id")
	c.Span, err2 = id("x-datadog-parent-id")
	priority, err3 := one(h, "x-datadog-sampling-priority")
	if priority != "" && err3 == nil {
		// User and agent have numbers of their own for yes and no.
		n, err := strconv.ParseInt(priority, 10, 32)
		if c.Decision = decided(n > 0); err != nil {
			c.Decision, err3 = Deferred, fmt.Errorf("x-datadog-sampling-priority %q is not a whole number", priority)
		}
	}
	// A parent of 0 is none: Datadog's browsers and synthetic tests send it.
	if strings.Trim(c.Span, "0") == "" {
		c.Span = ""
	}
	c.Err = errors.Join(err1, err2, err3)
	switch {
	case c.Err != nil:
	case c.Trace != "" && strings.Trim(c.Trace, "0") == "":
		c.Err = errors.New("x-datadog-trace-id is 0, which is not an ID")
	case c.Trace == "" && c.Span != "":
		c.Err = errors.New("x-datadog-parent-id without x-datadog-trace-id names no place in a trace")
	case c.Trace == "" && c.Decision == Deferred:
		c.Err = errors.New("neither IDs nor a decision")
	}
	c.readDatadogState(h)
	return c
}

func (c *Context) readDatadogState(h http.Header) {
	for _, origin := range h.Values("x-datadog-origin") {
		if origin != "" {
			c.State = append(c.State, Member{Header: "x-datadog-origin", Value: origin})
		}
	}
	for tag := range strings.SplitSeq(strings.Join(h.Values("x-datadog-tags"), ","), ",") {
		if tag = strings.TrimSpace(tag); tag == "" {
			continue
		}
		key, value, ok := strings.Cut(tag, "=")
		switch {
		case !ok || key == "" || value == "":
			c.StateErr = errors.Join(c.StateErr, fmt.Errorf("x-datadog-tags' member %q is not {key}={value}", tag))
		case key == "_dd.p.tid" && len(c.Trace) == 16:
			if err := checkID("_dd.p.tid", value, 16); err != nil {
				c.StateErr = errors.Join(c.StateErr, fmt.Errorf("in x-datadog-tags, %w", err))
				continue
			}
			c.Trace = value + c.Trace
		default:
			c.State = append(c.State, Member{Header: "x-datadog-tags", Key: key, Value: value})
		}
	}
	sorted(c.State)
}

// readSkyWalking reads the first four of eight fields: sampled, trace, segment
// and span, of which a parent is the last two together. The other four are the
// caller's, which every service writes anew.
func readSkyWalking(h http.Header) Context {
	c := only("sw8", readSW8)(h)
	for pair := range strings.SplitSeq(strings.Join(h.Values("sw8-correlation"), ","), ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		k, v, ok := strings.Cut(pair, ":")
		key, err1 := unbase64(k)
		value, err2 := unbase64(v)
		if !ok || key == "" || err1 != nil || err2 != nil {
			c.StateErr = errors.Join(c.StateErr, fmt.Errorf("sw8-correlation's member %q is not {key}:{value} in base64", pair))
			continue
		}
		c.State = append(c.State, Member{Header: "sw8-correlation", Key: key, Value: value})
	}
	for _, v := range h.Values("sw8-x") {
		if v != "" {
			c.State = append(c.State, Member{Header: "sw8-x", Value: v})
		}
	}
	sorted(c.State)
	return c
}

func readSW8(v string) Context {
	c := Context{Format: SkyWalking}
	fields := strings.Split(v, "-")
	if len(fields) != 8 || fields[0] != "0" && fields[0] != "1" {
		c.Err = fmt.Errorf("sw8 %q does not have eight fields of which the first is 0 or 1", v)
		return c
	}
	trace, err1 := unbase64(fields[1])
	segment, err2 := unbase64(fields[2])
	_, err3 := strconv.ParseUint(fields[3], 10, 32)
	if err := errors.Join(err1, err2, err3); err != nil || trace == "" || segment == "" {
		c.Err = fmt.Errorf("sw8 %q has no IDs in base64 and no span number in fields two to four", v)
		return c
	}
	c.Trace, c.Span = trace, segment+"/"+fields[3]
	c.Decision = decided(fields[0] == "1")
	return c
}

// unbase64 decodes base64 with or without its padding.
func unbase64(s string) (string, error) {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	return string(b), err
}

// readGoogleCloud reads {trace}/{span in decimal};o={0 or 1}, of which the
// last two are optional.
func readGoogleCloud(v string) Context {
	c := Context{Format: GoogleCloud}
	ids, options, decides := strings.Cut(v, ";")
	trace, span, _ := strings.Cut(ids, "/")
	c.Trace = strings.ToLower(trace)
	c.Err = checkID("x-cloud-trace-context's trace ID", c.Trace, 32)
	if decides {
		number, ok := strings.CutPrefix(options, "o=")
		n, err := strconv.ParseUint(number, 10, 8)
		if c.Decision = decided(n&1 != 0); !ok || err != nil {
			c.Decision = Deferred
			c.Err = errors.Join(c.Err, fmt.Errorf("x-cloud-trace-context's options %q are not o=0 or o=1", options))
		}
	}
	if span == "" {
		return c
	}
	n, err := strconv.ParseUint(span, 10, 64)
	if err != nil {
		c.Err = errors.Join(c.Err, fmt.Errorf("x-cloud-trace-context's span ID %q is not a decimal number of 64 bits", span))
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
	text, err := unbase64(v)
	b := []byte(text)
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

// readXRay reads Root=1-{8 digits}-{24 digits};Parent={span};Sampled={0, 1 or
// ?}, in any order, and what others put beside them. Self is a load balancer's.
func readXRay(v string) Context {
	c := Context{Format: XRay}
	seen := make(map[string]bool)
	var errs []error
	for field := range strings.SplitSeq(v, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch key {
		case "Root", "Parent", "Sampled":
			if seen[key] {
				errs = append(errs, fmt.Errorf("x-amzn-trace-id has %s twice", key))
			}
			seen[key] = true
		}
		switch key {
		case "", "Self":
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
			case "?", "":
			default:
				errs = append(errs, fmt.Errorf("x-amzn-trace-id's Sampled %q is not 0, 1 or ?", value))
			}
		default:
			c.State = append(c.State, Member{Header: "x-amzn-trace-id", Key: key, Value: value})
		}
	}
	sorted(c.State)
	if c.Trace == "" {
		c.Err = errors.Join(append(errs, fmt.Errorf("x-amzn-trace-id %q has no Root=1-{8 digits}-{24 digits}", v))...)
		return c
	}
	errs = append(errs, checkID("x-amzn-trace-id's Root", c.Trace, 32))
	if c.Span != "" {
		errs = append(errs, checkID("x-amzn-trace-id's Parent", c.Span, 16))
	}
	c.Err = errors.Join(errs...)
	return c
}

func readJaeger(h http.Header) Context {
	c := only("uber-trace-id", readUberTraceID)(h)
	for name, values := range h {
		name = strings.ToLower(name)
		if !strings.HasPrefix(name, "uberctx-") {
			continue
		}
		for _, v := range values {
			// Jaeger's clients encode values as queries are.
			if decoded, err := url.QueryUnescape(v); err == nil {
				v = decoded
			}
			c.State = append(c.State, Member{Header: name, Value: v})
		}
	}
	sorted(c.State)
	return c
}

// readUberTraceID reads {trace}:{span}:{parent}:{flags}, whose IDs may lack
// zeros in front, and whose colons may be percent-encoded.
func readUberTraceID(v string) Context {
	c := Context{Format: Jaeger}
	fields := strings.Split(strings.NewReplacer("%3A", ":", "%3a", ":").Replace(v), ":")
	if len(fields) != 4 {
		c.Err = fmt.Errorf("uber-trace-id %q is not {trace}:{span}:{parent}:{flags}", v)
		return c
	}
	flags, err := strconv.ParseUint(fields[3], 16, 8)
	if err != nil || len(fields[3]) > 2 {
		c.Err = fmt.Errorf("uber-trace-id's flags %q are not a byte in hex", fields[3])
		return c
	}
	switch {
	case flags&2 != 0:
		c.Decision = Debug
	default:
		c.Decision = decided(flags&1 != 0)
	}
	c.Trace, c.Span = fields[0], zeros(fields[1], 16)
	if parent := zeros(fields[2], 16); checkID("", parent, 16) == nil {
		c.Parent = parent
	}
	c.Err = checkIDs("uber-trace-id's trace ID", Pad(c.Trace), []int{32}, "uber-trace-id's span ID", c.Span)
	return c
}
