package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/tracebaton/tracebaton/internal/hop"
	"github.com/tracebaton/tracebaton/internal/wire"
)

const explainUsage = `NAME
    tracebaton explain - say what trace headers mean

SYNOPSIS
    tracebaton explain 'name: value' ...
    curl -v URL 2>&1 | tracebaton explain
    http -v URL | tracebaton explain

DESCRIPTION
    Explain reads headers, from its arguments or else from standard input, and
    says what those of them mean that are trace headers: the IDs, whether the
    trace is sampled and who decides that, why Envoy traces the request, and
    whether all of them name the same span.

    From standard input it takes what curl -v, HTTPie and others print, one
    header in a line, and JSON objects with headers in them, as /headers of
    httpbin and /fetch_with_header of the walkthrough answer. Each message (a
    request, its response, a JSON object) is explained by itself; what is no
    trace header is left out.

    Headers are read strictly: IDs are hex digits in lower case, of 16 or 32
    digits, and not all zeros. What tracers may repair, such as upper case, is
    said to be wrong, because the next tracer may not.

ENVOY'S TRACE REASON
    Envoy keeps in x-request-id whether and why a request is traced, so that all
    sidecars on its way treat it alike: in the character at index 14 (counted
    from 0) of the UUID, where UUIDs have their version.

        4   no reason: the request is not traced, or nobody wrote it down
        9   sampled, by the random sampling of the mesh
        a   forced by a service, with x-envoy-force-trace
        b   asked for by a client, with x-client-trace-id

    An ID that is not a UUID cannot hold a reason.

OPTIONS
    -h
        Write this text.

EXIT STATUS
    0   the headers can be read and agree
    1   they cannot, or do not
    2   there were no trace headers, or the command was not understood

ENVIRONMENT
    NO_COLOR    if not empty: no colour, which else there is on a terminal

EXAMPLES
        tracebaton explain 'x-b3-sampled: 0' 'b3: 1'

        curl -s http://localhost:8000/headers | tracebaton explain

SEE ALSO
    tracebaton check -h
`

func runExplain(args []string, e env) int {
	fs := flag.NewFlagSet("explain", flag.ContinueOnError)
	if status, ok := parse(fs, args, explainUsage, e); !ok {
		return status
	}
	var messages []message
	if fs.NArg() > 0 {
		var h http.Header
		for _, arg := range fs.Args() {
			if err := addHeader(&h, arg); err != nil {
				return fail(e, fs, err)
			}
		}
		messages = traced([]message{{header: h}})
	} else {
		dump, err := io.ReadAll(io.LimitReader(e.stdin, maxDump+1))
		if err == nil && len(dump) > maxDump {
			err = fmt.Errorf("the input is larger than %d bytes", maxDump)
		}
		if err != nil {
			return fail(e, fs, fmt.Errorf("cannot read the headers: %w", err))
		}
		messages = traced(readDump(dump))
	}
	if len(messages) == 0 {
		return fail(e, fs, errors.New("no trace headers to explain"))
	}
	var b bytes.Buffer
	whole := true
	for _, m := range messages {
		if len(messages) > 1 {
			heading(&b, e, m.title)
		}
		whole = explain(&b, m.header, e) && whole
	}
	if _, err := b.WriteTo(e.stdout); err != nil {
		return fail(e, fs, err)
	}
	if !whole {
		return statusBroken
	}
	return statusWhole
}

// heading begins a new section.
func heading(b *bytes.Buffer, e env, text string) {
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintln(b, e.paint(bold, printable(text)))
}

// known returns the names of all trace headers, in the order in which they are
// explained.
func known() []string { return hop.Headers(hop.Known) }

// traced returns those of the messages that have trace headers.
func traced(messages []message) []message {
	return slices.DeleteFunc(messages, func(m message) bool {
		return !slices.ContainsFunc(known(), func(name string) bool { return len(m.header.Values(name)) > 0 })
	})
}

// explanation is a message that is being explained.
type explanation struct {
	*bytes.Buffer
	env   env
	whole bool
}

// explain writes what the headers of a message mean, and reports whether
// nothing is wrong with them.
func explain(b *bytes.Buffer, h http.Header, e env) bool {
	x := &explanation{Buffer: b, env: e, whole: true}
	x.requestID(h)
	positions := wire.Read(h)
	for _, p := range positions {
		x.position(h, p)
	}
	x.opaque(h)
	x.agreement(h, positions)
	return x.whole
}

func (x *explanation) title(text string) { heading(x.Buffer, x.env, text) }
func (x *explanation) say(text string)   { fmt.Fprintln(x.Buffer, wrap(text, "    ")) }
func (x *explanation) item(name, text string) {
	fmt.Fprintf(x.Buffer, "    %-10s%s\n", name, strings.TrimSpace(wrap(text, strings.Repeat(" ", 14))))
}

// wrong says what is wrong.
func (x *explanation) wrong(text string) {
	x.whole = false
	lines := wrap(text, "    ")
	fmt.Fprintln(x.Buffer, "    "+x.env.paint(red, strings.TrimPrefix(lines, "    ")))
}

// reasons are what Envoy writes into a request ID.
var reasons = map[byte]string{
	'4': "no reason: Envoy does not trace the request, or has not written it down (pack_trace_reason is off, or no sidecar has seen it yet)",
	'9': "sampled: the mesh's random sampling picked the request",
	'a': "forced by a service: a request with x-envoy-force-trace",
	'b': "asked for by a client: a request with x-client-trace-id",
}

func (x *explanation) requestID(h http.Header) {
	values := h.Values("x-request-id")
	if len(values) == 0 {
		return
	}
	id := values[0]
	x.title("x-request-id: " + strings.Join(values, ", "))
	reason, ok := wire.TraceReason(id)
	switch {
	case len(values) > 1:
		x.wrong(fmt.Sprintf("There are %d of it; Envoy looks at the first.", len(values)))
	case id == "":
		x.wrong("Empty, which is not the same as absent: Envoy keeps it, and cannot write its trace decision into it.")
	case !ok:
		x.wrong("Not a UUID: Envoy cannot write its trace decision into it, nor read one from it, and its sampling need not be the same at every sidecar.")
	case reasons[reason] != "":
		x.item("reason", fmt.Sprintf("%c, at index 14: %s", reason, reasons[reason]))
	default:
		x.item("reason", fmt.Sprintf("%c, at index 14: none of Envoy's; a UUID of version %[1]c, which Envoy takes for not traced", reason))
	}
}

func (x *explanation) position(h http.Header, p wire.Context) {
	name := string(p.Format)
	if v := h.Values(name); len(v) > 0 {
		name += ": " + strings.Join(v, ", ")
	}
	x.title(name)
	if p.Err != nil {
		for line := range strings.SplitSeq(p.Err.Error(), "\n") {
			x.wrong(upper(printable(line)) + ".")
		}
		x.say("Whoever cannot read it starts a trace of its own, or none.")
		return
	}
	if p.Trace != "" {
		size := fmt.Sprintf(" (%d bits)", 4*len(p.Trace))
		if p.Format == wire.SkyWalking {
			size = ""
		}
		x.item("trace", printable(p.Trace)+size)
	}
	if p.Span != "" {
		span := printable(p.Span) + ", the caller's"
		switch {
		case p.Parent != "":
			span += ", whose own parent is " + p.Parent
		case p.Format == wire.B3Multi || p.Format == wire.B3Single:
			span += ", of which no parent is named: it is the trace's first, or the caller left that out"
		}
		x.item("span", span)
	}
	x.item("sampling", sampling(p))
}

// sampling says what p says of it, and who decides.
func sampling(p wire.Context) string {
	b3 := p.Format == wire.B3Multi || p.Format == wire.B3Single
	switch {
	case p.Decision == wire.Debug:
		return "debug: somebody asked for this one request, and every service records it past its sampler"
	case p.Decision == wire.Deferred && b3:
		return "no decision: the next sidecar or tracer decides, by its own sampling, for itself and all that follow"
	case p.Decision == wire.Deferred:
		return "no decision: the next tracer decides"
	case p.Trace == "" && p.Decision == wire.Accepted:
		return "sampled, decided before, and no trace yet: the next sidecar or tracer starts it"
	case p.Trace == "":
		return "not sampled, decided before: nobody who follows records the request"
	case p.Decision == wire.Denied && b3:
		return "not sampled, decided before: sidecars and samplers that follow their parent record nothing"
	case p.Decision == wire.Denied:
		return "not sampled by the caller: samplers that follow their parent record nothing"
	case b3:
		return "sampled, decided before: sidecars and samplers that follow their parent record it too"
	default:
		return "sampled by the caller: samplers that follow their parent record it too"
	}
}

// opaque names those headers that only their own tracer understands.
func (x *explanation) opaque(h http.Header) {
	say := func(name, text string) {
		if v := h.Values(name); len(v) > 0 {
			x.title(name + ": " + shorten(strings.Join(v, ", "), 120))
			x.say(text)
		}
	}
	if state := h.Values("tracestate"); len(state) > 0 {
		var vendors []string
		for member := range strings.SplitSeq(strings.Join(state, ","), ",") {
			if vendor, _, ok := strings.Cut(strings.TrimSpace(member), "="); ok {
				vendors = append(vendors, printable(vendor))
			}
		}
		text := "What tracers keep for themselves, the latest first"
		if len(vendors) > 0 {
			text += ": " + hop.And(vendors)
		}
		say("tracestate", text+". It belongs to traceparent and goes with it.")
		if len(h.Values("traceparent")) == 0 {
			x.wrong("Without traceparent it means nothing.")
		}
	}
	say("x-ot-span-context", "The context of Envoy's OpenTracing tracers, which only they can read.")
	say("baggage", "Data of the application's own, for every service on the way. It says nothing of the trace.")
	say("x-datadog-origin", "Where Datadog's trace began. It belongs to x-datadog-trace-id.")
	say("x-datadog-tags", "Datadog's tags of the trace. They belong to x-datadog-trace-id.")
	say("sw8-correlation", "SkyWalking's baggage. It belongs to sw8.")
	say("sw8-x", "SkyWalking's extensions. It belongs to sw8.")
}

// agreement says whether all positions are the same.
func (x *explanation) agreement(h http.Header, positions []wire.Context) {
	var ids, decided []wire.Context
	for _, p := range positions {
		// IDs of SkyWalking are its own.
		if p.HasIDs() && p.Format != wire.SkyWalking {
			ids = append(ids, p)
		}
		if p.Err == nil && p.Decision != wire.Deferred {
			decided = append(decided, p)
		}
	}
	reason, ok := wire.TraceReason(h.Get("x-request-id"))
	traced := reason == '9' || reason == 'a' || reason == 'b'
	if len(ids)+len(decided) == 0 || len(ids) < 2 && len(decided) < 2 && !ok {
		return
	}
	x.title("Agreement")
	if len(ids) > 1 {
		x.same(ids)
	}
	for _, p := range decided[:min(1, len(decided))] {
		for _, q := range decided[1:] {
			if (p.Decision >= wire.Accepted) != (q.Decision >= wire.Accepted) {
				x.wrong(fmt.Sprintf("%s says %s, and %s says %s: which of them holds depends on who reads it.", p.Format, p.Decision, q.Format, q.Decision))
			}
		}
		switch sampled := p.Decision >= wire.Accepted; {
		case !ok:
		case sampled == traced:
			x.say(fmt.Sprintf("The request ID says the same as %s of whether the request is traced.", p.Format))
		case sampled:
			x.say(fmt.Sprintf("The request ID holds no reason to trace, and %s says %s: a service decided that, or the sidecars write no reasons down. Sidecars follow %[1]s.", p.Format, p.Decision))
		default:
			x.say(fmt.Sprintf("The request ID says that Envoy wanted to trace the request, and %s says %s: somebody on the way decided otherwise. Sidecars follow %[1]s.", p.Format, p.Decision))
		}
	}
}

// same says whether the positions name the same span.
func (x *explanation) same(ids []wire.Context) {
	first, agree := ids[0], true
	for _, p := range ids[1:] {
		// Datadog may have left the upper 64 bits out.
		a, b := wire.Pad(first.Trace), wire.Pad(p.Trace)
		if len(p.Trace) == 16 || len(first.Trace) == 16 {
			a, b = a[16:], b[16:]
		}
		switch {
		case a != b:
			agree = false
			x.wrong(fmt.Sprintf("%s and %s name different traces: one of them is left over from another request, or two tracers each have their own.", first.Format, p.Format))
		case p.Span != first.Span:
			agree = false
			x.wrong(fmt.Sprintf("%s and %s name different spans of one trace: a tracer has rewritten one of them and left the other as it came.", first.Format, p.Format))
		}
	}
	if agree {
		names := make([]string, len(ids))
		for i, p := range ids {
			names[i] = string(p.Format)
		}
		x.say(upper(hop.And(names)) + " name the same span.")
		return
	}
	if first.Format == wire.B3Multi && ids[1].Format == wire.B3Single {
		x.say("Envoy's Zipkin tracer believes b3 before x-b3-*.")
	}
}

// upper returns a sentence with a capital, unless it begins with a header.
func upper(s string) string {
	word, _, _ := strings.Cut(s, " ")
	if strings.ContainsAny(word, "-_0123456789") || slices.Contains(known(), strings.TrimSuffix(strings.TrimSuffix(word, ","), "'s")) {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
