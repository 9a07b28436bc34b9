package hop

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tracebaton/tracebaton/internal/wire"
)

// Severity says how much a fault costs.
type Severity int

// The severities, from the least to the worst. All but a note make a service
// fail.
const (
	Note       Severity = iota // good to know; every reader still sees the trace
	Lost                       // what belongs to the trace and is no place in it: state, the request ID
	Overridden                 // the trace goes on with another sampling decision
	Broken                     // a reader sees another trace, or none
)

func (s Severity) String() string { return [...]string{"note", "lost", "overridden", "broken"}[s] }

// MarshalText returns the severity's word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Kind is a kind of fault. Its text is for machines to tell them apart.
type Kind string

// The kinds of faults.
const (
	// A reader sees another trace, or none.
	AllLost       Kind = "all-lost"
	OnlyRequestID Kind = "only-request-id"
	TraceLost     Kind = "trace-lost"
	OtherTrace    Kind = "new-trace"
	Truncated     Kind = "truncated"
	Torn          Kind = "torn"
	Malformed     Kind = "malformed"
	Repeated      Kind = "repeated"
	Empty         Kind = "empty"
	Mixed         Kind = "mixed"
	NoInvented    Kind = "decision-invented"

	// The decision is another one.
	DecisionChanged Kind = "decision-changed"
	DecisionLost    Kind = "decision-lost"
	RootDecided     Kind = "root-decided"

	// Something beside the trace is lost.
	StateLost        Kind = "state-lost"
	RequestIDLost    Kind = "request-id-lost"
	RequestIDChanged Kind = "request-id-changed"
	RequestIDTwice   Kind = "request-id-twice"
	HeaderLost       Kind = "header-lost"
	HeaderChanged    Kind = "header-changed"
	Case             Kind = "case"

	// Readers see the trace all the same: notes, unless the service has
	// promised to relay what it gets.
	ParentLost       Kind = "parent-lost"
	WrongParent      Kind = "wrong-parent"
	Padded           Kind = "padded"
	OneFormat        Kind = "one-format"
	Stale            Kind = "stale"
	Disagree         Kind = "disagree"
	DebugLost        Kind = "debug-lost"
	RequestIDNotUUID Kind = "request-id-not-a-uuid"
	RandomLost       Kind = "random-flag-lost"
	NotSent          Kind = "not-sent"

	// What makes no sense for a service that exports spans, or exports none.
	NotChild Kind = "not-a-child"
	Phantom  Kind = "phantom-span"

	// What only the conformance kit can see.
	Mutated       Kind = "request-changed"
	CallerIgnored Kind = "caller-ignored"
	Leaked        Kind = "leaked"
)

// Fault is one thing that is wrong with what arrived, or good to know of it.
type Fault struct {
	Kind     Kind
	Severity Severity
	Family   string   // its title, or empty if the fault is of several
	Headers  []string // that it shows in
	What     string   // a sentence without its full stop
	why, do  string   // what is true of this one alone
}

// Rule returns the rule that the fault breaks.
func (f Fault) Rule() string { return advice[f.Kind].rule }

// Why returns why the fault matters.
func (f Fault) Why() string {
	if f.why != "" {
		return f.why
	}
	return advice[f.Kind].why
}

// Gone reports whether the fault says that the trace, or the header, did not
// arrive.
func (f Fault) Gone() bool {
	switch f.Kind {
	case AllLost, OnlyRequestID, TraceLost, OtherTrace, RequestIDLost, RequestIDChanged, HeaderLost, HeaderChanged, DecisionLost:
		return true
	}
	return false
}

// Do returns what to do about the fault, to a service of which the clues tell
// something.
func (f Fault) Do(c Clues) string {
	a := advice[f.Kind]
	switch {
	case f.do != "":
		return f.do
	case c.Proxy && a.proxy != "":
		return a.proxy
	case c.Sidecar && (f.Kind == RequestIDChanged || f.Kind == OtherTrace || f.Kind == AllLost):
		return a.do + " To see what the service itself sends, have it call this upstream past its sidecar: annotate the pod with traffic.sidecar.istio.io/excludeOutboundPorts and this upstream's port."
	}
	return a.do
}

// Hint returns where in the service's language, and in its libraries, to look
// for what Do says. It is empty where nothing is known to look for.
func (f Fault) Hint(c Clues) string {
	if a := advice[f.Kind]; f.do == "" && (!c.Proxy || a.proxy == "") {
		return c.Language.advice(a.about, c.Spans)
	}
	return ""
}

// topic is what advice for a language is about.
type topic int

const (
	nothing topic = iota
	passing       // headers are not passed on
	deciding
	speaking // one format is, and another is not
)

const (
	goesOut = "Whatever trace headers come in with a request go out with every call made on its behalf."
	whole   = "A family travels whole or not at all."
	asTold  = "A sampling decision reaches the next hop unchanged."
)

// advice is the rule that a kind of fault breaks, why the rule is there, and
// what to do, in a service and in a proxy.
var advice = map[Kind]struct {
	rule, why, do, proxy string
	about                topic
}{
	AllLost: {
		rule:  goesOut,
		why:   "Only the application knows which call belongs to which request: the sidecar sees a call without headers, and starts a new trace.",
		do:    "Send the headers of the request along with every call made for it.",
		proxy: "Let the proxy pass headers on: look for a setting that removes them or lists those that go on.",
		about: passing,
	},
	OnlyRequestID: {
		rule:  goesOut,
		why:   "Access logs can still be joined by the request ID, but the spans cannot: the request is in pieces in the trace store.",
		do:    "The service passes on a header that it knows by name. Let it pass on the trace headers as well.",
		proxy: "The proxy sets x-request-id and drops the rest: let it pass all headers on.",
		about: passing,
	},
	TraceLost: {
		rule:  goesOut,
		why:   "A reader of this format sees a call without a request, and starts a new trace.",
		do:    "Pass this format on, too, or promise only the formats that the mesh reads (-families, Service.Families).",
		proxy: "Let the proxy pass these headers on: look for a setting that removes them or lists those that go on.",
		about: speaking,
	},
	OtherTrace: {
		rule:  "The trace ID of the request is the trace ID of its calls.",
		why:   "What this service calls is drawn in a trace of its own: the request is in pieces in the trace store.",
		do:    "Either the call is not made with the context of the request, or the service's tracer does not read the headers that were sent.",
		proxy: "The proxy's tracer begins a trace without reading the headers that came in: let it continue the trace (parent-based), or switch it off.",
		about: passing,
	},
	Truncated: {
		rule: "A trace ID keeps its 128 bits.",
		why:  "Readers compare all 128 bits, and take the two for two traces.",
		do:   "Write the ID as it came. Older Zipkin and Jaeger clients have a setting for 128-bit trace IDs.",
	},
	Torn: {
		rule: whole,
		why:  "The trace ID and the span ID mean something together only: what is left names no place in a trace, and a reader starts a new one.",
		do:   "Copy the whole family or none of it: list all of its headers, not some.",
	},
	Malformed: {
		rule: "Values are relayed byte for byte, or written as their format says.",
		why:  "A reader ignores what it cannot read, and starts a new trace; Envoy makes no span at this hop at all.",
		do:   "Copy values as they came, or let a tracer write them.",
	},
	Repeated: {
		rule:  "A header that names a place in a trace is there once.",
		why:   "Readers differ in which of the lines they take, and some take none.",
		do:    "Set the header where it is written (set, not add), and let one part of the service write it: a tracer or a copy loop, not both.",
		proxy: "The proxy adds the header to the one that it passes on: let it set the header, or leave it alone.",
	},
	Empty: {
		rule:  "Nothing absent or empty is ever sent.",
		why:   "An empty header is not an absent one.",
		do:    "Set a header only if the request had it. In a copy loop: if v := in.Get(name); v != \"\" { out.Set(name, v) }, or what that is in your language.",
		proxy: "A proxy passes an empty header on as it came, or writes one where a setting copies a header that is not there: set it under a condition, or remove empty ones before the call.",
	},
	Mixed: {
		rule: "Each request keeps its own headers.",
		why:  "Two requests' spans are drawn in one trace, and one of them is missing in its own.",
		do:   "Keep what belongs to a request in its context, and nowhere else: no global, no field of the client, no pool that is used before the call is over.",
	},
	NoInvented: {
		rule:  "A decision without IDs goes on, and a request without a decision gets none.",
		why:   "Envoy takes it for a decision: after a 0 it stops tracing there, and the rest of the request is missing.",
		do:    "Send no decision that did not come in. OpenTelemetry's B3 propagators do so when a service has no SDK.",
		proxy: "A setting of the proxy writes a decision of its own: remove it.",
		about: nothing,
	},

	DecisionChanged: {
		rule:  asTold,
		why:   "A trace is recorded as a whole or not at all: a service that decides otherwise on the way tears a hole in it, or records a piece that nobody looks for.",
		do:    "Let the service's sampler follow its parent's decision.",
		about: deciding,
	},
	DecisionLost: {
		rule:  asTold,
		why:   "Without the decision the next hop decides again: a request that somebody chose not to record is recorded, or the reverse.",
		do:    "Pass the decision on as it came, with or without IDs beside it.",
		proxy: "Let the proxy pass the header on as it came.",
		about: nothing,
	},

	RootDecided: {
		rule: asTold,
		why:  "A decision without IDs names no parent, so that the tracer asked its sampler for roots. It matters only where somebody sends a decision alone: sidecars write IDs beside each.",
		do:   "Leave deciding to the sidecars, or have the service pass a decision without IDs on as it came.",
	},

	StateLost: {
		rule:  "What travels beside the trace arrives whole.",
		why:   "The tracer that wrote it misses it further on.",
		do:    "Pass the header on, with every value that it came with, as it came.",
		proxy: "Let the proxy pass the header on as it came.",
		about: nothing,
	},
	RequestIDLost: {
		rule:  "The request ID that came in goes out.",
		why:   "Envoy joins its access logs by this ID and keeps its trace decision in it: the next sidecar makes another one, and decides again.",
		do:    "Copy x-request-id from the request to every call made for it. OpenTelemetry has no propagator that does.",
		proxy: "Let the proxy pass x-request-id on as it came.",
		about: nothing,
	},
	RequestIDChanged: {
		rule:  "The request ID that came in goes out.",
		why:   "Envoy joins its access logs by this ID and keeps its trace decision in it.",
		do:    "Send the ID that came in, and make one only where none came in.",
		proxy: "Let the proxy set x-request-id only where the request has none (nginx: map $http_x_request_id; HAProxy: unless { req.hdr(x-request-id) -m found }).",
	},
	RequestIDTwice: {
		rule:  "The request ID is there once.",
		why:   "Envoy joins two with a comma, and can write no trace reason into that: access logs no longer find the request by its ID.",
		do:    "Set x-request-id where it is written (set, not add), and only where the request has none.",
		proxy: "The proxy adds an ID to the one that it passes on: let it set x-request-id only where the request has none.",
	},
	HeaderLost: {
		rule:  goesOut,
		why:   "The service that is called misses it.",
		do:    "Copy the header from the request to every call made for it, or do not promise it (-families, Service.Families).",
		proxy: "Let the proxy pass the header on.",
	},
	HeaderChanged: {
		rule: "Values are relayed byte for byte.",
		why:  "Only the code that made the value knows what is in it.",
		do:   "Copy every value as it is, without parsing, joining, trimming or escaping.",
	},
	Case: {
		rule: "Values are relayed byte for byte.",
		why:  "Only the names of headers are the same in any case. An ID in upper case is malformed, and a tracer's state or base64 means something else.",
		do:   "Copy values as they are.",
	},

	ParentLost: {
		rule: whole,
		why:  "Between sidecars it does no harm that was seen. A Zipkin tracer that shares its span with the caller's loses the edge to the caller's parent.",
		do:   "Copy x-b3-parentspanid along with the others. OpenTelemetry's B3 propagators never do.",
	},
	WrongParent: {
		rule: "A span of the service hangs from the span that called it.",
		why:  "The tree of the trace gets an edge that no call made.",
		do:   "Write all headers of a family anew for a new span, and leave out x-b3-parentspanid if the span's parent is not known.",
	},
	Padded: {
		rule: "A 16-digit trace ID stays 16 digits in B3, and is padded only in traceparent.",
		why:  "Envoy and most stores take the two for one trace. A Zipkin store in its strict mode takes them for two.",
		do:   "Nothing where the mesh makes IDs of 32 digits, as Istio's does. Else write the ID as it came; OpenTelemetry's B3 propagators cannot.",
	},
	OneFormat: {
		rule: whole,
		why:  "Both formats of B3 say the same, and one is enough where it is read. A trace that comes in the other alone ends here.",
		do:   "Copy b3 and x-b3-* alike.",
	},
	Stale: {
		rule: "All formats that go out name the same span.",
		why:  "A sidecar renews only the format that it speaks, and a reader of another one hangs its spans from an older span of the same trace.",
		do:   "Nothing where no service reads the older format. Else let the tracer that makes the span write, or remove, every format that came in.",
	},
	Disagree: {
		rule: "All formats that go out name the same span.",
		why:  "A reader of one format hangs its spans from another span than a reader of the other; Envoy's Zipkin tracer reads b3 before x-b3-*.",
		do:   "Let one tracer write all formats: not two propagators of two tracers side by side, nor one beside a copy loop.",
	},
	DebugLost: {
		rule: "A debug request stays one.",
		why:  "The request is recorded, but samplers further on may leave it out; a debug request must be kept. Envoy itself writes 1 for d.",
		do:   "Pass x-b3-flags and b3 on as they came.",
	},
	RequestIDNotUUID: {
		rule: "A request ID is a UUID.",
		why:  "Envoy writes its trace reason into IDs of 36 characters only (index 14), and never samples on its own those that do not begin with eight hex digits.",
		do:   "Leave making request IDs to the sidecar, or make UUIDs.",
	},
	RandomLost: {
		rule: "The flags of traceparent go on.",
		why:  "The random flag says that the right half of the trace ID is random. Samplers that need to know draw a number of their own.",
		do:   "Nothing, unless a sampler of that kind is used.",
	},
	NotSent: {
		rule: "Nothing is sent that did not come in.",
		why:  "A service that exports no spans has nothing to say about traces: what it invents stands for no span.",
		do:   "Send only headers that came in. A service that exports its spans may start a trace, and tells the conformance kit so (OwnSpans).",
	},

	NotChild: {
		rule: "A sampled span of the service becomes the parent of what it calls.",
		why:  "The service's own spans and those of what it calls are siblings: it does not look like the caller.",
		do:   "Inject the client span: let the instrumentation (otelhttp.NewTransport) write the headers, and no copy loop after it.",
	},
	Phantom: {
		rule: "Only a span that its exporter gets becomes a parent.",
		why:  "The spans of the called service hang from a span that is in no store: Jaeger draws them at the root, and warns of a missing parent.",
		do:   "Relay the headers that came in while no span is recorded: otelprop.Propagator does. A service that does export its spans tells the conformance kit so (OwnSpans).",
	},

	Mutated: {
		rule: "The caller's request is never modified.",
		why:  "http.RoundTripper's contract says so: a request that is retried, or used as a template, would carry the first call's headers, and two goroutines that use it race.",
		do:   "Set headers on a copy: r = r.Clone(r.Context()), or propagation.Headers.Outgoing.",
	},
	CallerIgnored: {
		rule: "If the outgoing request already carries any header of a family, even nil, none of it is added: the caller's choice wins.",
		why:  "Half of one request's headers beside half of another's describe a trace that never was.",
		do:   "Look for any header of the family before adding one: propagation.Headers.Inject does.",
	},
	Leaked: {
		rule: "Every hop of a redirect is judged again, and headers go only where the service sends them.",
		why:  "Whoever gets them learns IDs, and from custom headers and baggage who the user is.",
		do:   "Add the headers in a http.RoundTripper that looks at each request's URL (middleware.Transport with Match), not on the request that goes to http.Client.",
	},
}

// are returns a sentence about headers: the first phrase for one of them, the
// last for several.
func are(names []string, phrases ...string) string {
	if len(names) == 1 {
		return names[0] + " " + phrases[0]
	}
	return And(names) + " " + phrases[len(phrases)-1]
}

// And returns the words as a list in a sentence.
func And(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

func formatNames(positions []wire.Context) string {
	var words []string
	for _, p := range positions {
		words = append(words, string(p.Format))
	}
	return And(words)
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// danger orders empty headers by what an Envoy makes of them, the worst first,
// and says what that is.
var danger = []struct{ name, why string }{
	{"b3", "An empty b3 is one that Envoy cannot read, and it makes no span and passes it on: tracing ends here."},
	{"x-b3-sampled", "Envoy reads an empty x-b3-sampled as a decision not to sample."},
	{"traceparent", "Envoy cannot read an empty traceparent, and makes no span."},
	{"x-b3-traceid", "An empty ID names no place in a trace: Envoy makes no span."},
	{"x-b3-spanid", "An empty ID names no place in a trace: Envoy makes no span."},
	{"sw8", "An empty sw8 cannot be read: a reader starts a new trace."},
}

// worstEmpty sorts names of empty headers, and returns why the first matters.
// It reports false if no reader takes any of them for something.
func worstEmpty(names []string) (why string, harmful bool) {
	rank := func(name string) int {
		i := slices.IndexFunc(danger, func(d struct{ name, why string }) bool { return d.name == name })
		if i < 0 {
			return len(danger)
		}
		return i
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	if i := rank(names[0]); i < len(danger) {
		return danger[i].why, true
	}
	return fmt.Sprintf("No reader that is known takes an empty %s for anything.", names[0]), false
}
