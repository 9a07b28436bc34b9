package examples_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/propagators/b3"
	"go.opentelemetry.io/otel/baggage"
	otelpropagation "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

var (
	b3First  = otelprop.Propagator{}
	w3cFirst = otelprop.Propagator{Families: propagation.Of(propagation.RequestID, propagation.W3C, propagation.B3, propagation.OTSpanContext)}
)

// inbound is what a service may be called with, by what is special about it.
var inbound = map[string][]string{
	"nothing at all":                             nil,
	"the headers of the walkthrough":             walkthrough(),
	"B3 in several headers":                      multi(traceID, spanID, sampled),
	"B3 in several headers, denied":              multi(traceID, spanID, deny),
	"B3 in several headers, accepted as true":    multi(traceID, spanID, "x-b3-sampled: True"),
	"B3 in several headers, a debug request":     multi(traceID, spanID, debug),
	"debug beside a decision":                    multi(traceID, spanID, deny, debug),
	"B3 in several headers, deferred":            multi(traceID, spanID),
	"B3 in one header":                           {"b3: " + traceID + "-" + spanID + "-1"},
	"B3 in one header, denied":                   {"b3: " + traceID + "-" + spanID + "-0"},
	"B3 in one header, a debug request":          {"b3: " + traceID + "-" + spanID + "-d"},
	"B3 in one header, deferred":                 {"b3: " + traceID + "-" + spanID},
	"B3 in one header, with its parent":          {"b3: " + traceID + "-" + spanID + "-1-" + parentID},
	"B3 in both forms":                           multi(traceID, spanID, sampled, "b3: "+traceID+"-"+spanID+"-1"),
	"B3 in both forms of two traces":             multi(otherTrace, otherSpan, sampled, "b3: "+traceID+"-"+spanID+"-1"),
	"a trace ID of 16 digits":                    multi(shortID, spanID, sampled),
	"a trace ID of 16 digits in one header":      {"b3: " + shortID + "-" + spanID + "-1"},
	"W3C":                                        {traceparent},
	"W3C, not sampled":                           {traceparentUnsampled},
	"W3C with its state":                         {traceparent, "tracestate: vendor=1,other=2"},
	"W3C with its state in two headers":          {traceparent, "tracestate: vendor=1", "tracestate: other=2"},
	"B3 and W3C of one span":                     multi(traceID, spanID, sampled, traceparent, "tracestate: vendor=1"),
	"B3 and W3C of two traces":                   multi(traceID, spanID, sampled, otherTraceparent, "tracestate: vendor=1"),
	"a malformed traceparent beside B3":          multi(traceID, spanID, sampled, "traceparent: 00-x-y-01"),
	"malformed B3 beside a traceparent":          {"b3: x", traceparent},
	"sampled without IDs":                        {sampled},
	"denied without IDs":                         {deny},
	"debug without IDs":                          {debug},
	"sampled without IDs in one header":          {"b3: 1"},
	"denied without IDs in one header":           {"b3: 0"},
	"debug without IDs in one header":            {"b3: d"},
	"a decision without IDs beside W3C":          {deny, traceparent},
	"a state without its trace beside B3":        multi(traceID, spanID, sampled, "tracestate: vendor=1"),
	"a request ID and no trace":                  {requestID},
	"families that are not rewritten":            {requestID, otSpan},
	"a header of a repeated family, twice":       {"x-request-id: a", "x-request-id: b", traceparent},
	"values of unusual bytes beside a sound one": {"x-request-id: \xff\u00e9 \t;", traceparent},
}

func TestWithoutASampledSpanWhatCameInGoesOutByteForByte(t *testing.T) {
	for name, in := range inbound {
		for _, s := range unsampled {
			if s.sampler != nil && !saysSomething(in) {
				continue
			}
			for order, p := range map[string]otelprop.Propagator{
				"B3 first": b3First, "W3C first": w3cFirst,
				"with an Encoding": {Encoding: b3.B3SingleHeader | b3.B3MultipleHeader},
			} {
				check(t, []row{{name: name + ", " + s.name + ", " + order, hop: hop{sampling: s, propagator: p}, in: in, want: in}})
			}
		}
	}
}

// saysSomething reports whether any of the lines is of B3 or W3C: where none
// is, an SDK's own spans are all there is to say.
func saysSomething(in []string) bool {
	h := propagation.Of(propagation.B3, propagation.W3C).Extract(headers(in...))
	for range h.All() {
		return true
	}
	return false
}

func TestAnSDKThatSamplesAsTheParentDoesRelaysWhatWasNotSampled(t *testing.T) {
	for _, name := range []string{
		"B3 in several headers, denied", "B3 in several headers, deferred", "B3 in one header, denied",
		"B3 in one header, deferred", "W3C, not sampled",
	} {
		in := inbound[name]
		check(t, []row{
			{name: name + ", roots sampled", hop: hop{sampling: parentElse1, propagator: b3First}, in: in, want: in},
			{name: name + ", roots dropped", hop: hop{sampling: parentElse0, propagator: b3First}, in: in, want: in},
		})
	}
}

func TestASampledSpanIsTheParentOfTheCallInBothFormats(t *testing.T) {
	rows := []row{
		{
			name: "the headers of the walkthrough",
			in:   walkthrough(),
			want: lines(requestID, child(traceID, span2, sampled), otSpan),
		},
		{
			name: "B3 in several headers",
			in:   multi(traceID, spanID, sampled),
			want: child(traceID, span2, sampled),
		},
		{
			name: "the old way to say sampled is written the new way",
			in:   multi(traceID, spanID, "x-b3-sampled: true"),
			want: child(traceID, span2, sampled),
		},
		{
			name: "a debug request stays one",
			in:   multi(traceID, spanID, debug),
			want: child(traceID, span2, debug),
		},
		{
			name: "a debug request whose decision is redundant stays one",
			in:   multi(traceID, spanID, sampled, debug),
			want: child(traceID, span2, debug),
		},
		{
			name: "flags other than debug are not passed on",
			in:   multi(traceID, spanID, sampled, "x-b3-flags: 0"),
			want: child(traceID, span2, sampled),
		},
		{
			name: "B3 in one header",
			in:   []string{"b3: " + traceID + "-" + spanID + "-1"},
			want: childInOne(traceID, span2, "1"),
		},
		{
			name: "B3 in one header, with its parent, which is not that of the new span",
			in:   []string{"b3: " + traceID + "-" + spanID + "-1-" + parentID},
			want: childInOne(traceID, span2, "1"),
		},
		{
			name: "a debug request in one header stays one",
			in:   []string{"b3: " + traceID + "-" + spanID + "-d"},
			want: childInOne(traceID, span2, "d"),
		},
		{
			name: "a debug request in one header with its parent stays one",
			in:   []string{"b3: " + traceID + "-" + spanID + "-d-" + parentID},
			want: childInOne(traceID, span2, "d"),
		},
		{
			name: "B3 in both forms goes out in both",
			in:   inbound["B3 in both forms"],
			want: child(traceID, span2, sampled, "b3: "+traceID+"-"+span2+"-1"),
		},
		{
			name: "the one header is believed before the others, and nothing of theirs is left",
			in:   multi(otherTrace, otherSpan, sampled, "x-b3-parentspanid: "+parentID, "b3: "+traceID+"-"+spanID+"-1"),
			want: child(traceID, span2, sampled, "b3: "+traceID+"-"+span2+"-1"),
		},
		{
			name: "a malformed single header leaves the word to the others",
			in:   multi(traceID, spanID, sampled, "b3: "+traceID+"-"+spanID+"-x"),
			want: child(traceID, span2, sampled, "b3: "+traceID+"-"+span2+"-1"),
		},
		{
			name: "a trace ID of 16 digits keeps them",
			in:   multi(shortID, spanID, sampled),
			want: child(shortID, span2, sampled),
		},
		{
			name: "a trace ID of 16 digits in one header keeps them",
			in:   []string{"b3: " + shortID + "-" + spanID + "-1"},
			want: childInOne(shortID, span2, "1"),
		},
		{
			name: "a trace ID of 16 digits is padded in traceparent only",
			in:   multi(shortID, spanID, sampled, "traceparent: 00-0000000000000000"+shortID+"-"+spanID+"-01"),
			want: child(shortID, span2, sampled),
		},
		{
			name: "a trace ID of 32 digits of which 16 are zeros keeps them all",
			in:   multi("0000000000000000"+shortID, spanID, sampled),
			want: child("0000000000000000"+shortID, span2, sampled),
		},
		{
			name: "W3C",
			in:   []string{traceparent},
			want: child(traceID, span2, sampled),
		},
		{
			name: "W3C with its state",
			in:   []string{traceparent, "tracestate: vendor=1,other=2"},
			want: child(traceID, span2, sampled, "tracestate: vendor=1,other=2"),
		},
		{
			name: "W3C with its state in two headers",
			in:   []string{traceparent, "tracestate: vendor=1", "tracestate: other=2"},
			want: child(traceID, span2, sampled, "tracestate: vendor=1", "tracestate: other=2"),
		},
		{
			name: "an invalid state is dropped alone",
			in:   []string{traceparent, "tracestate: =,=,;;"},
			want: child(traceID, span2, sampled),
		},
		{
			name: "the flag of a random trace ID is kept",
			in:   []string{"traceparent: 00-" + traceID + "-" + spanID + "-03"},
			want: multi(traceID, span2, sampled, "traceparent: 00-"+traceID+"-"+span2+"-03"),
		},
		{
			name: "B3 and W3C of one span",
			in:   multi(traceID, spanID, sampled, traceparent, "tracestate: vendor=1"),
			want: child(traceID, span2, sampled, "tracestate: vendor=1"),
		},
		{
			name: "B3 and W3C of one span in a debug request",
			in:   multi(traceID, spanID, debug, traceparent),
			want: child(traceID, span2, debug),
		},
		{
			name: "B3 and W3C of two traces become B3's, without the state of the other trace",
			in:   multi(traceID, spanID, sampled, otherTraceparent, "tracestate: vendor=1"),
			want: child(traceID, span2, sampled),
		},
		{
			name: "a malformed traceparent beside B3 is replaced",
			in:   multi(traceID, spanID, sampled, "traceparent: 00-x-y-01", "tracestate: vendor=1"),
			want: child(traceID, span2, sampled),
		},
		{
			name: "malformed B3 beside a traceparent is replaced",
			in:   []string{"b3: x", traceparent},
			want: childInOne(traceID, span2, "1"),
		},
		{
			name: "a decision without IDs beside a traceparent is the span's",
			in:   []string{deny, traceparent},
			want: child(traceID, span2, sampled),
		},
		{
			name: "a repeated span ID beside a traceparent is no parent",
			in:   multi(otherTrace, otherSpan, "x-b3-spanid: "+parentID, traceparent),
			want: child(traceID, span2, sampled),
		},
	}
	for _, s := range []sampling{always, parentElse1, parentElse0} {
		for _, r := range rows {
			r.hop, r.spans, r.name = hop{sampling: s, propagator: b3First}, below, r.name+", "+s.name
			check(t, []row{r})
		}
	}
	check(t, []row{
		{
			name: "a span that is sampled here although it was denied before says so",
			hop:  hop{sampling: always, propagator: b3First},
			in:   multi(traceID, spanID, deny), want: child(traceID, span2, sampled), spans: below,
		},
		{
			name: "a span that is sampled here although that was left open says so",
			hop:  hop{sampling: always, propagator: b3First},
			in:   multi(traceID, spanID), want: child(traceID, span2, sampled), spans: below,
		},
		{
			name: "of two spans of one trace, B3 without a parent is no sidecar's, and W3C is the fresher",
			hop:  hop{sampling: always, propagator: b3First},
			in:   multi(traceID, spanID, sampled, "traceparent: 00-"+traceID+"-"+otherSpan+"-01", "tracestate: vendor=1"),
			want: child(traceID, span2, sampled, "tracestate: vendor=1"), spans: []string{"server 1 below other inbound", "client 2 below server 1"},
		},
		{
			name: "of two spans of one trace, B3 with a parent is a sidecar's, and the fresher",
			hop:  hop{sampling: always, propagator: w3cFirst},
			in:   multi(traceID, spanID, "x-b3-parentspanid: "+parentID, sampled, "traceparent: 00-"+traceID+"-"+otherSpan+"-01", "tracestate: vendor=1"),
			want: child(traceID, span2, sampled, "tracestate: vendor=1"), spans: below,
		},
		{
			name: "of b3 and x-b3-*, the one whose parent the other names is the fresher, in Envoy up to 1.39",
			hop:  hop{sampling: always, propagator: b3First},
			in:   multi(traceID, spanID, "x-b3-parentspanid: "+otherSpan, sampled, "b3: "+traceID+"-"+otherSpan+"-1"),
			want: child(traceID, span2, sampled, "b3: "+traceID+"-"+span2+"-1"), spans: below,
		},
		{
			name: "and in Envoy 1.40, which renews b3",
			hop:  hop{sampling: always, propagator: b3First},
			in:   multi(traceID, otherSpan, sampled, "b3: "+traceID+"-"+spanID+"-1-"+otherSpan),
			want: child(traceID, span2, sampled, "b3: "+traceID+"-"+span2+"-1"), spans: below,
		},
		{
			name: "W3C that is believed first takes B3 into its trace, and debug, which was the other trace's, is gone",
			hop:  hop{sampling: always, propagator: w3cFirst},
			in:   multi(shortID, spanID, debug, otherTraceparent, "tracestate: vendor=1"),
			want: child(otherTrace, span2, sampled, "tracestate: vendor=1"),
			spans: []string{
				"server 1 below other inbound", "client 2 below server 1",
			},
		},
		{
			name:  "W3C that is believed first and agrees keeps B3's debug and 16 digits",
			hop:   hop{sampling: always, propagator: w3cFirst},
			in:    multi(shortID, spanID, debug, "traceparent: 00-0000000000000000"+shortID+"-"+spanID+"-01"),
			want:  child(shortID, span2, debug),
			spans: below,
		},
		{
			name: "W3C that is believed first overrules a B3 that denies",
			hop:  hop{sampling: parentElse1, propagator: w3cFirst},
			in:   multi(traceID, spanID, deny, traceparent),
			want: child(traceID, span2, sampled), spans: below,
		},
		{
			name: "B3 that is believed first and denies overrules W3C",
			hop:  hop{sampling: parentElse1, propagator: b3First},
			in:   multi(traceID, spanID, deny, traceparent),
			want: multi(traceID, spanID, deny, traceparent),
		},
		{
			name:  "a state without its trace is not the span's",
			hop:   hop{sampling: always, propagator: b3First},
			in:    multi(traceID, spanID, sampled, "tracestate: vendor=1"),
			want:  child(traceID, span2, sampled),
			spans: below,
		},
		{
			name:  "W3C that is believed first and did not come is written all the same",
			hop:   hop{sampling: always, propagator: w3cFirst},
			in:    multi(traceID, spanID, sampled),
			want:  child(traceID, span2, sampled),
			spans: below,
		},
		{
			name:  "a family that is not in the list is neither read nor written",
			hop:   hop{sampling: always, propagator: otelprop.Propagator{Families: propagation.Of(propagation.W3C)}},
			in:    multi(otherTrace, otherSpan, sampled, traceparent),
			want:  []string{"traceparent: 00-" + traceID + "-" + span2 + "-01"},
			spans: below,
		},
	})
}

func TestANewTraceIsWrittenInBothFormats(t *testing.T) {
	root := []string{"server 1 below nothing", "client 2 below server 1"}
	check(t, []row{
		{
			name: "the zero value",
			hop:  hop{sampling: always, propagator: b3First},
			want: child(newTrace1, span2, sampled), spans: root,
		},
		{
			name: "a request ID is no trace",
			hop:  hop{sampling: always, propagator: b3First},
			in:   []string{requestID, otSpan}, want: child(newTrace1, span2, sampled, requestID, otSpan), spans: root,
		},
		{
			name: "W3C where it is believed first",
			hop:  hop{sampling: always, propagator: w3cFirst},
			want: child(newTrace1, span2, sampled), spans: root,
		},
		{
			name: "nothing where neither is in the list",
			hop:  hop{sampling: always, propagator: otelprop.Propagator{Families: propagation.Of(propagation.RequestID)}},
			in:   []string{requestID}, want: []string{requestID}, spans: root,
		},
		{
			name: "a span that is not sampled says so",
			hop:  hop{sampling: never, propagator: b3First},
			want: child(newTrace1, span2, deny),
		},
		{
			name: "a span that is recorded only says that it is not sampled",
			hop:  hop{sampling: recording, propagator: w3cFirst},
			want: child(newTrace1, span2, deny),
		},
		{
			name: "a trace of malformed IDs is replaced",
			hop:  hop{sampling: always, propagator: b3First},
			in:   multi("x", spanID, "x-b3-parentspanid: "+parentID), want: child(newTrace1, span2, sampled), spans: root,
		},
		{
			name: "a trace of malformed IDs is replaced by a span that is not sampled too",
			hop:  hop{sampling: never, propagator: b3First},
			in:   multi("x", spanID, "x-b3-parentspanid: "+parentID), want: child(newTrace1, span2, deny),
		},
		{
			name: "malformed IDs are no trace to join, and only Transport relays them",
			hop:  hop{sampling: noSDK, propagator: b3First},
			in:   multi("x", spanID, requestID), want: multi("x", spanID, requestID), alone: []string{requestID},
		},
		{
			name: "a repeated trace ID is no parent",
			hop:  hop{sampling: always, propagator: b3First},
			in:   multi(traceID, spanID, "x-b3-traceid: "+otherTrace), want: child(newTrace1, span2, sampled), spans: root,
		},
		{
			name: "a repeated traceparent is no parent",
			hop:  hop{sampling: always, propagator: b3First},
			in:   []string{traceparent, otherTraceparent, "tracestate: vendor=1"},
			want: child(newTrace1, span2, sampled), spans: root,
		},
		{
			name: "a call outside any request starts a trace of its own",
			hop:  hop{sampling: always, propagator: b3First, handle: func(context.Context) context.Context { return context.Background() }},
			in:   walkthrough(), want: child(newTrace1, span2, sampled),
			spans: []string{"server 1 below inbound", "client 2 below nothing"},
		},
		{
			name: "a call outside any request and without an SDK is an ordinary call",
			hop:  hop{sampling: noSDK, propagator: b3First, handle: func(context.Context) context.Context { return context.Background() }},
			in:   walkthrough(),
		},
	})
}

func TestSamplingAloneTravelsUnlessASpanIsSampledHere(t *testing.T) {
	root := []string{"server 1 below nothing", "client 2 below server 1"}
	for _, in := range []string{sampled, deny, debug, "b3: 1", "b3: 0", "b3: d"} {
		want := child(newTrace1, span2, sampled)
		if in[0] == 'b' {
			want = childInOne(newTrace1, span2, "1")
		}
		check(t, []row{
			{name: in + " and roots dropped", hop: hop{sampling: parentElse0, propagator: b3First}, in: []string{in}, want: []string{in}},
			{name: in + " and roots sampled", hop: hop{sampling: parentElse1, propagator: b3First}, in: []string{in}, want: want, spans: root},
		})
	}
}

func TestADecisionIsRelayedBesideAParentThatAnotherPropagatorFound(t *testing.T) {
	both := otelpropagation.NewCompositeTextMapPropagator(
		otelprop.Propagator{Families: propagation.Of(propagation.RequestID, propagation.B3)}, otelpropagation.TraceContext{})
	for _, s := range unsampled[:2] {
		for _, decision := range []string{deny, "b3: 0", debug} {
			in := []string{requestID, decision, traceparent}
			check(t, []row{{name: decision + ", " + s.name, hop: hop{sampling: s, propagator: both}, in: in, want: in}})
		}
	}
}

func TestTheEncodingIsThatOfSpansStartedHere(t *testing.T) {
	one, both := childInOne(traceID, span2, "1"), child(traceID, span2, sampled, "b3: "+traceID+"-"+span2+"-1")
	encoding := func(e b3.Encoding) hop {
		return hop{sampling: always, propagator: otelprop.Propagator{Encoding: e}}
	}
	check(t, []row{
		{
			name: "several headers came and one goes out, with nothing stale beside it",
			hop:  encoding(b3.B3SingleHeader), in: walkthrough(), want: lines(requestID, otSpan, one), spans: below,
		},
		{
			name: "one header came and several go out",
			hop:  encoding(b3.B3MultipleHeader), in: []string{"b3: " + traceID + "-" + spanID + "-1"}, want: child(traceID, span2, sampled), spans: below,
		},
		{
			name: "one header came and both go out",
			hop:  encoding(b3.B3MultipleHeader | b3.B3SingleHeader), in: []string{"b3: " + traceID + "-" + spanID + "-1"}, want: both, spans: below,
		},
		{
			name: "both came and one goes out",
			hop:  encoding(b3.B3SingleHeader), in: inbound["B3 in both forms"], want: one, spans: below,
		},
		{
			name: "a debug request changes its form",
			hop:  encoding(b3.B3SingleHeader), in: multi(shortID, spanID, debug), want: childInOne(shortID, span2, "d"), spans: below,
		},
		{
			name: "nothing came",
			hop:  encoding(b3.B3SingleHeader), want: childInOne(newTrace1, span2, "1"),
			spans: []string{"server 1 below nothing", "client 2 below server 1"},
		},
		{
			name: "W3C came, which is not B3",
			hop:  encoding(b3.B3SingleHeader), in: []string{traceparent}, want: one, spans: below,
		},
		{
			name: "W3C came beside B3",
			hop:  encoding(b3.B3SingleHeader), in: multi(traceID, spanID, sampled, traceparent),
			want: one, spans: below,
		},
	})
}

func TestASpanPutIntoAnotherTraceOnPurposeIsTheParentThere(t *testing.T) {
	newRoot := []otelhttp.Option{otelhttp.WithSpanOptions(trace.WithNewRoot())}
	public := []otelhttp.Option{otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return true })}
	private := []otelhttp.Option{otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return false })}
	root := []string{"server 1 below nothing", "client 2 below server 1"}
	in := multi(shortID, spanID, "x-b3-parentspanid: "+parentID, debug, requestID, otSpan, "traceparent: 00-0000000000000000"+shortID+"-"+spanID+"-01", "tracestate: vendor=1")
	fresh := func(traceID, decision string) []string {
		return child(traceID, span2, decision, requestID, otSpan)
	}
	var rows []row
	for name, options := range map[string][]otelhttp.Option{"WithNewRoot": newRoot, "WithPublicEndpointFn": public} {
		rows = append(rows,
			row{
				name: name + ": the server's span, sampled, leaves debug, 16 digits and the state behind",
				hop:  hop{sampling: always, propagator: b3First, server: options}, in: in,
				want: fresh(newTrace1, sampled), spans: root,
			},
			row{
				name: name + ": the server's span, not sampled",
				hop:  hop{sampling: never, propagator: b3First, server: options}, in: in,
				want: fresh(newTrace1, deny),
			},
			row{
				name: name + ": the server's span, in one header",
				hop:  hop{sampling: always, propagator: b3First, server: options}, in: inbound["B3 in one header, a debug request"],
				want: childInOne(newTrace1, span2, "1"), spans: root,
			},
			row{
				name: name + ": the server's span, with Relay outside",
				hop: hop{
					sampling: never, propagator: b3First, server: options,
					relay: middleware.Relay(propagation.Istio()),
				},
				in: in, want: fresh(newTrace1, deny),
			},
			row{
				name: name + ": the server's span, with Relay inside",
				hop: hop{
					sampling: never, propagator: b3First, server: options,
					inside: middleware.Relay(propagation.Istio().With(propagation.Custom("end-user"))),
				},
				in: in, want: fresh(newTrace1, deny),
			},
			row{
				name: name + ": without an SDK there is no other trace",
				hop:  hop{sampling: noSDK, propagator: b3First, server: options}, in: in, want: in,
			},
		)
	}
	check(t, append(rows,
		row{
			name: "the client's span, sampled",
			hop:  hop{sampling: always, propagator: b3First, client: newRoot}, in: in, want: fresh(newTrace1, sampled),
			spans: []string{"server 1 below inbound", "client 2 below nothing"},
		},
		row{
			name: "the client's span, not sampled",
			hop:  hop{sampling: never, propagator: b3First, client: newRoot}, in: in, want: fresh(newTrace1, deny),
		},
		row{
			name: "the client's span, without an SDK",
			hop:  hop{sampling: noopSDK, propagator: b3First, client: newRoot}, in: in, want: in,
		},
		row{
			name: "both spans, each in a trace of its own",
			hop:  hop{sampling: always, propagator: b3First, server: newRoot, client: newRoot}, in: in, want: fresh(newTrace2, sampled),
			spans: []string{"server 1 below nothing", "client 2 below nothing"},
		},
		row{
			name: "an endpoint that is not public joins the trace",
			hop:  hop{sampling: always, propagator: b3First, server: private}, in: multi(traceID, spanID, sampled), want: child(traceID, span2, sampled), spans: below,
		},
		row{
			name: "an endpoint that is not public relays what is not sampled",
			hop:  hop{sampling: never, propagator: b3First, server: private}, in: in, want: in,
		},
	))
}

func TestHeadersOfTheCallersOwnAreNotMixedWithOthers(t *testing.T) {
	own := multi(otherTrace, otherSpan)
	check(t, []row{
		{
			name: "without an SDK the caller's choice wins, whole",
			hop:  hop{sampling: noSDK, propagator: b3First, own: own}, in: walkthrough(),
			want: lines(requestID, otSpan, own),
		},
		{
			name: "and where the SDK samples nothing",
			hop:  hop{sampling: never, propagator: b3First, own: own}, in: walkthrough(),
			want: lines(requestID, otSpan, own),
		},
		{
			name: "a request ID of the caller's own stays beside a sampled span",
			hop:  hop{sampling: always, propagator: b3First, own: []string{"x-request-id: mine"}}, in: walkthrough(),
			want: lines("x-request-id: mine", otSpan, child(traceID, span2, sampled)), spans: below,
		},
		{
			name: "a sampled span replaces all of its family, as otelhttp always does",
			hop:  hop{sampling: always, propagator: b3First, own: append(own, "x-b3-parentspanid: "+parentID, "b3: 0")}, in: walkthrough(),
			want: lines(requestID, otSpan, child(traceID, span2, sampled)), spans: below,
		},
		{
			name: "headers that are not the trace's are left alone",
			hop:  hop{sampling: always, propagator: b3First, own: []string{"accept: text/plain", "end-user: me"}}, in: walkthrough(),
			want: lines("accept: text/plain", "end-user: me", requestID, otSpan, child(traceID, span2, sampled)), spans: below,
		},
	})
}

func TestNestedInstrumentationSendsTheInnermostSpan(t *testing.T) {
	for _, name := range []string{"the headers of the walkthrough", "B3 and W3C of two traces", "B3 in one header, a debug request", "sampled without IDs"} {
		for _, s := range unsampled {
			check(t, []row{{
				name: "all twice, " + name + ", " + s.name,
				hop:  hop{sampling: s, propagator: b3First, nested: [2]bool{true, true}}, in: inbound[name], want: inbound[name],
			}})
		}
	}
	check(t, []row{
		{
			name: "a client's transport twice",
			hop:  hop{sampling: always, propagator: b3First, nested: [2]bool{false, true}}, in: walkthrough(),
			want:  lines(requestID, otSpan, child(traceID, span3, sampled)),
			spans: []string{"server 1 below inbound", "client 2 below server 1", "client 3 below client 2"},
		},
		{
			name: "a client's transport twice, and an Encoding",
			hop:  hop{sampling: always, propagator: otelprop.Propagator{Encoding: b3.B3SingleHeader}, nested: [2]bool{false, true}},
			in:   walkthrough(), want: lines(requestID, otSpan, childInOne(traceID, span3, "1")),
			spans: []string{"server 1 below inbound", "client 2 below server 1", "client 3 below client 2"},
		},
		{
			// Both read the same headers, as with any propagator.
			name: "a server's handler twice",
			hop:  hop{sampling: always, propagator: b3First, nested: [2]bool{true, false}}, in: walkthrough(),
			want:  lines(requestID, otSpan, child(traceID, span3, sampled)),
			spans: []string{"server 1 below inbound", "server 2 below inbound", "client 3 below server 2"},
		},
		{
			name: "a server's handler twice within Relay, with fewer families",
			hop: hop{
				sampling: always, propagator: otelprop.Propagator{Families: propagation.Of(propagation.B3)}, nested: [2]bool{true, false},
				relay: middleware.Relay(propagation.Istio().With(propagation.Custom("end-user"))),
			},
			in: append(walkthrough(), endUser), want: lines(requestID, otSpan, endUser, multi(traceID, span3, sampled)),
			alone: multi(traceID, span3, sampled),
			spans: []string{"server 1 below inbound", "server 2 below inbound", "client 3 below server 2"},
		},
	})

	t.Run("Transport between two otelhttp transports", func(t *testing.T) {
		between := stack{"otelhttp around Transport around otelhttp", func(base http.RoundTripper, instrument func(http.RoundTripper) http.RoundTripper) http.RoundTripper {
			return instrument(&middleware.Transport{Base: instrument(base)})
		}}
		got, spans := hop{sampling: always, propagator: b3First}.run(t, between, walkthrough())
		assert.Equal(t, headers(lines(requestID, otSpan, child(traceID, span3, sampled))...), got)
		assert.Equal(t, []string{"server 1 below inbound", "client 2 below server 1", "client 3 below client 2"}, spans)
		got, _ = hop{sampling: never, propagator: b3First}.run(t, between, walkthrough())
		assert.Equal(t, headers(walkthrough()...), got)
	})

	t.Run("an inner transport that samples nothing leaves the outer one's exported span the parent", func(t *testing.T) {
		dropped, _ := never.provider(t)
		between := stack{"", func(base http.RoundTripper, instrument func(http.RoundTripper) http.RoundTripper) http.RoundTripper {
			return instrument(otelhttp.NewTransport(base, otelhttp.WithTracerProvider(dropped), otelhttp.WithPropagators(b3First)))
		}}
		got, spans := hop{sampling: always, propagator: b3First}.run(t, between, walkthrough())
		assert.Equal(t, headers(lines(requestID, otSpan, child(traceID, span2, sampled))...), got)
		assert.Equal(t, below, spans)
	})
}

func TestAFilteredRequestIsRelayedByRelayOutsideAndTransportInside(t *testing.T) {
	filtered := []otelhttp.Option{otelhttp.WithFilter(func(*http.Request) bool { return false })}
	relay := middleware.Relay(propagation.Istio())
	in := walkthrough()
	rows := []row{
		{
			name: "neither extracted nor injected without Relay",
			hop:  hop{sampling: always, propagator: b3First, server: filtered, client: filtered}, in: in,
		},
		{
			name: "the call is filtered, and its caller's caller is the parent",
			hop:  hop{sampling: always, propagator: b3First, client: filtered}, in: in, want: in, alone: []string{},
			spans: []string{"server 1 below inbound"},
		},
		{
			name: "the request is filtered, and the call starts a trace of its own that is exported",
			hop:  hop{sampling: always, propagator: b3First, server: filtered, relay: relay}, in: in,
			want:  lines(requestID, otSpan, child(newTrace1, span1, sampled)),
			spans: []string{"client 1 below nothing"},
		},
	}
	for _, s := range []sampling{noSDK, noopSDK, never, recording, always, parentElse1} {
		rows = append(rows, row{
			name: "both filtered, " + s.name,
			hop:  hop{sampling: s, propagator: b3First, server: filtered, client: filtered, relay: relay}, in: in, want: in, alone: []string{},
		})
	}
	for _, s := range unsampled {
		rows = append(rows, row{
			name: "the request is filtered and the call is not sampled, " + s.name,
			hop:  hop{sampling: s, propagator: b3First, server: filtered, relay: relay}, in: in, want: in,
		})
	}
	check(t, rows)
}

func TestAPropagatorThatMustStayAndRelayKeepATraceEach(t *testing.T) {
	theirs := hop{sampling: always, propagator: otelpropagation.TraceContext{}, relay: middleware.Relay(propagation.Istio())}
	silent := theirs
	silent.sampling = noSDK
	check(t, []row{
		{
			name: "theirs writes traceparent, and B3 goes out as it came",
			hop:  theirs, in: append(walkthrough(), otherTraceparent, "tracestate: vendor=1"),
			want:  append(walkthrough(), "traceparent: 00-"+otherTrace+"-"+span2+"-01", "tracestate: vendor=1"),
			alone: []string{"traceparent: 00-" + otherTrace + "-" + span2 + "-01", "tracestate: vendor=1"},
			spans: []string{"server 1 below other inbound", "client 2 below server 1"},
		},
		{
			name: "without an SDK both go out as they came",
			hop:  silent, in: append(walkthrough(), otherTraceparent, "tracestate: vendor=1"),
			want:  append(walkthrough(), otherTraceparent, "tracestate: vendor=1"),
			alone: []string{otherTraceparent, "tracestate: vendor=1"},
		},
	})
}

func TestWhatRelayKeepsOutsideANarrowerPropagatorReachesTransport(t *testing.T) {
	in := append(walkthrough(), endUser)
	for _, s := range unsampled {
		for name, f := range map[string]propagation.Families{
			"Istio's": propagation.Istio(), "W3C alone": propagation.Of(propagation.W3C),
			"the request ID alone": propagation.Of(propagation.RequestID), "none": propagation.Of(),
		} {
			if s.sampler != nil && name != "Istio's" {
				continue
			}
			h := hop{sampling: s, propagator: otelprop.Propagator{Families: f}, relay: middleware.Relay(propagation.Istio().With(propagation.Custom("end-user")))}
			for _, order := range stacked {
				t.Run(name+", "+s.name+", "+order.name, func(t *testing.T) {
					got, spans := h.run(t, order, in)
					assert.Equal(t, headers(in...), got)
					assert.Empty(t, spans)
				})
			}
		}
	}
	narrow := func(f ...propagation.Family) hop {
		return hop{
			sampling: always, propagator: otelprop.Propagator{Families: propagation.Of(f...)},
			relay: middleware.Relay(propagation.Istio().With(propagation.Custom("end-user"))),
		}
	}
	check(t, []row{
		{
			name: "Istio's families, sampled",
			hop: hop{
				sampling: always, propagator: b3First,
				relay: middleware.Relay(propagation.Istio().With(propagation.Custom("end-user"))),
			},
			in: in, want: lines(requestID, otSpan, endUser, child(traceID, span2, sampled)),
			alone: lines(requestID, otSpan, child(traceID, span2, sampled)), spans: below,
		},
		{
			name: "B3 alone, sampled, leaves W3C its own trace",
			hop:  narrow(propagation.B3), in: append(slices.Clone(in), otherTraceparent, "tracestate: vendor=1"),
			want:  lines(requestID, otSpan, endUser, multi(traceID, span2, sampled), otherTraceparent, "tracestate: vendor=1"),
			alone: multi(traceID, span2, sampled), spans: below,
		},
		{
			name: "W3C alone, sampled, leaves B3 its own trace",
			hop:  narrow(propagation.W3C), in: append(slices.Clone(in), otherTraceparent, "tracestate: vendor=1"),
			want:  append(slices.Clone(in), "traceparent: 00-"+otherTrace+"-"+span2+"-01", "tracestate: vendor=1"),
			alone: []string{"traceparent: 00-" + otherTrace + "-" + span2 + "-01", "tracestate: vendor=1"},
			spans: []string{"server 1 below other inbound", "client 2 below server 1"},
		},
	})
}

func TestAStrangersTraceEndsAtAnEdgeOutsideOtelhttp(t *testing.T) {
	composed := otelpropagation.NewCompositeTextMapPropagator(b3First, otelpropagation.Baggage{})
	in := append(walkthrough(), baggageHeader, traceparent, "tracestate: vendor=1")
	stranger := middleware.Edge(propagation.Families{}, nil)
	friend := middleware.Edge(propagation.Families{}, func(*http.Request) bool { return true })
	check(t, []row{
		{
			name: "a sampled span starts a trace of its own",
			hop:  hop{sampling: always, propagator: composed, relay: stranger}, in: in,
			want: child(newTrace1, span2, sampled), spans: []string{"server 1 below nothing", "client 2 below server 1"},
		},
		{
			name: "without an SDK nothing is left to relay",
			hop:  hop{sampling: noSDK, propagator: composed, relay: stranger}, in: in,
		},
		{
			name: "a friend's goes on",
			hop:  hop{sampling: noSDK, propagator: composed, relay: friend}, in: in, want: in,
		},
	})
}

func TestBaggageGoesBesideTheTrace(t *testing.T) {
	in := append(walkthrough(), baggageHeader)
	exported := lines(requestID, otSpan, baggageHeader, child(traceID, span2, sampled))
	change := func(ctx context.Context) context.Context {
		member, err := baggage.NewMember("tenant", "green")
		if err != nil {
			panic(err)
		}
		b, err := baggage.FromContext(ctx).SetMember(member)
		if err != nil {
			panic(err)
		}
		return baggage.ContextWithBaggage(ctx, b)
	}
	withBaggage := otelprop.Propagator{Families: propagation.Istio().With(propagation.Baggage)}
	var rows []row
	for name, p := range map[string]otelpropagation.TextMapPropagator{
		"Baggage behind":                            otelpropagation.NewCompositeTextMapPropagator(b3First, otelpropagation.Baggage{}),
		"Baggage before":                            otelpropagation.NewCompositeTextMapPropagator(otelpropagation.Baggage{}, b3First),
		"Baggage behind, and among the Families":    otelpropagation.NewCompositeTextMapPropagator(withBaggage, otelpropagation.Baggage{}),
		"Baggage before, and among the Families":    otelpropagation.NewCompositeTextMapPropagator(otelpropagation.Baggage{}, withBaggage),
		"Baggage among the Families and not beside": withBaggage,
	} {
		for _, s := range unsampled {
			rows = append(rows, row{name: name + ", " + s.name, hop: hop{sampling: s, propagator: p}, in: in, want: in})
		}
		rows = append(rows,
			row{name: name + ", sampled", hop: hop{sampling: always, propagator: p}, in: in, want: exported, spans: below},
			row{
				name: name + ", with Relay outside",
				hop:  hop{sampling: always, propagator: p, relay: middleware.Relay(propagation.Istio().With(propagation.Baggage))},
				in:   in, want: exported, spans: below,
			})
		if p != otelpropagation.TextMapPropagator(withBaggage) {
			rows = append(rows, row{
				name: name + ", changed on the way",
				hop:  hop{sampling: always, propagator: p, handle: change, relay: middleware.Relay(propagation.Istio().With(propagation.Baggage))},
				in:   in, want: lines(requestID, otSpan, "baggage: tenant=green", child(traceID, span2, sampled)), spans: below,
			})
		}
	}
	check(t, append(rows,
		row{
			name: "Families relay baggage byte for byte",
			hop:  hop{sampling: always, propagator: withBaggage}, in: append(walkthrough(), "baggage: a=1 ;p , b=%20", "baggage: not baggage"),
			want: lines(requestID, otSpan, "baggage: a=1 ;p , b=%20", "baggage: not baggage", child(traceID, span2, sampled)), spans: below,
		},
		row{
			name: "baggage is not relayed unasked",
			hop:  hop{sampling: noSDK, propagator: b3First}, in: in, want: walkthrough(),
		}))
}

func TestEveryHopOfARedirectHasASpanOfItsOwnAndTheSameTrace(t *testing.T) {
	for _, s := range []sampling{noSDK, never, always} {
		for _, order := range append([]stack{alone}, stacked...) {
			t.Run(s.name+", "+order.name, func(t *testing.T) {
				last := newUpstream()
				first := newUpstream()
				to := serve(t, last)
				from := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					first.ServeHTTP(w, r)
					http.Redirect(w, r, to, http.StatusFound)
				}))
				provider, exporter := s.provider(t)
				request(t, serve(t, hop{propagator: b3First}.service(t, order, provider, from)), walkthrough())
				require.Len(t, first.arrived, 1)
				require.Len(t, last.arrived, 1)
				if s.name != always.name {
					assert.Equal(t, headers(walkthrough()...), <-first.arrived)
					assert.Equal(t, headers(walkthrough()...), <-last.arrived)
					assert.Empty(t, exporter.GetSpans())
					return
				}
				assert.Equal(t, headers(lines(requestID, otSpan, child(traceID, span2, sampled))...), <-first.arrived)
				assert.Equal(t, headers(lines(requestID, otSpan, child(traceID, span3, sampled))...), <-last.arrived)
				assert.Equal(t, []string{"server 1 below inbound", "client 2 below server 1", "client 3 below server 1"}, tree(exporter.GetSpans()))
			})
		}
	}
}

func TestACustomHeaderStaysInsideOverARedirect(t *testing.T) {
	for _, inner := range []bool{true, false} {
		name := map[bool]string{true: "otelhttp around Transport", false: "Transport around otelhttp"}[inner]
		t.Run(name, func(t *testing.T) {
			last := newUpstream()
			first := newUpstream()
			to := serve(t, last)
			from := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				first.ServeHTTP(w, r)
				http.Redirect(w, r, to, http.StatusFound)
			}))
			inside := func(r *http.Request) bool { return "http://"+r.URL.Host == from }
			order := stack{"", func(base http.RoundTripper, instrument func(http.RoundTripper) http.RoundTripper) http.RoundTripper {
				if inner {
					return instrument(&middleware.Transport{Base: base, Match: inside})
				}
				return &middleware.Transport{Base: instrument(base), Match: inside}
			}}
			h := hop{propagator: b3First, relay: middleware.Relay(propagation.Istio().With(propagation.Custom("end-user")))}
			provider, _ := always.provider(t)
			request(t, serve(t, h.service(t, order, provider, from)), append(walkthrough(), endUser))
			require.Len(t, first.arrived, 1)
			require.Len(t, last.arrived, 1)
			assert.Equal(t, headers(lines(requestID, otSpan, endUser, child(traceID, span2, sampled))...), <-first.arrived)
			outside := child(traceID, span3, sampled)
			if !inner { // the propagator knows no Match, and Transport has gone before
				outside = lines(requestID, otSpan, outside)
			}
			assert.Equal(t, headers(outside...), <-last.arrived)
		})
	}
}

func TestWorkThatOutlivesTheRequestKeepsItsHeaders(t *testing.T) {
	detached := func(ctx context.Context) context.Context {
		return propagation.NewContext(context.Background(), propagation.FromContext(ctx))
	}
	for _, c := range []struct {
		name     string
		sampling sampling
		outlive  func(context.Context) context.Context
		in, want []string
		spans    []string
	}{
		{"WithoutCancel without an SDK", noSDK, context.WithoutCancel, walkthrough(), walkthrough(), nil},
		{"WithoutCancel and nothing sampled", never, context.WithoutCancel, walkthrough(), walkthrough(), nil},
		{"WithoutCancel and all sampled", always, context.WithoutCancel, walkthrough(), lines(requestID, otSpan, child(traceID, span2, sampled)), below},
		{"NewContext without an SDK", noSDK, detached, walkthrough(), walkthrough(), nil},
		{"NewContext with a no-op SDK", noopSDK, detached, walkthrough(), walkthrough(), nil},
		{"NewContext and nothing sampled", never, detached, walkthrough(), walkthrough(), nil},
		{"NewContext and spans recorded only", recording, detached, walkthrough(), walkthrough(), nil},
		{"NewContext and nothing sampled, a decision alone", never, detached, []string{sampled}, []string{sampled}, nil},
		{
			"NewContext, which knows no parent, and all sampled", always, detached, walkthrough(), lines(requestID, otSpan, child(newTrace1, span2, sampled)),
			[]string{"server 1 below inbound", "client 2 below nothing"},
		},
	} {
		for _, order := range append([]stack{alone}, stacked...) {
			t.Run(c.name+", "+order.name, func(t *testing.T) {
				provider, exporter := c.sampling.provider(t)
				up := newUpstream()
				url := serve(t, up)
				answered, done := make(chan struct{}), make(chan struct{})
				options := []otelhttp.Option{otelhttp.WithTracerProvider(provider), otelhttp.WithPropagators(b3First)}
				client := &http.Client{Transport: order.wrap(newTransport(t), func(rt http.RoundTripper) http.RoundTripper {
					return otelhttp.NewTransport(rt, options...)
				})}
				service := otelhttp.NewHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					ctx := c.outlive(r.Context())
					go func() {
						defer close(done)
						<-answered
						<-r.Context().Done()
						call(ctx, t, client, url, http.Header{})
					}()
				}), "serve", options...)
				request(t, serve(t, service), c.in)
				close(answered)
				<-done
				require.Len(t, up.arrived, 1)
				assert.Equal(t, headers(c.want...), <-up.arrived)
				assert.Equal(t, c.spans, tree(exporter.GetSpans()))
			})
		}
	}
}

func TestMessagesCarryLowerCaseNamesAndFirstValues(t *testing.T) {
	for _, c := range []struct {
		name       string
		sampling   sampling
		propagator otelprop.Propagator
		in         map[string]string
		want       map[string]string
	}{
		{"nothing without an SDK", noSDK, b3First, map[string]string{}, map[string]string{}},
		{
			"as they came without an SDK", noSDK, b3First,
			map[string]string{"x-request-id": "r", "x-b3-traceid": shortID, "x-b3-spanid": spanID, "x-b3-parentspanid": parentID, "content-type": "text/plain"},
			map[string]string{"x-request-id": "r", "x-b3-traceid": shortID, "x-b3-spanid": spanID, "x-b3-parentspanid": parentID},
		},
		{
			"as they came where nothing is sampled", never, b3First,
			map[string]string{"b3": traceID + "-" + spanID + "-d", "traceparent": "00-" + otherTrace + "-" + otherSpan + "-01", "tracestate": "vendor=1"},
			map[string]string{"b3": traceID + "-" + spanID + "-d", "traceparent": "00-" + otherTrace + "-" + otherSpan + "-01", "tracestate": "vendor=1"},
		},
		{
			"a sampled span's", always, b3First,
			map[string]string{"x-request-id": "r", "x-b3-traceid": shortID, "x-b3-spanid": spanID, "x-b3-parentspanid": parentID, "x-b3-flags": "1"},
			map[string]string{"x-request-id": "r", "x-b3-traceid": shortID, "x-b3-spanid": span1, "x-b3-flags": "1", "traceparent": "00-0000000000000000" + shortID + "-" + span1 + "-01"},
		},
		{
			"a sampled span's in W3C", always, b3First,
			map[string]string{"traceparent": "00-" + traceID + "-" + spanID + "-01", "tracestate": "vendor=1"},
			map[string]string{"x-b3-traceid": traceID, "x-b3-spanid": span1, "x-b3-sampled": "1", "traceparent": "00-" + traceID + "-" + span1 + "-01", "tracestate": "vendor=1"},
		},
		{
			"a new trace's", always, w3cFirst, map[string]string{},
			map[string]string{"x-b3-traceid": newTrace1, "x-b3-spanid": span1, "x-b3-sampled": "1", "traceparent": "00-" + newTrace1 + "-" + span1 + "-01"},
		},
		{"a decision alone", never, b3First, map[string]string{"x-b3-sampled": "0"}, map[string]string{"x-b3-sampled": "0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			provider, exporter := c.sampling.provider(t)
			ctx := c.propagator.Extract(context.Background(), otelpropagation.MapCarrier(c.in))
			ctx, span := provider.Tracer("test").Start(ctx, "publish", trace.WithSpanKind(trace.SpanKindProducer))
			out := otelpropagation.MapCarrier{}
			c.propagator.Inject(ctx, out)
			span.End()
			assert.Equal(t, otelpropagation.MapCarrier(c.want), out)
			for _, edge := range tree(exporter.GetSpans()) {
				assert.NotContains(t, edge, "phantom")
			}
		})
	}

	t.Run("what a message says already is replaced by a sampled span's and kept otherwise", func(t *testing.T) {
		for _, c := range []struct {
			sampling sampling
			want     otelpropagation.MapCarrier
		}{
			{always, otelpropagation.MapCarrier{"x-request-id": "mine", "x-b3-traceid": traceID, "x-b3-spanid": span1, "x-b3-sampled": "1", "traceparent": "00-" + traceID + "-" + span1 + "-01"}},
			{never, otelpropagation.MapCarrier{"x-request-id": "mine", "x-b3-traceid": otherTrace, "x-b3-spanid": otherSpan}},
			{noSDK, otelpropagation.MapCarrier{"x-request-id": "mine", "x-b3-traceid": otherTrace, "x-b3-spanid": otherSpan}},
		} {
			provider, _ := c.sampling.provider(t)
			ctx := b3First.Extract(context.Background(), otelpropagation.HeaderCarrier(headers(walkthrough()[:5]...)))
			ctx, span := provider.Tracer("test").Start(ctx, "publish")
			out := otelpropagation.MapCarrier{"x-request-id": "mine", "x-b3-traceid": otherTrace, "x-b3-spanid": otherSpan}
			b3First.Inject(ctx, out)
			span.End()
			assert.Equal(t, c.want, out, c.sampling.name)
		}
	})

	t.Run("of a repeated header the first value", func(t *testing.T) {
		ctx := b3First.Extract(context.Background(), otelpropagation.HeaderCarrier(headers("x-request-id: a", "x-request-id: b", traceparent)))
		out := otelpropagation.MapCarrier{}
		b3First.Inject(ctx, out)
		assert.Equal(t, otelpropagation.MapCarrier{"x-request-id": "a", "traceparent": "00-" + traceID + "-" + spanID + "-01"}, out)
	})
}
