package hop

import (
	"strings"

	"github.com/tracebaton/tracebaton/internal/wire"
)

// Kind is a kind of fault. Its text is for machines to tell them apart.
type Kind string

// The kinds of faults.
const (
	AllLost          Kind = "all-lost"
	OnlyRequestID    Kind = "only-request-id"
	Missing          Kind = "lost"
	Torn             Kind = "torn"
	OneFormat        Kind = "one-format"
	OtherTrace       Kind = "new-trace"
	Padded           Kind = "padded"
	Truncated        Kind = "truncated"
	ParentLost       Kind = "parent-lost"
	WrongParent      Kind = "wrong-parent"
	SampledInvented  Kind = "sampled-0-invented"
	DecisionChanged  Kind = "decision-changed"
	Disagree         Kind = "disagree"
	NotChild         Kind = "not-a-child"
	Phantom          Kind = "phantom-span"
	RequestIDChanged Kind = "request-id-changed"
	RequestIDNotUUID Kind = "request-id-not-a-uuid"
	Empty            Kind = "empty"
	Mixed            Kind = "mixed"
	Case             Kind = "case"
	Repeated         Kind = "repeated"
	Malformed        Kind = "malformed"
	OtherFormat      Kind = "other-format"
	OtherValue       Kind = "changed"
	NotSent          Kind = "invented"

	// What only the conformance kit can see.
	Mutated    Kind = "request-changed"
	Overridden Kind = "overridden"
	Leaked     Kind = "leaked"
)

// Fault is one thing that is wrong with what arrived.
type Fault struct {
	Kind    Kind
	Headers []string // that it shows in
	What    string   // a sentence without its full stop
}

// advice is the rule that a fault breaks, why the rule is there, and what to
// do.
var advice = map[Kind][3]string{
	AllLost: {
		"Whatever trace headers come in with a request go out with every call made on its behalf.",
		"Only the application knows which call belongs to which request: the sidecar sees a call without headers, and starts a new trace.",
		"Send the headers of the request along with every call made for it. In Go: wrap the handler in middleware.Relay and the client's transport in middleware.Transport, and make the call with the request's context, http.NewRequestWithContext(r.Context(), …), not with http.Get or context.Background().",
	},
	OnlyRequestID: {
		"Whatever trace headers come in with a request go out with every call made on its behalf.",
		"Access logs can still be joined by the request ID, but the spans cannot: in Jaeger the request is in pieces.",
		"The service passes on a header that it knows by name. Let it pass on all of them: in Go, replace that code by middleware.Relay and middleware.Transport.",
	},
	Missing: {
		"Whatever trace headers come in with a request go out with every call made on its behalf.",
		"Whoever reads them sees a call without a request: its spans start a trace of their own, and without x-request-id Envoy's access logs cannot be joined.",
		"Copy these too. In Go, middleware.Relay and middleware.Transport do; a service that is not to relay them can say which families it promises.",
	},
	Torn: {
		"A family travels whole or not at all.",
		"Its headers mean something together only: what is left names no place in the trace, or another one.",
		"Copy the whole family or none of it: in Go, replace a loop over names by middleware.Relay and middleware.Transport.",
	},
	OneFormat: {
		"A family travels whole or not at all.",
		"Both formats of B3 say the same, and one is enough for who reads both. A trace that comes in the other alone ends here.",
		"Copy both: in Go, replace a loop over names by middleware.Relay and middleware.Transport.",
	},
	OtherTrace: {
		"The trace ID of the request is the trace ID of its calls.",
		"What this service calls is drawn in a trace of its own, and in Jaeger the request is in pieces.",
		"Either the call is not made with the context of the request (context.Background(), http.Get, a goroutine that got no context), or the service has a tracer that does not read the headers that were sent: in Go, set otelprop.Propagator{} with otel.SetTextMapPropagator.",
	},
	Padded: {
		"A 16-digit trace ID stays 16 digits in B3, and is padded only in traceparent.",
		"A Zipkin store in its strict mode takes the two for two traces.",
		"Write the ID as it came. contrib's b3 and most W3C tracers cannot; otelprop.Propagator does.",
	},
	Truncated: {
		"A trace ID keeps its length.",
		"Tracers that compare all 128 bits take the two for two traces.",
		"Write the ID as it came. Old Zipkin and Jaeger clients have a setting for 128-bit trace IDs.",
	},
	ParentLost: {
		"Values are relayed byte for byte, those of a whole family.",
		"A sidecar that shares its span with the caller's, as Zipkin has it, loses the edge to the caller's parent.",
		"Copy x-b3-parentspanid along with the others. contrib's b3 never does.",
	},
	WrongParent: {
		"A span of the service hangs from the span that called it.",
		"The tree in Jaeger gets an edge that no call made.",
		"Write all headers of a family anew for a new span, and leave out x-b3-parentspanid if the span's parent is not known.",
	},
	SampledInvented: {
		"Sampling alone travels, and nothing that came without a decision gets one.",
		"Envoy takes it for a decision and stops sampling there: the rest of the request is missing in Jaeger.",
		"Send no decision that did not come in. contrib's b3 does when the service has no SDK; otelprop.Propagator and middleware.Transport do not.",
	},
	DecisionChanged: {
		"A sampling decision reaches the next hop unchanged.",
		"A trace is recorded as a whole or not at all: services that decide otherwise on the way tear holes in it.",
		"Pass the decision on as it came, or let the service's sampler follow its parent's (parentbased_always_on).",
	},
	Disagree: {
		"All formats that go out name the same span: nothing stale stays beside a new one.",
		"Which one a sidecar believes depends on its provider; Envoy's Zipkin tracer reads b3 before x-b3-*. Half of the tree hangs from the wrong span.",
		"When a span of the service's own is written, remove every header of that trace which still names the caller's. otelprop.Propagator does; two propagators side by side, or one beside a copy loop, do not.",
	},
	NotChild: {
		"A sampled span of the service becomes the parent of what it calls.",
		"The service's own spans and those of what it calls are siblings: in Jaeger it does not look like the caller.",
		"Inject the client span: let the instrumentation (otelhttp.NewTransport) write the headers, and no copy loop after it.",
	},
	Phantom: {
		"Only a span that its exporter gets becomes a parent.",
		"What is called hangs from a span that is in no store: Jaeger warns of a missing parent and draws it at the root.",
		"Relay the headers that came in while no span is recorded: otelprop.Propagator does. A service that does export its spans tells the conformance kit so (OwnSpans).",
	},
	RequestIDChanged: {
		"The request ID that came in goes out.",
		"Envoy joins its access logs by this ID and keeps its trace decision in it.",
		"Generate a request ID only where none came in, and send the one that came in.",
	},
	RequestIDNotUUID: {
		"A request ID is a UUID.",
		"Envoy writes its trace decision into the UUID (the character at index 14), and cannot write it into anything else.",
		"Leave making request IDs to the sidecar, or make UUIDs.",
	},
	Empty: {
		"Nothing absent or empty is ever sent.",
		"An empty header is not an absent one: Envoy reads an empty x-b3-sampled as a decision not to sample.",
		"Set a header only if the request had it: in a copy loop, if v := in.Get(name); v != \"\" { out.Set(name, v) }.",
	},
	Mixed: {
		"Each request keeps its own headers.",
		"Two requests' spans are drawn in one trace, and one of them is missing in its own.",
		"Keep what belongs to a request in its context, and nowhere else: no global, no field of the client, no pool that is used before the call is over.",
	},
	Case: {
		"Values are relayed byte for byte.",
		"Values are compared byte for byte: a tracer's state or base64 means something else in another case.",
		"Copy values as they are. Only the names of headers are the same in any case.",
	},
	Repeated: {
		"Every value of a repeated header is relayed, in order.",
		"A header may come several times, and its values are one list, in order: proxies split tracestate and baggage.",
		"Copy all values (http.Header.Values), not the first (Get).",
	},
	Malformed: {
		"Values are relayed byte for byte, or written as their format says.",
		"What cannot be read is ignored at best: the sidecar starts a new trace.",
		"Copy values as they came, or let a tracer write them.",
	},
	OtherFormat: {
		"Headers are relayed under the names that they came with.",
		"Envoy reads both formats of B3; not everybody does.",
		"Copy headers without parsing them. contrib's b3 writes the formats that it is set to, whatever came in.",
	},
	OtherValue: {
		"Values are relayed byte for byte.",
		"Only the tracer that made a value knows what is in it.",
		"Copy values as they are, without parsing, trimming or escaping.",
	},
	NotSent: {
		"Nothing is sent that did not come in.",
		"A service that exports no spans has nothing to say about traces: what it invents stands for no span.",
		"Send only headers that came in. A service that exports its spans may start a trace, and tells the conformance kit so (OwnSpans).",
	},
	Mutated: {
		"The caller's request is never modified.",
		"http.RoundTripper's contract says so: a request that is retried, or used as a template, would carry the first call's headers, and two goroutines that use it race.",
		"Set headers on a copy: r = r.Clone(r.Context()), or propagation.Headers.Outgoing.",
	},
	Overridden: {
		"If the outgoing request already carries any header of a family, even nil, none of it is added: the caller's choice wins.",
		"Half of one request's headers beside half of another's describe a trace that never was.",
		"Look for any header of the family before adding one: propagation.Headers.Inject does.",
	},
	Leaked: {
		"Every hop of a redirect is judged again, and headers go only where the service sends them.",
		"Whoever gets them learns IDs, and from custom headers and baggage who the user is.",
		"Add the headers in a http.RoundTripper that looks at each request's URL (middleware.Transport with Match), not on the request that goes to http.Client.",
	},
}

// Lost reports whether faults of the kind say that headers, or the trace that
// they name, did not arrive.
func (k Kind) Lost() bool { return k == Missing || k.AllLost() }

// AllLost reports whether they say that nothing of the trace arrived.
func (k Kind) AllLost() bool { return k == AllLost || k == OnlyRequestID || k == OtherTrace }

// Rule returns the rule that the fault breaks.
func (f Fault) Rule() string { return advice[f.Kind][0] }

// Why returns why the fault matters.
func (f Fault) Why() string { return advice[f.Kind][1] }

// Do returns what to do about the fault.
func (f Fault) Do() string { return advice[f.Kind][2] }

// are returns a sentence about the rows: the first phrase for one of them, the
// last for several.
func are(rows []*Row, phrases ...string) string {
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.Name
	}
	if len(rows) == 1 {
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
