package real_test

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// headers are those of a request by their names in lower case.
type headers map[string][]string

func parse(lines []string) headers {
	h := headers{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		name = strings.ToLower(name)
		h[name] = append(h[name], strings.TrimSpace(value))
	}
	return h
}

func (h headers) lines() (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			lines = append(lines, name+": "+value)
		}
	}
	return lines
}

// one is the header's value if it is there once.
func (h headers) one(name string) string {
	if len(h[name]) == 1 {
		return h[name][0]
	}
	return ""
}

func (h headers) only(names []string) headers {
	only := headers{}
	for _, name := range names {
		if values, ok := h[name]; ok {
			only[name] = values
		}
	}
	return only
}

var (
	random  = regexp.MustCompile(`\brv:[0-9a-f]{14}\b`) // of tracestate's ot
	uuid    = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	id      = regexp.MustCompile(`\b([0-9a-f]{32}|[0-9a-f]{16})\b`)
	decided = regexp.MustCompile(`(t[-:]s)[-:]0?[0-3d]\b`)
)

// changes are those of the named headers that did not arrive as they were sent, a line each:
// - is nothing. IDs are letters: T, S and R those of the trace, the span and the
// request that were sent (whatever Envoy's reason in it is), t, s and r others,
// which nobody can foretell, as little as what is decided for a trace that begins.
func changes(sent, arrived headers, names []string) []string {
	trace, span := sent.ids()
	known := strings.NewReplacer(nonEmptyPairs(trace, "T", span, "S", strings.ToUpper(span), "S", sent.one("x-request-id"), "R")...)
	letters := func(s string) string {
		if reasonless(s) != s && reasonless(s) == reasonless(sent.one("x-request-id")) {
			return "R"
		}
		s = id.ReplaceAllStringFunc(known.Replace(s), func(found string) string {
			if len(found) == 16 {
				return "s"
			}
			return "t"
		})
		s = decided.ReplaceAllString(s, "$1")
		s = random.ReplaceAllString(s, "rv:x")
		return uuid.ReplaceAllString(s, "r")
	}
	var lines []string
	for _, name := range slices.Sorted(slices.Values(names)) {
		if slices.Equal(sent[name], arrived[name]) {
			continue
		}
		values := arrived[name]
		if values == nil {
			values = []string{"-"}
		}
		for _, value := range values {
			if strings.HasPrefix(name, "x-datadog-") && strings.HasSuffix(name, "-id") && value != "-" {
				value = "d"
			}
			lines = append(lines, name+": "+letters(value))
		}
	}
	return lines
}

// reasonless is the request ID without the character that Envoy writes its
// reason for tracing to.
func reasonless(id string) string {
	if uuid.MatchString(id) {
		return id[:14] + "_" + id[15:]
	}
	return id
}

func nonEmptyPairs(pairs ...string) (some []string) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] != "" {
			some = append(some, pairs[i], pairs[i+1])
		}
	}
	return some
}

func (h headers) ids() (trace, span string) {
	if parts := strings.Split(h.one("traceparent"), "-"); len(parts) == 4 {
		return parts[1], parts[2]
	}
	if parts := strings.Split(h.one("b3"), "-"); len(parts) > 1 {
		return parts[0], parts[1]
	}
	if parts := strings.Split(h.one("uber-trace-id"), ":"); len(parts) == 4 {
		return parts[0], parts[1]
	}
	return h.one("x-b3-traceid"), h.one("x-b3-spanid")
}

// The verdicts, the best first.
var verdicts = []string{"whole", "lost", "overridden", "broken"}

// family is a family of trace headers, and what the next service takes from
// them: written down once more, as plainly as can be, to hold against check.
type family struct {
	headers []string
	read    func(h headers) reading
}

// reading is empty where there is nothing, or nothing that can be read.
type reading struct {
	trace, decision string
	state           []string // what else must survive
}

var families = map[string]family{
	"x-request-id": {[]string{"x-request-id"}, func(h headers) reading {
		return reading{state: nonEmpty(reasonless(h.one("x-request-id")))}
	}},
	"B3": {[]string{"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "b3"}, func(h headers) reading {
		var r reading
		parts := append(strings.Split(h.one("b3"), "-"), "", "")
		switch {
		case h.one("x-b3-traceid") != "" && h.one("x-b3-spanid") != "":
			r.trace = h.one("x-b3-traceid")
		case parts[1] != "":
			return reading{trace: wide(parts[0]), decision: parts[2]}
		case parts[0] != "":
			return reading{decision: parts[0]}
		}
		r.trace, r.decision = wide(r.trace), h.one("x-b3-sampled")
		if h.one("x-b3-flags") == "1" {
			r.decision = "d"
		}
		return r
	}},
	"W3C": {[]string{"traceparent", "tracestate"}, func(h headers) reading {
		parts := strings.Split(h.one("traceparent"), "-")
		if len(parts) != 4 {
			return reading{}
		}
		return reading{parts[1], bit(parts[3]), list(h["tracestate"])}
	}},
	"baggage": {[]string{"baggage"}, func(h headers) reading {
		var r reading
		for _, member := range list(h["baggage"]) {
			if decoded, err := url.PathUnescape(member); err == nil {
				member = decoded
			}
			r.state = append(r.state, member)
		}
		slices.Sort(r.state)
		return r
	}},
	"Datadog": {[]string{"x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority", "x-datadog-origin", "x-datadog-tags"}, func(h headers) reading {
		r := reading{trace: h.one("x-datadog-trace-id"), decision: h.one("x-datadog-sampling-priority"), state: nonEmpty(h.one("x-datadog-origin"))}
		for _, tag := range list(h["x-datadog-tags"]) {
			if strings.HasPrefix(tag, "_dd.p.tid=") { // the upper half of the trace ID
				r.trace += " " + tag
			}
		}
		return r
	}},
	"Jaeger": {[]string{"uber-trace-id"}, func(h headers) reading {
		parts := strings.Split(h.one("uber-trace-id"), ":")
		if len(parts) != 4 {
			return reading{}
		}
		return reading{trace: wide(parts[0]), decision: bit(parts[3])}
	}},
}

// judge is the verdict of the family's reader.
func (f family) judge(sent, arrived headers) string {
	was, is := f.read(sent), f.read(arrived)
	for name, values := range arrived.only(f.headers) {
		if slices.Contains(values, "") && !slices.Contains(sent[name], "") && name != "tracestate" {
			return "broken"
		}
	}
	for _, member := range is.state { // others may stand between them
		if len(was.state) > 0 && was.state[0] == member {
			was.state = was.state[1:]
		}
	}
	switch {
	case was.trace != "" && is.trace != was.trace:
		return "broken"
	case was.trace == "" && is.trace == "" && was.decision == "" && is.decision != "":
		return "broken" // a decision that nobody has asked for
	case was.trace == "" && is.trace != "" && !slices.Contains([]string{"", "0"}, is.decision):
		// A tracer sees no decision without IDs, and began a trace.
	case was.decision != "" && is.decision != was.decision:
		return "overridden"
	case len(was.state) > 0:
		return "lost"
	}
	return "whole"
}

func nonEmpty(s string) []string { return list([]string{s}) }

func list(lines []string) (members []string) {
	for member := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		if member = strings.TrimSpace(member); member != "" {
			members = append(members, member)
		}
	}
	return members
}

// wide is the ID with 32 digits.
func wide(id string) string {
	if id == "" {
		return ""
	}
	return strings.Repeat("0", max(0, 32-len(id))) + id
}

// bit is whether the flags, in hexadecimal, have the lowest bit.
func bit(flags string) string {
	if flags != "" && strings.ContainsAny(flags[len(flags)-1:], "13579bdf") {
		return "1"
	}
	return "0"
}
