package hop_test

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/internal/hop"
	"github.com/tracebaton/tracebaton/internal/wire"
)

const (
	trace  = "463ac35c9f6413ad48485a3953bb6124"
	span   = "a2fb4a1d1a96d312"
	parent = "0020000000000001"
	fresh  = "05e3ac9a4f6e3b90"
	other  = "0af7651916cd43dd8448eb211c80319c"
	id     = "x-request-id: 5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10"
)

// sampled are the headers that most rows send.
const sampled = id + `
x-b3-traceid: ` + trace + `
x-b3-spanid: ` + span + `
x-b3-parentspanid: ` + parent + `
x-b3-sampled: 1`

func header(lines string) http.Header {
	h := make(http.Header)
	for line := range strings.SplitSeq(lines, "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			h.Add(name, strings.TrimSpace(value))
		}
	}
	return h
}

// istio are the families of an Istio mesh.
var istio = hop.Families("x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "b3",
	"traceparent", "tracestate", "x-ot-span-context")

// kinds are those of the faults, notes in brackets.
func kinds(faults []hop.Fault) []hop.Kind {
	kinds := []hop.Kind{}
	for _, f := range faults {
		if f.Severity == hop.Note {
			f.Kind = "(" + f.Kind + ")"
		}
		kinds = append(kinds, f.Kind)
	}
	slices.Sort(kinds)
	return kinds
}

func TestWhatArrivesIsJudged(t *testing.T) {
	tests := map[string]struct {
		sent, arrived string
		spans         hop.Spans
		sidecars      bool
		any           bool
		families      []hop.Family
		want          []hop.Kind
	}{
		"as it was sent": {sent: sampled, arrived: sampled},
		"IDs without the empty decision beside them":             {sent: strings.Replace(sampled, "sampled: 1", "sampled: ", 1), arrived: strings.Replace(sampled, "x-b3-sampled: 1", "", 1)},
		"nothing sent and nothing arrived":                       {},
		"other headers do not matter":                            {sent: sampled, arrived: sampled + "\naccept: */*\nbaggage: a=b"},
		"a child span of a service that makes them":              {sent: sampled, arrived: id + "\nx-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-sampled: 1", spans: hop.OwnSpans},
		"a child span whose parent is said":                      {sent: sampled, arrived: id + "\nx-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-parentspanid: " + span + "\nx-b3-sampled: 1", spans: hop.OwnSpans},
		"a child span, or not, where nothing is known":           {sent: sampled, arrived: id + "\nx-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-sampled: 1", any: true},
		"a child span written in the other format of B3":         {sent: "b3: " + trace + "-" + span + "-1-" + parent, arrived: "x-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-sampled: 1", spans: hop.OwnSpans},
		"a child span in both families":                          {sent: sampled + "\ntraceparent: 00-" + trace + "-" + span + "-01\ntracestate: a=1", arrived: id + "\nx-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-sampled: 1\ntraceparent: 00-" + trace + "-" + fresh + "-01\ntracestate: b=2,a=1", spans: hop.OwnSpans},
		"tracestate in one header where there were two":          {sent: "traceparent: 00-" + trace + "-" + span + "-01\ntracestate: a=1\ntracestate: b=2", arrived: "traceparent: 00-" + trace + "-" + span + "-01\ntracestate: a=1, b=2"},
		"a trace of its own where none came in":                  {sent: id, arrived: id + "\nx-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-sampled: 1", spans: hop.OwnSpans},
		"one of its own that is not sampled, from dropped spans": {sent: id, arrived: id + "\nx-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-sampled: 0", spans: hop.DroppedSpans},
		"a trace of its own where a decision came in":            {sent: "x-b3-sampled: 0", arrived: "x-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-sampled: 1", spans: hop.OwnSpans, want: []hop.Kind{"(root-decided)"}},
		"a decision made where none came in, by who may":         {sent: "x-b3-traceid: " + trace + "\nx-b3-spanid: " + span, arrived: "x-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-sampled: 1", spans: hop.OwnSpans},
		"debug as sampled where W3C has nothing more to say":     {sent: "b3: " + trace + "-" + span + "-d\ntraceparent: 00-" + trace + "-" + span + "-01", arrived: "b3: " + trace + "-" + fresh + "-d\ntraceparent: 00-" + trace + "-" + fresh + "-01", spans: hop.OwnSpans},
		"another trace reason, from a sidecar":                   {sent: id, arrived: strings.Replace(id, "-9c4b", "-ac4b", 1), sidecars: true},
		"a request ID where there was none, from a sidecar":      {arrived: id, sidecars: true},
		"a request ID where there was none, from the service":    {arrived: id},
		"a request ID where an empty one was":                    {sent: "x-request-id: ", arrived: id},
		"a short trace ID, padded in W3C only":                   {sent: "b3: " + trace[16:] + "-" + span + "-1\ntraceparent: 00-" + wire.Pad(trace[16:]) + "-" + span + "-01", arrived: "b3: " + trace[16:] + "-" + fresh + "-1\ntraceparent: 00-" + wire.Pad(trace[16:]) + "-" + fresh + "-01", spans: hop.OwnSpans},
		"a family that is not asked for":                         {sent: sampled + "\nbaggage: a=b", arrived: sampled, families: istio},

		"nothing":                 {sent: sampled, want: []hop.Kind{hop.AllLost}},
		"the request ID only":     {sent: sampled, arrived: id, want: []hop.Kind{hop.OnlyRequestID}},
		"no request ID":           {sent: sampled, arrived: strings.TrimPrefix(sampled, id), want: []hop.Kind{hop.RequestIDLost}},
		"no span ID":              {sent: sampled, arrived: strings.Replace(sampled, "x-b3-spanid", "other", 1), want: []hop.Kind{hop.Torn}},
		"one format of B3 of two": {sent: sampled + "\nb3: " + trace + "-" + span + "-1", arrived: sampled, want: []hop.Kind{hop.OneFormat}},
		"the other format of two": {sent: sampled + "\nb3: " + trace + "-" + span + "-1", arrived: id + "\nb3: " + trace + "-" + span + "-1", want: []hop.Kind{hop.OneFormat}},
		"one format of two, and half of the other": {sent: sampled + "\nb3: " + trace + "-" + span + "-1", arrived: strings.Replace(sampled, "x-b3-sampled", "other", 1), want: []hop.Kind{hop.DecisionLost, hop.OneFormat}},
		"one format of two, and another family":    {sent: sampled + "\nb3: " + trace + "-" + span + "-1\nx-ot-span-context: a", arrived: sampled, want: []hop.Kind{hop.HeaderLost, hop.OneFormat}},
		"no decision":                              {sent: sampled, arrived: strings.Replace(sampled, "x-b3-sampled", "other", 1), want: []hop.Kind{hop.DecisionLost}},
		"no parent":                                {sent: sampled, arrived: strings.Replace(sampled, "x-b3-parentspanid", "other", 1), want: []hop.Kind{hop.ParentLost}},
		"no parent in b3":                          {sent: "b3: " + trace + "-" + span + "-1-" + parent, arrived: "b3: " + trace + "-" + span + "-1", want: []hop.Kind{hop.ParentLost}},
		"another parent":                           {sent: sampled, arrived: strings.Replace(sampled, parent, fresh, 1), want: []hop.Kind{hop.WrongParent}},
		"another trace":                            {sent: sampled, arrived: strings.Replace(strings.Replace(sampled, trace, other, 1), span, fresh, 1), spans: hop.OwnSpans, want: []hop.Kind{hop.OtherTrace}},
		"another trace, W3C":                       {sent: "traceparent: 00-" + trace + "-" + span + "-01\ntracestate: a=1", arrived: "traceparent: 00-" + other + "-" + fresh + "-01", any: true, want: []hop.Kind{hop.OtherTrace}},
		"another span of nobody's":                 {sent: sampled, arrived: strings.Replace(sampled, span, fresh, 1), want: []hop.Kind{hop.Phantom}},
		"a span that was dropped":                  {sent: sampled, arrived: strings.Replace(sampled, span, fresh, 1), spans: hop.DroppedSpans, want: []hop.Kind{hop.Phantom}},
		"the caller's span":                        {sent: sampled, arrived: sampled, spans: hop.OwnSpans, want: []hop.Kind{hop.NotChild}},
		"a child beside its uncle":                 {sent: sampled, arrived: strings.Replace(sampled, span, fresh, 1), spans: hop.OwnSpans, want: []hop.Kind{hop.WrongParent}},
		"a child that is its parent":               {sent: sampled, arrived: strings.NewReplacer(span, fresh, parent, fresh).Replace(sampled), spans: hop.OwnSpans, want: []hop.Kind{hop.WrongParent}},
		"the parent as the span":                   {sent: sampled, arrived: id + "\nx-b3-traceid: " + trace + "\nx-b3-spanid: " + parent + "\nx-b3-sampled: 1", spans: hop.OwnSpans, want: []hop.Kind{hop.WrongParent}},
		"a padded trace ID":                        {sent: "x-b3-traceid: " + trace[16:] + "\nx-b3-spanid: " + span, arrived: "x-b3-traceid: " + wire.Pad(trace[16:]) + "\nx-b3-spanid: " + span, want: []hop.Kind{hop.Padded}},
		"half a trace ID":                          {sent: sampled, arrived: strings.Replace(sampled, trace, trace[16:], 1), want: []hop.Kind{hop.Truncated}},
		"not sampled any more":                     {sent: sampled, arrived: strings.Replace(sampled, "sampled: 1", "sampled: 0", 1), want: []hop.Kind{hop.DecisionChanged}},
		"sampled all the same":                     {sent: strings.Replace(sampled, "sampled: 1", "sampled: 0", 1), arrived: sampled, want: []hop.Kind{hop.DecisionChanged}},
		"not sampled, in a child":                  {sent: sampled, arrived: id + "\nx-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-sampled: 0", spans: hop.OwnSpans, want: []hop.Kind{hop.DecisionChanged}},
		"no decision in a child":                   {sent: sampled, arrived: id + "\nx-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh, spans: hop.OwnSpans, want: []hop.Kind{hop.DecisionLost}},
		"no debug in a child":                      {sent: "b3: " + trace + "-" + span + "-d", arrived: "b3: " + trace + "-" + fresh + "-1", spans: hop.OwnSpans, want: []hop.Kind{hop.DebugLost}},
		"a decision from nowhere":                  {arrived: "x-b3-sampled: 0", any: true, want: []hop.Kind{hop.NoInvented}},
		"the contrary of a decision":               {sent: "x-b3-sampled: 1", arrived: "x-b3-sampled: 0", any: true, want: []hop.Kind{hop.DecisionChanged}},
		"a refusal in a root":                      {sent: "x-b3-sampled: 1", arrived: "x-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-sampled: 0", any: true, want: []hop.Kind{hop.RootDecided}},
		"a decision for IDs":                       {sent: "x-b3-traceid: " + trace + "\nx-b3-spanid: " + span, arrived: "x-b3-traceid: " + trace + "\nx-b3-spanid: " + span + "\nx-b3-sampled: 0", want: []hop.Kind{hop.NoInvented}},
		"a wish for IDs":                           {sent: "x-b3-traceid: " + trace + "\nx-b3-spanid: " + span, arrived: "x-b3-traceid: " + trace + "\nx-b3-spanid: " + span + "\nx-b3-sampled: 1", want: []hop.Kind{hop.NotSent}},
		"a trace from nowhere":                     {arrived: "x-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-sampled: 1", want: []hop.Kind{hop.NotSent}},
		"one from dropped spans":                   {arrived: "x-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-sampled: 1", spans: hop.DroppedSpans, want: []hop.Kind{hop.NotSent}},
		"a stale b3":                               {sent: sampled + "\nb3: " + trace + "-" + span + "-1-" + parent, arrived: id + "\nx-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-sampled: 1\nb3: " + trace + "-" + span + "-1-" + parent, spans: hop.OwnSpans, want: []hop.Kind{hop.Disagree}},
		"two new spans":                            {sent: sampled + "\ntraceparent: 00-" + trace + "-" + span + "-01", arrived: id + "\nx-b3-traceid: " + trace + "\nx-b3-spanid: " + fresh + "\nx-b3-sampled: 1\ntraceparent: 00-" + trace + "-" + parent[:15] + "2-01", any: true, want: []hop.Kind{"(disagree)"}},
		"one family without another":               {sent: sampled + "\ntraceparent: 00-" + trace + "-" + span + "-01", arrived: id + "\ntraceparent: 00-" + trace + "-" + fresh + "-01", any: true, want: []hop.Kind{hop.TraceLost}},
		"the other format of B3":                   {sent: "b3: " + trace + "-" + span + "-1", arrived: "x-b3-traceid: " + trace + "\nx-b3-spanid: " + span + "\nx-b3-sampled: 1", want: []hop.Kind{hop.OneFormat}},
		"another request ID":                       {sent: id, arrived: strings.Replace(id, "5c1e", "6c1e", 1), want: []hop.Kind{hop.RequestIDChanged}},
		"another trace reason":                     {sent: id, arrived: strings.Replace(id, "-9c4b", "-ac4b", 1), want: []hop.Kind{hop.RequestIDChanged}},
		"a request ID of letters":                  {sent: id, arrived: "x-request-id: abc", sidecars: true, want: []hop.Kind{hop.RequestIDChanged, hop.RequestIDNotUUID}},
		"letters where there were none":            {arrived: "x-request-id: 01JD5Y8Q2V", want: []hop.Kind{hop.RequestIDNotUUID}},
		"letters where an empty one was":           {sent: "x-request-id: ", arrived: "x-request-id: 01JD5Y8Q2V", sidecars: true, want: []hop.Kind{hop.RequestIDNotUUID}},
		"two request IDs from nowhere":             {arrived: id + "\n" + id, want: []hop.Kind{hop.NotSent}},
		"a decision where an empty one was":        {sent: "x-b3-sampled: ", arrived: "x-b3-sampled: 0", want: []hop.Kind{hop.NoInvented}},
		"empties":                                  {sent: id, arrived: id + "\nx-b3-sampled: \nb3: ", want: []hop.Kind{hop.Empty}},
		"empties that were sent":                   {sent: "x-b3-sampled: ", arrived: "x-b3-sampled: ", want: []hop.Kind{hop.Empty}},
		"upper case":                               {sent: sampled, arrived: strings.Replace(sampled, trace, strings.ToUpper(trace), 1), want: []hop.Kind{hop.Case}},
		"half a list":                              {sent: "tracestate: a=1\ntracestate: b=2\ntraceparent: 00-" + trace + "-" + span + "-01", arrived: "tracestate: b=2\ntraceparent: 00-" + trace + "-" + span + "-01", want: []hop.Kind{hop.StateLost}},
		"a list that was turned":                   {sent: "x-ot-span-context: a\nx-ot-span-context: b", arrived: "x-ot-span-context: b\nx-ot-span-context: a", want: []hop.Kind{hop.HeaderChanged}},
		"a list of one":                            {sent: "x-ot-span-context: a\nx-ot-span-context: b", arrived: "x-ot-span-context: a, b", want: []hop.Kind{hop.HeaderChanged}},
		"a tracestate without a's":                 {sent: "traceparent: 00-" + trace + "-" + span + "-01\ntracestate: a=1", arrived: "traceparent: 00-" + trace + "-" + fresh + "-01\ntracestate: b=2", spans: hop.OwnSpans, want: []hop.Kind{hop.StateLost}},
		"what nobody can read":                     {sent: sampled, arrived: strings.Replace(sampled, trace, trace[1:], 1), want: []hop.Kind{hop.Malformed}},
		"a header that was not asked":              {sent: "end-user: A", arrived: "end-user: B", families: hop.Families("end-user"), want: []hop.Kind{hop.HeaderChanged}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.families == nil {
				test.families = istio
			}
			if test.spans == hop.AnySpans && !test.any {
				test.spans = hop.NoSpans
			}
			got := hop.Judge(header(test.sent), header(test.arrived), hop.Expect{
				Families: test.families, Spans: test.spans, Sidecars: test.sidecars,
			})
			rows, faults := got.Rows, got.Faults
			if test.want == nil {
				test.want = []hop.Kind{}
			}
			assert.Equal(t, test.want, kinds(faults), "%+v", faults)
			for _, f := range faults {
				assert.NotEmpty(t, f.Headers)
				assert.NotEmpty(t, f.Rule())
				assert.NotEmpty(t, f.Why())
				assert.NotEmpty(t, f.Do(hop.Clues{}))
				for _, name := range f.Headers {
					assert.True(t, slices.ContainsFunc(rows, func(r hop.Row) bool { return r.Name == name }), "no row of %s", name)
				}
			}
		})
	}
}

// What a row of other tests does not show: how bad it is, and in which words.
func TestWhatArrivesIsWeighed(t *testing.T) {
	const ids = "x-b3-traceid: " + trace + "\nx-b3-spanid: " + span
	w3c := func(span, flags string) string { return "traceparent: 00-" + trace + "-" + span + "-" + flags }
	xray := func(parent string) string {
		return "x-amzn-trace-id: Root=1-" + trace[:8] + "-" + trace[8:] + parent + ";Sampled=1"
	}
	tests := map[string]struct {
		families      string
		sent, arrived string
		kinds         []hop.Kind
		worst         hop.Severity
		says          string
	}{
		"an ID in upper case":                      {"request-id", id, strings.Replace(id, "5c1e3d0d", "5C1E3D0D", 1), []hop.Kind{hop.Case}, hop.Lost, "in another case"},
		"a trace ID in upper case":                 {"b3", ids, "x-b3-traceid: " + strings.ToUpper(trace) + "\nx-b3-spanid: " + span, []hop.Kind{hop.Case}, hop.Broken, "in another case"},
		"a client's own ID that is replaced":       {"request-id", "x-request-id: order-7", id, []hop.Kind{"(request-id-changed)"}, hop.Note, "another ID"},
		"a client's own ID that is lost":           {"request-id", "x-request-id: order-7", "", []hop.Kind{"(request-id-lost)"}, hop.Note, "was lost"},
		"a property of baggage":                    {"baggage", "baggage: a=1;p=2", "baggage: a=1;p=3", []hop.Kind{hop.StateLost}, hop.Lost, "with the properties"},
		"the same decision beside b3":              {"b3", "b3: " + trace + "-" + span + "-1", "b3: " + trace + "-" + span + "-1\nx-b3-sampled: 1", []hop.Kind{}, hop.Note, ""},
		"another decision beside b3":               {"b3", "b3: " + trace + "-" + span + "-1", "b3: " + trace + "-" + span + "-1\nx-b3-sampled: 0", []hop.Kind{hop.NoInvented}, hop.Broken, "x-b3-* says not sampled"},
		"Jaeger's zeros":                           {"jaeger", "uber-trace-id: " + trace[16:] + ":" + span + ":0:1", "uber-trace-id: 0000000000000000" + trace[16:] + ":" + span + ":0:1", []hop.Kind{}, hop.Note, ""},
		"the random flag":                          {"w3c", w3c(span, "03"), w3c(fresh, "01"), []hop.Kind{"(random-flag-lost)"}, hop.Note, "the random flag"},
		"X-Ray without a parent":                   {"xray", xray(";Parent=" + span), xray(""), []hop.Kind{"(torn)"}, hop.Note, "and no span any more"},
		"another trace of Datadog's, without tags": {"datadog", "x-datadog-trace-id: 7\nx-datadog-parent-id: 8\nx-datadog-sampling-priority: 1\nx-datadog-tags: _dd.p.tid=" + trace[:16], "x-datadog-trace-id: 9\nx-datadog-parent-id: 8\nx-datadog-sampling-priority: 1", []hop.Kind{hop.OtherTrace}, hop.Broken, "names another trace"},
		"a malformed header that is dropped":       {"b3", "x-b3-sampled: maybe", "", []hop.Kind{}, hop.Note, ""},
		"a malformed header that is made":          {"b3", "", "b3: hello", []hop.Kind{hop.Malformed}, hop.Broken, "cannot be read"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := hop.Judge(header(test.sent), header(test.arrived), hop.Expect{Families: families(test.families), Sidecars: true})
			assert.Equal(t, test.kinds, kinds(got.Faults), "%+v", got.Faults)
			assert.Equal(t, test.worst, got.Worst())
			if test.says != "" {
				assert.Contains(t, got.Faults[0].What, test.says)
			}
		})
	}
}

func TestAValueOfAnotherRequestIsTold(t *testing.T) {
	sent := header(sampled)
	arrived := header(strings.Replace(sampled, span, fresh, 1))
	faults := hop.Judge(sent, arrived, hop.Expect{Families: istio, Foreign: func(v string) bool { return v == fresh }}).Faults
	assert.Equal(t, []hop.Kind{hop.Mixed}, kinds(faults))
}

func TestAllFormatsOfATraceNameTheSamePlace(t *testing.T) {
	for _, made := range []hop.Trace{hop.NewTrace(rand.Reader), hop.NewTrace(rand.Reader).Decided(wire.Denied), hop.NewTrace(rand.Reader).Short()} {
		positions := wire.Read(made.Header(hop.Headers(hop.Known)...))
		assert.Len(t, positions, 9)
		for _, p := range positions {
			assert.NoError(t, p.Err)
			if p.Format == wire.SkyWalking {
				continue
			}
			assert.Equal(t, made.Span, p.Span, p.Format)
			assert.Equal(t, wire.Pad(made.ID), wire.Pad(p.Trace), p.Format)
			assert.Equal(t, made.Decision, p.Decision, p.Format)
		}
	}
	reason, ok := wire.TraceReason(hop.NewTrace(rand.Reader).RequestID)
	assert.True(t, ok)
	assert.Equal(t, byte('9'), reason)
}

// Whatever arrives can be judged, and what arrives as it was sent is right.
func FuzzJudge(f *testing.F) {
	f.Add(sampled, sampled, byte(1))
	f.Add(sampled, "b3: "+trace+"-"+fresh+"-1", byte(3))
	f.Add("b3: d\ntraceparent: 00-"+trace+"-"+span+"-01", "x-b3-flags: 1\ntracestate: ", byte(2))
	f.Add("x-b3-sampled: 1", "x-b3-sampled: 0\nx-b3-traceid: "+trace+"\nx-b3-spanid: "+span, byte(0))
	f.Add("sw8: 1-VFJBQ0VJRA==-U0VHTUVOVElE-3-a-b-c-d", "sw8: 1-VFJBQ0VJRB==-U0VHTUVOVElE-3-a-b-c-d\nx-envoy-a: b", byte(4))
	f.Add("x-datadog-trace-id: 1\nx-datadog-tags: a=b", "x-datadog-trace-id: 1\nx-datadog-parent-id: 2", byte(0))
	f.Add("baggage: a=b;c", "baggage: a=%zz", byte(0))
	f.Fuzz(func(t *testing.T, sent, arrived string, spans byte) {
		in, out := header(sent), header(arrived)
		want := hop.Expect{Families: hop.Known, Spans: hop.Spans(spans % 4), Sidecars: spans&4 != 0}
		got := hop.Judge(in, out, want)
		for _, f := range got.Faults {
			if f.What == "" || f.Rule() == "" || f.Why() == "" || f.Do(hop.Clues{}) == "" || len(f.Headers) == 0 {
				t.Errorf("%q -> %q: %+v", sent, arrived, f)
			}
		}
		for _, values := range in {
			if slices.Contains(values, "") {
				return
			}
		}
		want.Spans = hop.NoSpans
		if got := hop.Judge(in, in, want); len(got.Faults) > 0 {
			t.Errorf("%q, as it was sent: %+v", sent, got.Faults)
		}
	})
}
