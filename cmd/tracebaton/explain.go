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
	"github.com/tracebaton/tracebaton/propagation"
)

const explainUsage = `NAME
    tracebaton explain - say what trace headers mean

SYNOPSIS
    tracebaton explain [-envoy VERSION] 'name: value' ...
    tracebaton explain [-envoy VERSION] curl URL -H 'name: value' ...
    tracebaton explain [-envoy VERSION] < FILE

DESCRIPTION
    Explain reads headers, from its arguments or else from standard input, and
    says what the trace headers among them mean: the IDs, whether the trace is
    sampled and what decides that, why Envoy traces the request, and whether
    all of them name the same span.

    From standard input it takes what people have: what curl -v, HTTPie, wget
    -d, grpcurl and tcpdump -A print; what browsers copy, as cURL in any shell,
    as fetch, as HAR or out of the panel of headers; headers as programs and
    logs print them in Go, JavaScript, Python, Java, Ruby, Rust, PHP and YAML;
    the access logs of Envoy, Istio and nginx; and traces in the JSON of Jaeger,
    OpenTelemetry and Zipkin. UTF-16 and colours do no harm. At most 8 MiB are
    read.

    Each message (a request, its response, a line of a log, a JSON object) is
    explained by itself, and only once if it is repeated; other headers are left
    out. A line that names a trace header but has no value is shown.

    Headers are read strictly: IDs are hex digits in lower case, of 16 or 32
    digits, and not all zeros. Some tracers repair what others refuse, such as
    upper case: explain says that it is wrong.

ENVOY'S TRACE REASON
    Envoy keeps in x-request-id whether and why a request is traced, so that all
    sidecars on its way treat it alike: in the character at index 14 (counted
    from 0) of an ID of 36 characters, where UUIDs have their version.

        4   no reason: no sidecar has sampled the request, or written it down
        9   sampled, by the random sampling of the mesh
        a   forced by a service, with x-envoy-force-trace
        b   asked for by a client, with x-client-trace-id

    An ID of another length cannot hold a reason.

OPTIONS
    -envoy VERSION
        The version of Envoy that explain describes, such as 1.38 (default 1.40,
        the newest known). It was tested with 1.38.3, 1.39.3 and 1.40.0.
        Istio's proxies print theirs with istio-proxy --version, and at
        /server_info of the admin interface.
    -h
        Write this text.

EXIT STATUS
    0   the headers can be read and agree
    1   they cannot, or do not
    2   there were no trace headers, or the command was not understood

ENVIRONMENT
    NO_COLOR    if not empty: no colour on a terminal

EXAMPLES
        tracebaton explain 'x-b3-sampled: 0' 'b3: 1'

        curl -s http://localhost:8000/headers | tracebaton explain

        kubectl logs deploy/sleep -c istio-proxy | tracebaton explain

SEE ALSO
    tracebaton check -h
`

func runExplain(args []string, e env) int {
	fs := flag.NewFlagSet("explain", flag.ContinueOnError)
	envoy := newestEnvoy
	fs.Var(&envoy, "envoy", "")
	if status, ok := parse(fs, args, explainUsage, e); !ok {
		return status
	}
	var p *paste
	if fs.NArg() > 0 {
		p = readArgs(fs.Args())
	} else {
		text, err := io.ReadAll(io.LimitReader(e.stdin, maxPaste+1))
		if err == nil && len(text) > maxPaste {
			err = fmt.Errorf("the input is larger than %d MiB; cut out the requests that matter", maxPaste>>20)
		}
		if err != nil {
			return fail(e, fs, fmt.Errorf("cannot read the headers: %w", err))
		}
		p = readPaste(text)
	}
	if len(p.messages) == 0 && len(p.unread) == 0 {
		return fail(e, fs, errors.New("no trace headers to explain"))
	}
	if len(p.messages) == 0 {
		l := p.unread[0]
		if fs.NArg() > 0 {
			return fail(e, fs, fmt.Errorf("%q is not of the form 'name: value'", shorten(l.text, 60)))
		}
		return fail(e, fs, fmt.Errorf("no trace header that can be read; line %d names %s, but has no value for it: %s",
			l.number, l.name, printable(shorten(strings.TrimSpace(l.text), 60))))
	}
	x := &explanation{Buffer: new(bytes.Buffer), env: e, envoy: envoy, whole: true}
	for _, m := range p.messages {
		if len(p.messages) > 1 || len(m.spans) > 0 || strings.Contains(m.title, "by its form") {
			x.title(m.title)
		}
		x.explain(m)
	}
	x.unread(p)
	if _, err := x.WriteTo(e.stdout); err != nil {
		return fail(e, fs, err)
	}
	if !x.whole {
		return statusBroken
	}
	return statusWhole
}

// readArgs reads headers that are arguments, or the arguments of a curl.
func readArgs(args []string) *paste {
	p := &paste{}
	m := p.begin("")
	for i, arg := range args {
		arg = strings.TrimPrefix(strings.TrimPrefix(arg, "-H"), "--header=")
		name, value, ok := strings.Cut(arg, ":")
		if known, isName := canonical(strings.TrimSpace(name)); ok && isName && known != logTrace && known != logSpan {
			m.put(known, strings.TrimSpace(value))
			continue
		}
		p.read(plain([]byte(arg)), i+1, fmt.Sprintf("Argument %d", i+1), 0)
	}
	if len(m.header) == 0 && len(p.messages) == 1 {
		p.readShapes(strings.Join(args, "\n"))
	}
	p.settle()
	return p
}

// explanation is what is said of the messages of a paste.
type explanation struct {
	*bytes.Buffer
	env    env
	envoy  envoyVersion
	whole  bool // so far
	agreed bool // the heading of the agreement is there
}

// explain writes what the headers of a message mean.
func (x *explanation) explain(m *message) {
	x.agreed = false
	h := m.header
	x.requestID(h)
	for _, s := range m.spans {
		x.title(string(s.Format))
		x.item("trace", traceOf(s))
		x.item("span", s.Span+parentOf(s))
	}
	positions := wire.Read(h)
	for _, p := range positions {
		x.position(h, p)
	}
	x.state(h, positions)
	x.agreement(h, append(positions, m.spans...))
	if err := allFamilies.Check(h); err != nil {
		x.title("Not relayed")
		x.say("Package propagation cannot relay all of it:")
		x.faults(err)
	}
}

var allFamilies = propagation.Istio().With(propagation.Baggage, propagation.Datadog, propagation.SkyWalking,
	propagation.GoogleCloud, propagation.GRPCTraceBin, propagation.XRay, propagation.Jaeger)

const width = 80

func (x *explanation) title(text string) {
	if x.Len() > 0 {
		fmt.Fprintln(x.Buffer)
	}
	fmt.Fprintln(x.Buffer, x.env.paint(bold, shorten(strings.TrimSpace(printable(text)), width)))
}

func (x *explanation) say(text string) { fmt.Fprintln(x.Buffer, wrap(breakable(text, 4), "    ")) }
func (x *explanation) item(name, text string) {
	fmt.Fprintf(x.Buffer, "    %-10s%s\n", name, strings.TrimSpace(wrap(breakable(text, 14), strings.Repeat(" ", 14))))
}

// wrong says what is wrong.
func (x *explanation) wrong(text string) {
	x.whole = false
	lines := wrap(breakable(text, 4), "    ")
	fmt.Fprintln(x.Buffer, "    "+x.env.paint(red, strings.TrimPrefix(lines, "    ")))
}

// breakable shortens the words that do not fit into a line behind the indent.
func breakable(text string, indent int) string {
	words := strings.Fields(text)
	for i, word := range words {
		words[i] = shorten(word, width-indent)
	}
	return strings.Join(words, " ")
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
		x.say("A tracer that cannot read it starts a trace of its own, or none.")
		x.envoyReads(h, p)
		return
	}
	if p.Trace != "" {
		x.item("trace", traceOf(p))
	}
	if p.Span != "" {
		x.item("span", printable(p.Span)+", the caller's"+parentOf(p))
	}
	x.item("sampling", sampling(p))
	x.envoyReads(h, p)
}

// traceOf returns the trace ID and its size. Those of Jaeger may lack zeros in
// front.
func traceOf(p wire.Context) string {
	switch {
	case p.Digits == 0:
		return printable(p.Trace)
	case p.Digits <= 16:
		return p.Trace[16:] + " (64 bits)"
	default:
		return p.Trace + " (128 bits)"
	}
}

// parentOf says of which span a span is the child.
func parentOf(p wire.Context) string {
	switch {
	case p.Parent != "":
		return ", whose own parent is " + p.Parent
	case p.Format == wire.B3Multi || p.Format == wire.B3Single:
		return ", without a parent: it is the trace's first, or the caller left its parent out"
	}
	return ""
}

// sampling says what p says of it, and who heeds that.
func sampling(p wire.Context) string {
	b3 := p.Format == wire.B3Multi || p.Format == wire.B3Single
	switch {
	case p.Decision == wire.Debug && b3:
		return "debug: somebody asked for this one request, and Zipkin's libraries record it past their samplers"
	case p.Decision == wire.Debug:
		return "debug: somebody asked for this one request, and tracers of this format record it past their samplers"
	case p.Decision == wire.Deferred && b3:
		return "no decision: the next sidecar or tracer decides, by its own sampling, for itself and all that follow"
	case p.Decision == wire.Deferred:
		return "no decision: the next tracer decides"
	case p.Trace == "" && p.Decision == wire.Accepted:
		return "sampled, decided before, and no trace yet: the next sidecar or tracer starts it"
	case p.Trace == "":
		return "not sampled, decided before: no tracer that follows records the request"
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

// state says what there is beside the positions.
func (x *explanation) state(h http.Header, positions []wire.Context) {
	say := func(name, text string, err error) {
		if v := h.Values(name); len(v) > 0 {
			x.title(name + ": " + strings.Join(v, ", "))
			x.say(text)
			x.faults(err)
		}
	}
	of := func(format wire.Format) wire.Context {
		for _, p := range positions {
			if p.Format == format {
				return p
			}
		}
		return wire.Context{}
	}
	_, baggageErr := wire.Baggage(h.Values("baggage"))
	x.tracestate(h)
	say("x-ot-span-context", "The context of Envoy's OpenTracing tracers, which only they can read.", nil)
	say("baggage", "Data of the application's own, for every service on the way. It says nothing about the trace.", baggageErr)
	say("x-datadog-origin", "Where Datadog's trace began. It belongs to x-datadog-trace-id.", nil)
	say("x-datadog-tags", "Datadog's tags of the trace, the upper half of a 128-bit ID among them. They belong to x-datadog-trace-id.", of(wire.Datadog).StateErr)
	say("sw8-correlation", "SkyWalking's baggage. It belongs to sw8.", of(wire.SkyWalking).StateErr)
	say("sw8-x", "SkyWalking's extensions. It belongs to sw8.", nil)
	var names []string
	for name := range h {
		if hasPrefixFold(name, "uberctx-") {
			names = append(names, printable(strings.ToLower(name)))
		}
	}
	if slices.Sort(names); len(names) > 0 {
		x.title("uberctx-*")
		x.say("Jaeger's baggage: " + hop.And(names) + ". It belongs to uber-trace-id.")
	}
}

func (x *explanation) tracestate(h http.Header) {
	lines := h.Values("tracestate")
	if len(lines) == 0 {
		return
	}
	x.title("tracestate: " + strings.Join(lines, ", "))
	members, err := wire.Tracestate(lines)
	if len(members) == 0 && err == nil {
		x.say("Empty, as Envoy's OpenTelemetry tracer writes it where none came in. Tracers ignore it.")
		return
	}
	text := "What tracers keep for themselves, the latest first"
	if len(members) > 0 {
		var vendors []string
		for _, m := range members {
			if !slices.Contains(vendors, m.Key) {
				vendors = append(vendors, m.Key)
			}
		}
		text += ": " + hop.And(vendors)
	}
	x.say(text + ". It belongs to traceparent and goes with it.")
	x.faults(err)
	for _, key := range wire.Repeated(members) {
		x.wrong(fmt.Sprintf("The key %s is there more than once. One entry a key is allowed: a tracer that comes back puts its new entry in place of its old one.", key))
	}
	if len(h.Values("traceparent")) == 0 {
		x.wrong("Without traceparent it means nothing, and Envoy's OpenTelemetry tracer empties it.")
	}
}

// faults says what is wrong with headers that hold no position.
func (x *explanation) faults(err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		x.wrong(upper(printable(line)) + ".")
	}
}

// agree says a sentence on whether the headers agree.
func (x *explanation) agree(text string) {
	x.heading()
	x.say(text)
}

// disagree says that they do not.
func (x *explanation) disagree(text string) {
	x.heading()
	x.wrong(text)
}

func (x *explanation) heading() {
	if !x.agreed {
		x.title("Agreement")
		x.agreed = true
	}
}

// agreement says whether all positions are the same.
func (x *explanation) agreement(h http.Header, positions []wire.Context) {
	var ids, decided []wire.Context
	for _, p := range positions {
		// IDs of SkyWalking are its own.
		if p.Err == nil && p.Trace != "" && p.Format != wire.SkyWalking {
			ids = append(ids, p)
		}
		if p.Err == nil && p.Decision != wire.Deferred {
			decided = append(decided, p)
		}
	}
	if len(ids) > 1 {
		x.same(ids)
	}
	for _, q := range decided[min(1, len(decided)):] {
		if p := decided[0]; p.Decision.Sampled() != q.Decision.Sampled() {
			x.disagree(fmt.Sprintf("%s says %s, and %s says %s: which of them holds depends on the reader.", p.Format, p.Decision, q.Format, q.Decision))
		}
	}
	x.decides(h, decided)
}

// unread shows the lines of the paste of which nothing could be made.
func (x *explanation) unread(p *paste) {
	const most = 3
	if len(p.unread) > 0 {
		x.title("Not read")
		for _, l := range p.unread[:min(most, len(p.unread))] {
			x.say(fmt.Sprintf("Line %d names %s, but has no value for it:", l.number, l.name))
			fmt.Fprintln(x.Buffer, "        "+shorten(printable(shorten(strings.TrimSpace(l.text), width)), width-8))
		}
		if n := len(p.unread) - most; n > 0 {
			x.say(fmt.Sprintf("So do %d more.", n))
		}
	}
	if p.more {
		x.title("Not read")
		x.say(fmt.Sprintf("There is more than %d messages or %d headers in the text. Cut out what matters.", maxMessages, maxNames))
	}
}

// same says whether the positions name the same span, or at least the same
// trace where they have no span.
func (x *explanation) same(ids []wire.Context) {
	first, agree := ids[0], true
	spans := 0
	for _, p := range ids {
		if p.Span != "" {
			spans++
		}
	}
	told := slices.ContainsFunc(ids, isTold)
	for _, p := range ids[1:] {
		a, b := first.Trace, p.Trace
		if first.Digits <= 16 || p.Digits <= 16 {
			a, b = a[16:], b[16:]
		}
		switch {
		case a == b && first.Trace != p.Trace && first.Format != wire.Datadog && p.Format != wire.Datadog:
			// Datadog's header has no place for the upper 64 bits.
			agree = false
			half, all := first, p
			if first.Digits > 16 {
				half, all = p, first
			}
			x.disagree(fmt.Sprintf("%s has the lower 64 bits of the trace ID that %s has: a reader that compares all 128 takes them for two traces.", upper(string(half.Format)), all.Format))
		case a != b:
			agree = false
			x.disagree(fmt.Sprintf("%s and %s name different traces: one of them is left over from another request, or two tracers each have their own.", upper(string(first.Format)), p.Format))
		case isTold(first) || isTold(p):
			// What a span was called with, or calls with, is not its own ID.
		case first.Span != "" && p.Span != "" && p.Span != first.Span:
			agree = false
			x.disagree(fmt.Sprintf("%s and %s name different spans of one trace: a tracer has rewritten one of them and left the other as it came.", first.Format, p.Format))
			x.fresher(first, p)
		}
	}
	if !agree {
		return
	}
	names := make([]string, len(ids))
	for i, p := range ids {
		names[i] = string(p.Format)
	}
	what := "the same span"
	if spans < len(ids) || told {
		what = "the same trace"
	}
	x.agree(upper(hop.And(names)) + " name " + what + ".")
}

// isTold reports whether p is a span that somebody tells of, and not one that a
// header names.
func isTold(p wire.Context) bool { return strings.Contains(string(p.Format), " ") }

// fresher says which of two formats was written later, as far as they show it:
// a sidecar that renews B3 writes the parent's ID too, and a tracer that leaves
// B3 alone does not.
func (x *explanation) fresher(a, b wire.Context) {
	switch {
	case a.Format == wire.B3Multi && b.Format == wire.B3Single && a.Parent == b.Span:
		x.say("x-b3-* were written later: their parent is b3's span, as Envoy up to 1.39 leaves it. It believes b3 first all the same.")
	case a.Format == wire.B3Multi && b.Format == wire.B3Single && b.Parent == a.Span:
		x.say("b3 was written later: its parent is the span of x-b3-*, as Envoy leaves it since 1.40. It believes b3 first.")
	case a.Format == wire.B3Multi && b.Format == wire.B3Single:
		x.say("Envoy's Zipkin tracer believes b3 before x-b3-*.")
	case (a.Format == wire.B3Multi || a.Format == wire.B3Single) && b.Format == wire.W3C && a.Parent != "":
		x.say(fmt.Sprintf("%s is the fresher one if sidecars wrote it: it names a parent.", upper(string(a.Format))))
	case (a.Format == wire.B3Multi || a.Format == wire.B3Single) && b.Format == wire.W3C:
		x.say(fmt.Sprintf("traceparent is the fresher one if a sidecar wrote one of them: %s names no parent, as sidecars do.", a.Format))
	}
}

// upper returns a sentence with a capital, unless it begins with a header.
func upper(s string) string {
	word, _, _ := strings.Cut(s, " ")
	if strings.ContainsAny(word, "-_0123456789") || slices.Contains(headerNames, strings.TrimSuffix(strings.TrimSuffix(word, ","), "'s")) {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
