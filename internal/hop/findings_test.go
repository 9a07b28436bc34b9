package hop_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/internal/hop"
)

// What real services and real Envoys did to headers, as listeners of their own
// received it, and what that means for a trace. The rows that are numbered D
// are of programs in other languages, those numbered E of Envoy 1.38 to 1.40.

const (
	in128    = "80f198ee56343ba864fe8b2a57d3eff7"
	inSpan   = "e457b5a2e4d86bd1"
	newSpan  = "25d57cdb6bb53aa0"
	newTrace = "fbd7a1c05c0f4e1d9f2c1f3a5f1c2b77"
	uuid     = "254b0a8b-89aa-9864-83ee-9c06f412bcd4"
	envoy    = "\nx-envoy-expected-rq-timeout-ms: 15000\nx-forwarded-proto: http"

	reqID  = "x-request-id: " + uuid
	multi  = "x-b3-traceid: " + in128 + "\nx-b3-spanid: " + inSpan + "\nx-b3-parentspanid: 05e3ac9a4f6e3b90\nx-b3-sampled: 1"
	single = "b3: " + in128 + "-" + inSpan + "-1-05e3ac9a4f6e3b90"
	w3c    = "traceparent: 00-" + in128 + "-" + inSpan + "-01\ntracestate: congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"

	// The same trace with a span of the service, or of a sidecar.
	multiChild = "x-b3-traceid: " + in128 + "\nx-b3-spanid: " + newSpan + "\nx-b3-parentspanid: " + inSpan + "\nx-b3-sampled: 1"
	w3cChild   = "traceparent: 00-" + in128 + "-" + newSpan + "-01\ntracestate: congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
)

func lines(blocks ...string) string { return strings.Join(blocks, "\n") }

// families returns those that -families names.
func families(list string) (families []hop.Family) {
	for name := range strings.SplitSeq(list, ",") {
		f, ok := hop.Named(name)
		if !ok {
			f = hop.FamilyOf(name)
		}
		families = append(families, f)
	}
	return families
}

type pair struct {
	probe, in, out string
	second         string // what a second call of the service carried, or - for none
}

func TestFindingsInRealServicesAreJudgedAsTheyAre(t *testing.T) {
	const usual = "request-id,b3,w3c"
	notSampled := func(s string) string {
		return strings.NewReplacer("-01\n", "-00\n", "x-b3-sampled: 1", "x-b3-sampled: 0").Replace(s)
	}
	tests := map[string]struct {
		truth    string
		promised string
		pairs    []pair
		worst    hop.Severity
		headline string
		kinds    []string // but for notes
		says     string   // what or why of a finding or a note
		never    string
	}{
		"D1 FastAPI, always_on": {
			"not sampled became sampled", "w3c",
			[]pair{{"every family", w3c, w3cChild, ""}, {"not sampled", notSampled(w3c), w3cChild, ""}},
			hop.Overridden, "overrides sampling in W3C", []string{"decision-changed"}, "not sampled became sampled: traceparent with the flags 00 was sent", "",
		},
		"D1 FastAPI with b3multi, always_on": {
			"x-b3-sampled: 0 became 1", "b3",
			[]pair{{"not sampled", notSampled(multi), multiChild, ""}},
			hop.Overridden, "overrides sampling in B3", []string{"decision-changed"}, "not sampled became sampled: x-b3-sampled: 0 was sent", "",
		},
		"D1 FastAPI, traceidratio 0.5, a high trace ID": {
			"sampled became not sampled", "w3c",
			[]pair{{"low", w3c, w3cChild, ""}, {"high", w3c, notSampled(w3cChild), ""}},
			hop.Overridden, "overrides sampling in W3C", []string{"decision-changed"}, "sampled became not sampled", "",
		},
		"D2 productpage whose second call carries nothing": {
			"two calls, the second without headers", "request-id,w3c",
			[]pair{{"every family", lines(reqID, w3c), lines(reqID, w3c), "accept: */*"}},
			hop.Broken, "drops x-request-id and W3C", []string{"all-lost"}, "none of the headers arrived", "",
		},
		"D3 Online Boutique's frontend calls over gRPC": {
			"the call carries the headers as sent", "w3c,baggage",
			[]pair{{"every family", w3c + "\nbaggage: userId=Amelie", w3c + "\nbaggage: userId=Amelie\ncontent-type: application/grpc\nte: trailers", ""}},
			hop.Note, "relays W3C and baggage", nil, "", "",
		},
		"D4 dd-trace, x-datadog-*": {
			"the same trace, its own span as the parent", "datadog",
			[]pair{{"every family",
				"x-datadog-trace-id: 7277407061855694839\nx-datadog-parent-id: 16453819474850114513\nx-datadog-sampling-priority: 1\nx-datadog-origin: synthetics\nx-datadog-tags: _dd.p.dm=-4,_dd.p.tid=80f198ee56343ba8",
				"x-datadog-trace-id: 7277407061855694839\nx-datadog-parent-id: 4071712367331312345\nx-datadog-sampling-priority: 1\nx-datadog-origin: synthetics\nx-datadog-tags: _dd.p.tid=80f198ee56343ba8,_dd.p.dm=-4,_dd.p.usr.id=1", ""}},
			hop.Note, "continues the trace in Datadog", nil, "", "",
		},
		"D4 dd-trace begins a trace where none came in": {
			"a root of its own", "datadog",
			[]pair{{"no trace headers", "accept: */*", "x-datadog-trace-id: 7277407061855694839\nx-datadog-parent-id: 4071712367331312345\nx-datadog-sampling-priority: 1", ""}},
			hop.Note, "nothing was promised that was sent", nil, "", "",
		},
		"D4 dd-trace, its member of tracestate in front": {
			"a child span; tracestate keeps what it had", "w3c",
			[]pair{
				{"every family", w3c, strings.Replace(w3cChild, "congo=", "dd=s:1;p:25d57cdb6bb53aa0,congo=", 1), ""},
				{"no trace headers", "accept: */*", "traceparent: 00-" + newTrace + "-" + newSpan + "-01\ntracestate: dd=s:1;p:25d57cdb6bb53aa0", ""},
			},
			hop.Note, "continues the trace in W3C", nil, "", "",
		},
		"D5 OpenTelemetry's jaeger propagator": {
			"the same trace, a new span", "jaeger",
			[]pair{{"every family", "uber-trace-id: " + in128 + ":" + inSpan + ":0:1", "uber-trace-id: " + in128 + ":" + newSpan + ":0:01", ""}},
			hop.Note, "continues the trace in Jaeger", nil, "", "",
		},
		"OpenTelemetry Python's jaeger propagator makes a debug request": {
			"flags 1 became 03: random trace IDs in W3C's flags, debug in Jaeger's", "jaeger",
			[]pair{{"every family", "uber-trace-id: " + in128 + ":" + inSpan + ":0:1", "uber-trace-id: " + in128 + ":" + newSpan + ":" + inSpan + ":03", ""}},
			hop.Note, "continues the trace in Jaeger", nil, "more is recorded than anybody asked for", "Envoy itself writes 1 for d",
		},
		"D6 Spring orders baggage anew": {
			"the same members", "w3c,baggage",
			[]pair{{"every family", w3c + "\nbaggage: userId=Amelie,serverNode=DF%2028", w3cChild + "\nbaggage: serverNode=DF%2028,userId=Amelie", ""}},
			hop.Note, "continues the trace in W3C; relays baggage", nil, "", "",
		},
		"D6 OpenTelemetry Python encodes baggage anew": {
			"DF 28 became DF+28", "baggage",
			[]pair{{"every family", "baggage: userId=Amelie,serverNode=DF%2028", "baggage: userId=Amelie,serverNode=DF+28", ""}},
			hop.Lost, "loses part of baggage", []string{"state-lost"}, `serverNode of baggage arrived as "DF+28", and "DF 28" was sent`, "",
		},
		"D7 OpenTelemetry's B3 pads 64-bit IDs": {
			"every reader sees one trace, but strict Zipkin stores", "b3",
			[]pair{{"64 bits", "x-b3-traceid: " + in128[16:] + "\nx-b3-spanid: " + inSpan + "\nx-b3-sampled: 1",
				"x-b3-traceid: 0000000000000000" + in128[16:] + "\nx-b3-spanid: " + newSpan + "\nx-b3-sampled: 1", ""}},
			hop.Note, "continues the trace in B3", nil, "the 64-bit trace ID arrived with 32 digits", "",
		},
		"D7 OpenTelemetry's B3 begins a trace where a decision came in alone": {
			"there is no parent to follow; no sidecar sends a decision alone", "b3",
			[]pair{
				{"x-b3-sampled: 0 alone", "x-b3-sampled: 0", "x-b3-traceid: " + newTrace + "\nx-b3-spanid: " + newSpan + "\nx-b3-sampled: 1", ""},
				{"x-b3-flags: 1 alone", "x-b3-flags: 1", "x-b3-traceid: " + newTrace + "\nx-b3-spanid: " + newSpan + "\nx-b3-sampled: 1", ""},
			},
			hop.Note, "continues the trace in B3", nil, "names no parent", "always_on",
		},
		"D8 reviews with the Java agent": {
			"traceparent is renewed, x-b3-* are as they came, b3 is not in the list", usual,
			[]pair{
				{"every family", lines(reqID, multi, single, w3c), lines(reqID, multi, w3cChild), ""},
				{"x-b3-* alone", lines(reqID, multi), lines(reqID, multi, "traceparent: 00-"+newTrace+"-"+newSpan+"-01"), ""},
				{"traceparent alone", lines(reqID, w3c), lines(reqID, w3cChild), ""},
			},
			hop.Note, "continues the trace in W3C; relays x-request-id and B3", nil, "x-b3-* arrived as sent, beside traceparent, which names a new span", "b3 was lost",
		},
		"D9 Brave drops tracestate": {
			"the trace goes on, tracestate is gone", "w3c",
			[]pair{{"every family", w3c, "traceparent: 00-" + in128 + "-" + newSpan + "-01", ""}},
			hop.Lost, "loses part of W3C", []string{"state-lost"}, "traceparent still names the trace", "names no place",
		},
		"D9 Istio's list drops x-datadog-origin and -tags": {
			"the trace goes on; its upper half is in the tags", "datadog",
			[]pair{{"every family", "x-datadog-trace-id: 1\nx-datadog-parent-id: 2\nx-datadog-sampling-priority: 1\nx-datadog-origin: synthetics\nx-datadog-tags: _dd.p.tid=80f198ee56343ba8",
				"x-datadog-trace-id: 1\nx-datadog-parent-id: 2\nx-datadog-sampling-priority: 1", ""}},
			hop.Lost, "loses part of Datadog", []string{"state-lost", "state-lost"}, "the upper half of the trace ID", "names no place",
		},
		"D9 Istio's list drops sw8-correlation and sw8-x": {
			"sw8 alone names the place", "skywalking",
			[]pair{{"every family", "sw8: 1-VFJBQ0VJRA==-U0VHTUVOVElE-3-NTE=-NQ==-Ng==-Nw==\nsw8-correlation: dXNlcg==:MQ==\nsw8-x: 0-1",
				"sw8: 1-VFJBQ0VJRA==-U0VHTUVOVElE-3-NTE=-NQ==-Ng==-Nw==", ""}},
			hop.Lost, "loses part of SkyWalking", []string{"state-lost", "state-lost"}, "sw8 still names the trace", "names no place",
		},
		"D10 Spring with the Java agent turns tracestate": {
			"a=1,b=2,c=3 became c=3,b=2,a=1", "w3c",
			[]pair{{"every family", "traceparent: 00-" + in128 + "-" + inSpan + "-01\ntracestate: a=1,b=2,c=3", "traceparent: 00-" + in128 + "-" + newSpan + "-01\ntracestate: c=3,b=2,a=1", ""}},
			hop.Lost, "loses part of W3C", []string{"state-lost"}, "the members a, b and c arrived in the order c, b and a", "",
		},
		"D11 nginx drops x-b3-flags": {
			"debug is lost", "b3",
			[]pair{{"flags", "x-b3-flags: 1", "accept: */*", ""}},
			hop.Overridden, "loses a decision in B3", []string{"decision-lost"}, "the decision x-b3-flags: 1 was lost", "",
		},
		"D12 HAProxy writes empty x-b3-* where none came in": {
			"x-b3-sampled and x-b3-traceid arrive empty", "b3",
			[]pair{{"a decision alone", "x-b3-sampled: 1", "x-b3-sampled: 1\nx-b3-traceid: ", ""}, {"no trace headers", "accept: */*", "x-b3-traceid: \nx-b3-sampled: ", ""}},
			hop.Broken, "sends empty headers of B3", []string{"empty"}, "x-b3-sampled and x-b3-traceid arrived empty", "",
		},
		"HAProxy writes an empty traceparent beside an x-b3-sampled that came empty": {
			"x-b3-sampled is as it came, traceparent is made", "b3,w3c",
			[]pair{{"every family", lines(multi, w3c), lines(multi, w3c), ""}, {"an empty x-b3-sampled", "x-b3-sampled: ", "x-b3-sampled: \ntraceparent: ", ""}},
			hop.Broken, "whole where sidecars read B3; broken where they read W3C", []string{"empty"}, "traceparent arrived empty", "x-b3-sampled and traceparent",
		},
		"D13 HAProxy adds a second request ID": {
			"the ID that was sent is there, and another", "request-id",
			[]pair{{"every family", reqID, reqID + "\nx-request-id: 7F000001:C2A6_7F000001:5273_69", ""}},
			hop.Lost, "repeats x-request-id", []string{"request-id-twice"}, "x-request-id arrived as sent, and a second one beside it", "another ID",
		},
		"D13 HAProxy adds the same traceparent and request ID": {
			"each is there twice", "request-id,w3c",
			[]pair{{"every family", lines(reqID, w3c), lines(reqID, reqID, w3c, strings.Split(w3c, "\n")[0]), ""}},
			hop.Broken, "repeats x-request-id and W3C", []string{"repeated", "request-id-twice"}, "traceparent is there 2 times, with the same value", "another ID",
		},
		"D14 a service that drops baggage and a header of the user's": {
			"no trace is lost", "request-id,w3c,baggage,end-user",
			[]pair{{"every family", lines(reqID, w3c, "baggage: a=b", "end-user: jason"), lines(reqID, w3c), ""}},
			hop.Lost, "relays x-request-id and W3C; loses part of baggage; drops end-user", []string{"state-lost", "header-lost"}, "The service that is called misses it.", "start a trace",
		},
		"D14 productpage drops a decision without IDs": {
			"the next hop decides again", "b3",
			[]pair{{"a decision alone", "x-b3-sampled: 1", "accept: */*", ""}},
			hop.Overridden, "loses a decision in B3", []string{"decision-lost"}, "the next hop decides again", "access logs",
		},
		"D18 a tracestate of the user's, turned": {
			"the order of tracestate changed beside a good traceparent", "w3c",
			[]pair{{"every family", strings.Replace(w3c, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "a=1,b=2", 1), strings.Replace(w3cChild, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "b=2,a=1", 1), ""}},
			hop.Lost, "loses part of W3C", []string{"state-lost"}, "the members a and b arrived in the order b and a", "",
		},
		"E1 a perfect relay behind an OpenTelemetry sidecar": {
			"the sidecar renews traceparent, and writes an empty tracestate", usual,
			[]pair{
				{"every family", lines(reqID, multi, single, "traceparent: 00-"+in128+"-"+inSpan+"-01"), lines(reqID, multi, single, "traceparent: 00-"+in128+"-"+newSpan+"-01\ntracestate: ") + envoy, ""},
				{"no trace headers", "accept: */*", lines(reqID, "traceparent: 00-"+newTrace+"-"+newSpan+"-00\ntracestate: ") + envoy, ""},
			},
			hop.Note, "continues the trace in W3C; relays x-request-id and B3", nil, "", "tracestate",
		},
		"E1 a service that relays nothing behind an OpenTelemetry sidecar": {
			"the sidecar makes all of it anew", "request-id,w3c",
			[]pair{{"every family", lines(reqID, w3c), lines("x-request-id: 7c1d6f0e-6f5d-9a3b-8a51-0d9c4e0b2f11", "traceparent: 00-"+newTrace+"-"+newSpan+"-01\ntracestate: ") + envoy, ""}},
			hop.Broken, "drops x-request-id and W3C", []string{"all-lost"}, "none of the headers arrived, and the sidecar made new ones", "arrived empty",
		},
		"E2 traceparent without x-request-id behind Envoy 1.39's OpenTelemetry tracer": {
			"Envoy decides by the new ID: sampled became not sampled", "request-id,w3c",
			[]pair{{"every family", lines(reqID, w3c), lines("x-request-id: 7c1d6f0e-6f5d-4a3b-8a51-0d9c4e0b2f11", strings.Replace(w3cChild, "-01\n", "-00\n", 1)) + envoy, ""}},
			hop.Overridden, "overrides sampling in W3C", []string{"decision-changed", "request-id-changed"}, "x-request-id was lost, and made anew by the sidecar", "",
		},
		"E3 b3 that Envoy 1.40 renews beside x-b3-*": {
			"b3 names the sidecar's span, x-b3-* are stale: the same trace", "request-id,b3",
			[]pair{{"every family", lines(reqID, multi, single), lines(reqID, multi, "b3: "+in128+"-"+newSpan+"-1-"+inSpan) + envoy, ""}},
			hop.Note, "continues the trace in B3; relays x-request-id", nil, "x-b3-* arrived as sent, beside b3, which names a new span", "",
		},
		"E3 x-b3-* that Envoy 1.39 renews beside b3": {
			"x-b3-* name the sidecar's span, b3 is stale: the same trace", "request-id,b3",
			[]pair{{"every family", lines(reqID, multi, single), lines(reqID, multiChild, single) + envoy, ""}},
			hop.Note, "continues the trace in B3; relays x-request-id", nil, "b3 arrived as sent, beside x-b3-*, which names a new span", "",
		},
		"E4 grpc-trace-bin encoded twice": {
			"the server sees base64 in base64", "grpc-trace-bin",
			[]pair{{"every family", "grpc-trace-bin: AACA8ZjuVjQ7qGT+iypX0+/3AeRXtaLk2GvRAgE", "grpc-trace-bin: QUFDQThaanVWalE3cUdUK2l5cFgwKy8z", ""}},
			hop.Lost, "changes grpc-trace-bin", []string{"header-changed"}, "grpc-trace-bin arrived with another value", "",
		},
		"E5 a relay behind Datadog's tracer, default families": {
			"the sidecar writes tracestate of its own where none came in", usual,
			[]pair{{"no trace headers", "accept: */*", lines(reqID, "traceparent: 00-"+newTrace+"-"+newSpan+"-01\ntracestate: dd=s:1;p:25d57cdb6bb53aa0") + envoy, ""}},
			hop.Note, "nothing was promised that was sent", nil, "", "",
		},
		"E5 a relay behind SkyWalking's tracer": {
			"sw8 is written anew in the same trace", "request-id,skywalking",
			[]pair{{"every family", lines(reqID, "sw8: 0-VFJBQ0VJRA==-U0VHTUVOVElE-3-NTE=-NQ==-Ng==-Nw=="), lines(reqID, "sw8: 1-VFJBQ0VJRA==-T1RIRVJTRUc=-0-ZW52b3k=-ZQ==-L2E=-Ojgw") + envoy, ""}},
			hop.Note, "continues the trace in SkyWalking; relays x-request-id", nil, "sw8 says sampled, and not sampled was sent", "",
		},
		"E5 a relay behind X-Ray's tracer": {
			"a new parent in the same trace", "request-id,xray",
			[]pair{{"every family", lines(reqID, "x-amzn-trace-id: Root=1-80f198ee-56343ba864fe8b2a57d3eff7;Parent="+inSpan+";Sampled=1"), lines(reqID, "x-amzn-trace-id: Root=1-80f198ee-56343ba864fe8b2a57d3eff7;Parent="+newSpan+";Sampled=1") + envoy, ""}},
			hop.Note, "continues the trace in X-Ray; relays x-request-id", nil, "", "",
		},
		"E5 Bookinfo's list behind an OpenTelemetry sidecar": {
			"one trace of four spans", usual,
			[]pair{
				{"every family", lines(reqID, multi, single, w3c), lines(reqID, multi, w3cChild) + envoy, ""},
				{"traceparent alone", lines(reqID, w3c), lines(reqID, w3cChild) + envoy, ""},
				{"x-b3-* alone", lines(reqID, multi), lines(reqID, multi, "traceparent: 00-"+newTrace+"-"+newSpan+"-01\ntracestate: ") + envoy, ""},
			},
			hop.Note, "continues the trace in W3C; relays x-request-id and B3", nil, "x-b3-* arrived as sent", "",
		},
		"E5 x-request-id and b3 only, behind Zipkin's tracer of Envoy 1.40": {
			"where x-b3-* come in, which sidecars write, the trace ends: two traces", "request-id,b3",
			[]pair{
				{"every family", lines(reqID, multi, single), lines(reqID, "b3: "+in128+"-"+newSpan+"-1-"+inSpan) + envoy, ""},
				{"x-b3-* alone", lines(reqID, multi), lines(reqID, strings.NewReplacer(in128, newTrace, inSpan, newSpan).Replace(multi)) + envoy, ""},
			},
			hop.Broken, "relays x-request-id; drops B3", []string{"only-request-id"}, "everything but x-request-id was lost, and the sidecar made new ones", "",
		},
		"E7 a loop that copies all names, where nothing came in": {
			"what ends tracing is the empty b3", usual,
			[]pair{{"no trace headers", "accept: */*", "x-request-id: \nx-b3-traceid: \nx-b3-spanid: \nx-b3-parentspanid: \nx-b3-sampled: \nx-b3-flags: \nb3: \ntraceparent: \ntracestate: ", ""}},
			hop.Broken, "sends empty headers of x-request-id, B3 and W3C", []string{"empty"}, "b3, x-b3-sampled, traceparent, x-b3-traceid, x-b3-spanid,", "",
		},
		"E9 a relay that pads 64-bit IDs and forgets the parent": {
			"one trace, the same tree", "b3",
			[]pair{
				{"every family", multi, strings.Replace(multi, "x-b3-parentspanid", "other", 1), ""},
				{"64 bits", strings.Replace(multi, in128, in128[16:], 1), strings.Replace(multi, in128, "0000000000000000"+in128[16:], 1), ""},
			},
			hop.Note, "relays B3", nil, "Between sidecars it does no harm that was seen", "",
		},
		"E10 a request ID that is lost behind a sidecar": {
			"nobody generates one but the sidecar", "request-id",
			[]pair{{"every family", reqID, "x-request-id: 7c1d6f0e-6f5d-9a3b-8a51-0d9c4e0b2f11" + envoy, ""}},
			hop.Lost, "drops x-request-id", []string{"request-id-changed"}, "was lost, and made anew by the sidecar", "arrived as another ID",
		},
		"E11 a malformed traceparent that passes an OpenTelemetry sidecar": {
			"no span at that hop, the header goes on as it came", "w3c",
			[]pair{{"every family", "traceparent: hello", "traceparent: hello" + envoy, ""}},
			hop.Note, "nothing was promised that was sent", nil, "", "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			promised := families(test.promised)
			want := hop.Expect{Families: promised, Sidecars: true}
			var outcomes []hop.Outcome
			for _, p := range test.pairs {
				sent := header(p.in)
				o := hop.Outcome{Probe: hop.Probe{Name: p.probe, Sent: sent}}
				for _, out := range []string{p.out, p.second} {
					if arrived := header(out); out != "" {
						o.Calls = append(o.Calls, hop.Call{Name: "GET /", Header: arrived, Judgment: hop.Judge(sent, arrived, want)})
					}
				}
				outcomes = append(outcomes, o)
			}
			got := hop.Summarize(promised, outcomes)
			var kinds []string
			var text strings.Builder
			for _, f := range append(got.Findings, got.Notes...) {
				if f.Severity > hop.Note {
					kinds = append(kinds, string(f.Kind))
				}
				text.WriteString(f.What + ". " + f.Why() + "\n")
			}
			assert.Equal(t, test.worst, got.Severity, "%s, but: %s\n%s", test.truth, got.Headline, &text)
			assert.Equal(t, test.kinds, kinds, &text)
			assert.Contains(t, got.Headline, test.headline)
			assert.Contains(t, text.String(), test.says)
			if test.never != "" {
				assert.NotContains(t, text.String(), test.never)
			}
		})
	}
}
