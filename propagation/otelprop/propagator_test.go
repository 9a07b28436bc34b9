package otelprop_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/propagators/b3"
	otelpropagation "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

const (
	inTrace      = "463ac35c9f6413ad48485a3953bb6124"
	inSpan       = "a2fb4a1d1a96d312"
	ownSpan      = "0badc0ffee000001" // spanID
	otherTrace   = "0af7651916cd43dd8448eb211c80319c"
	otherSpan    = "b7ad6b7169203331"
	shortTrace   = "48485a3953bb6124"
	paddedTrace  = "0000000000000000" + shortTrace
	inParent     = "00-" + inTrace + "-" + inSpan + "-01"
	ownParent    = "00-" + inTrace + "-" + ownSpan + "-01"
	otherParent  = "00-" + otherTrace + "-" + otherSpan + "-01"
	ownUnsampled = "00-" + otherTrace + "-" + ownSpan + "-00"
)

func id(t *testing.T, hex string) trace.TraceID {
	t.Helper()
	traceID, err := trace.TraceIDFromHex(hex)
	require.NoError(t, err)
	return traceID
}

func inject(h propagation.Headers) http.Header {
	out := http.Header{}
	h.Inject(out)
	return out
}

func httptestRequest(pairs ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Add(pairs[i], pairs[i+1])
	}
	return r
}

// header makes a header of "name: value" lines.
func header(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

func TestExtractKeepsTheSnapshotAndSetsTheRemoteParent(t *testing.T) {
	for name, row := range map[string]struct {
		families propagation.Families
		in       http.Header
		parent   string // as a traceparent
		state    string
	}{
		"B3 before W3C in Istio's list":           {in: header("b3: "+inTrace+"-"+inSpan+"-1", "traceparent: "+otherParent), parent: inParent},
		"W3C before B3 where it is listed first":  {families: propagation.Of(propagation.W3C, propagation.B3), in: header("b3: "+inTrace+"-"+inSpan+"-1", "traceparent: "+otherParent), parent: otherParent},
		"b3 before x-b3-*":                        {in: header("b3: "+inTrace+"-"+inSpan+"-1", "x-b3-traceid: "+otherTrace, "x-b3-spanid: "+otherSpan), parent: inParent},
		"a short trace ID is padded":              {in: header("x-b3-traceid: "+shortTrace, "x-b3-spanid: "+inSpan), parent: "00-" + paddedTrace + "-" + inSpan + "-00"},
		"the next family when the first is none":  {in: header("b3: x", "traceparent: "+otherParent), parent: otherParent},
		"no family outside the list":              {families: propagation.Of(propagation.RequestID, propagation.W3C), in: header("b3: " + inTrace + "-" + inSpan + "-1")},
		"no decision without IDs":                 {in: header("x-b3-sampled: 1")},
		"tracestate comes with its trace":         {in: header("traceparent: "+inParent, "tracestate: a=1", "tracestate: b=2"), parent: inParent, state: "a=1,b=2"},
		"also when B3 of the same trace was read": {in: header("b3: "+inTrace+"-"+inSpan+"-1", "traceparent: "+inParent, "tracestate: a=1"), parent: inParent, state: "a=1"},
		"but not from another trace":              {in: header("b3: "+inTrace+"-"+inSpan+"-1", "traceparent: "+otherParent, "tracestate: a=1"), parent: inParent},
		"an invalid tracestate harms nothing":     {in: header("traceparent: "+inParent, "tracestate: ,=,"), parent: inParent},
		"a traceparent of a later version":        {in: header("traceparent: cc-" + inTrace + "-" + inSpan + "-01-what-the-future-holds"), parent: inParent},
	} {
		t.Run(name, func(t *testing.T) {
			p := otelprop.Propagator{Families: row.families}
			ctx := p.Extract(context.Background(), otelpropagation.HeaderCarrier(row.in))
			sc := trace.SpanContextFromContext(ctx)
			assert.Equal(t, row.state, sc.TraceState().String())
			if row.parent == "" {
				assert.False(t, sc.IsValid())
			} else {
				assert.True(t, sc.IsRemote())
				out := http.Header{}
				otelpropagation.TraceContext{}.Inject(ctx, otelpropagation.HeaderCarrier(out))
				assert.Equal(t, row.parent, out.Get("traceparent"))
			}
			assert.Equal(t, inject(row.families.Extract(row.in)), inject(propagation.FromContext(ctx)))
		})
	}
	t.Run("nothing in leaves the context as it is", func(t *testing.T) {
		ctx := context.Background()
		assert.Equal(t, ctx, otelprop.Propagator{}.Extract(ctx, otelpropagation.HeaderCarrier{"Accept": {"*/*"}}))
	})
}

// injected is a row of a test of Inject: with the span, if any, that a service
// has put into the context of a request that came in.
type injected struct {
	p    otelprop.Propagator
	in   http.Header
	span func(context.Context) context.Context
	dst  http.Header // what the outgoing request has already
	out  http.Header
}

func (row injected) check(t *testing.T) {
	t.Helper()
	ctx := row.p.Extract(context.Background(), otelpropagation.HeaderCarrier(row.in))
	if row.span != nil {
		ctx = row.span(ctx)
	}
	if row.dst == nil {
		row.dst = http.Header{}
	}
	row.p.Inject(ctx, otelpropagation.HeaderCarrier(row.dst))
	assert.Equal(t, row.out, row.dst)
}

// span returns a function that starts a span here.
func span(t *testing.T, traceID string, sampled bool) func(context.Context) context.Context {
	return func(ctx context.Context) context.Context { return withSpan(ctx, id(t, traceID), sampled) }
}

// multi is a request in x-b3-*, with these lines beside it.
func multi(lines ...string) http.Header {
	return header(append([]string{
		"x-b3-traceid: " + inTrace, "x-b3-spanid: " + inSpan, "x-b3-parentspanid: 0020000000000001", "x-b3-sampled: 1",
	}, lines...)...)
}

// ownMulti is the service's own span in x-b3-*, with these lines beside it.
func ownMulti(lines ...string) http.Header {
	return header(append([]string{"x-b3-traceid: " + inTrace, "x-b3-spanid: " + ownSpan, "x-b3-sampled: 1"}, lines...)...)
}

func TestInjectPrefersASampledSpanThenWhatCameInThenTheSpanThatIsThere(t *testing.T) {
	for name, row := range map[string]injected{
		"a sampled span is the parent, in x-b3-* when these came in, and in traceparent": {
			in: multi("x-request-id: r"), span: span(t, inTrace, true),
			out: header("x-request-id: r", "x-b3-traceid: "+inTrace, "x-b3-spanid: "+ownSpan, "x-b3-sampled: 1", "traceparent: "+ownParent),
		},
		"nothing where neither is listed": {
			p: otelprop.Propagator{Families: propagation.Of(propagation.RequestID)}, in: multi("x-request-id: r"), span: span(t, inTrace, true),
			out: header("x-request-id: r"),
		},
		"outside any request too": {
			in: header(), span: span(t, inTrace, true),
			out: header("x-b3-traceid: "+inTrace, "x-b3-spanid: "+ownSpan, "x-b3-sampled: 1", "traceparent: "+ownParent),
		},
		"an unsampled span is no parent: what came in goes out": {
			in: multi("x-request-id: r", "traceparent: "+otherParent, "x-ot-span-context: o"), span: span(t, inTrace, false),
			out: multi("x-request-id: r", "traceparent: "+otherParent, "x-ot-span-context: o"),
		},
		"no span at all: what came in goes out": {
			in:  multi("x-request-id: r", "b3: malformed"),
			out: multi("x-request-id: r", "b3: malformed"),
		},
		"an unsampled span of another trace on purpose: its IDs, not sampled": {
			in: multi("x-request-id: r", "traceparent: "+inParent, "tracestate: a=1"), span: span(t, otherTrace, false),
			out: header("x-request-id: r", "x-b3-traceid: "+otherTrace, "x-b3-spanid: "+ownSpan, "x-b3-sampled: 0",
				"traceparent: "+ownUnsampled),
		},
		"an unsampled span outside any trace: its IDs, not sampled": {
			in: header("x-request-id: r"), span: span(t, otherTrace, false),
			out: header("x-request-id: r", "x-b3-traceid: "+otherTrace, "x-b3-spanid: "+ownSpan, "x-b3-sampled: 0", "traceparent: "+ownUnsampled),
		},
		"neither span nor trace: nothing is invented": {
			in:  header("x-request-id: r"),
			out: header("x-request-id: r"),
		},
		"a remote span that another propagator found is that one's to pass on": {
			in: header("x-request-id: r"), span: func(ctx context.Context) context.Context {
				return otelpropagation.TraceContext{}.Extract(ctx, otelpropagation.HeaderCarrier(header("traceparent: "+otherParent)))
			},
			out: header("x-request-id: r"),
		},
		"debug survives in the trace it was asked for": {
			in: header("x-b3-traceid: "+inTrace, "x-b3-spanid: "+inSpan, "x-b3-flags: 1"), span: span(t, inTrace, true),
			out: header("x-b3-traceid: "+inTrace, "x-b3-spanid: "+ownSpan, "x-b3-flags: 1", "traceparent: "+ownParent),
		},
		"and in no other": {
			in: header("b3: " + inTrace + "-" + inSpan + "-d"), span: span(t, otherTrace, true),
			out: header("b3: "+otherTrace+"-"+ownSpan+"-1", "traceparent: 00-"+otherTrace+"-"+ownSpan+"-01"),
		},
		"what is relayed gives way to the caller's choice": {
			in:  multi("x-request-id: r"),
			dst: header("b3: 0", "x-request-id: mine"),
			out: header("b3: 0", "x-request-id: mine"),
		},
		"families that cannot be rewritten go out as they came": {
			p:  otelprop.Propagator{Families: propagation.Istio().With(propagation.XRay, propagation.Jaeger, propagation.Datadog)},
			in: header("x-amzn-trace-id: Root=1-5", "uber-trace-id: 1:2:0:1", "x-datadog-trace-id: 5", "x-ot-span-context: o", "b3: 1"), span: span(t, inTrace, true),
			out: header("x-amzn-trace-id: Root=1-5", "uber-trace-id: 1:2:0:1", "x-datadog-trace-id: 5", "x-ot-span-context: o",
				"b3: "+inTrace+"-"+ownSpan+"-1", "traceparent: "+ownParent),
		},
		"a malformed B3 is not passed on as a trace": {
			in:  header("b3: x", "x-request-id: r"),
			out: header("x-request-id: r"),
		},
	} {
		t.Run(name, row.check)
	}
}

func TestReencodingWritesB3AndW3CAndNothingStaleBesideThem(t *testing.T) {
	w3cFirst := propagation.Of(propagation.RequestID, propagation.W3C, propagation.B3)
	for name, row := range map[string]injected{
		"in b3 when that came in": {
			in: header("b3: " + inTrace + "-" + inSpan + "-1-0020000000000001"), span: span(t, inTrace, true),
			out: header("b3: "+inTrace+"-"+ownSpan+"-1", "traceparent: "+ownParent),
		},
		"in x-b3-* when only traceparent came in, tracestate kept": {
			in: header("traceparent: "+inParent, "tracestate: a=1"), span: span(t, inTrace, true),
			out: ownMulti("traceparent: "+ownParent, "tracestate: a=1"),
		},
		"in both forms of B3 that came in": {
			in: multi("b3: "+inTrace+"-"+inSpan+"-1", "traceparent: "+inParent), span: span(t, inTrace, true),
			out: ownMulti("b3: "+inTrace+"-"+ownSpan+"-1", "traceparent: "+ownParent),
		},
		"a form that came in malformed is still the one that is spoken": {
			in: header("b3: x"), span: span(t, inTrace, true),
			out: header("b3: "+inTrace+"-"+ownSpan+"-1", "traceparent: "+ownParent),
		},
		"in x-b3-* where none came in": {
			in: header("x-request-id: r"), span: span(t, inTrace, true),
			out: ownMulti("x-request-id: r", "traceparent: "+ownParent),
		},
		"the same where W3C is believed first": {
			p: otelprop.Propagator{Families: w3cFirst}, in: header("x-request-id: r"), span: span(t, inTrace, true),
			out: ownMulti("x-request-id: r", "traceparent: "+ownParent),
		},
		"no B3 where it is not listed": {
			p: otelprop.Propagator{Families: propagation.Of(propagation.W3C)}, in: multi(), span: span(t, inTrace, true),
			out: header("traceparent: " + ownParent),
		},
		"no traceparent where it is not listed": {
			p: otelprop.Propagator{Families: propagation.Of(propagation.B3)}, in: header("traceparent: " + inParent), span: span(t, inTrace, true),
			out: ownMulti(),
		},
		"Encoding chooses b3 for what is started here": {
			p: otelprop.Propagator{Encoding: b3.B3SingleHeader}, in: header(), span: span(t, inTrace, true),
			out: header("b3: "+inTrace+"-"+ownSpan+"-1", "traceparent: "+ownParent),
		},
		"and in place of the form that came in": {
			p: otelprop.Propagator{Encoding: b3.B3SingleHeader}, in: multi("traceparent: " + inParent), span: span(t, inTrace, true),
			out: header("b3: "+inTrace+"-"+ownSpan+"-1", "traceparent: "+ownParent),
		},
		"or both": {
			p: otelprop.Propagator{Encoding: b3.B3SingleHeader | b3.B3MultipleHeader}, in: header("b3: 1"), span: span(t, inTrace, true),
			out: ownMulti("b3: "+inTrace+"-"+ownSpan+"-1", "traceparent: "+ownParent),
		},
		"the random flag is kept": {
			in: header("traceparent: 00-" + inTrace + "-" + inSpan + "-03"), span: span(t, inTrace, true),
			out: ownMulti("traceparent: 00-" + inTrace + "-" + ownSpan + "-03"),
		},
		"also where B3 is the parent": {
			in: multi("traceparent: 00-" + inTrace + "-" + inSpan + "-03"), span: span(t, inTrace, true),
			out: ownMulti("traceparent: 00-" + inTrace + "-" + ownSpan + "-03"),
		},
		"but not in another trace": {
			in: header("traceparent: 00-" + inTrace + "-" + inSpan + "-03"), span: span(t, otherTrace, false),
			out: header("x-b3-traceid: "+otherTrace, "x-b3-spanid: "+ownSpan, "x-b3-sampled: 0", "traceparent: "+ownUnsampled),
		},
		"flags that nobody knows are not": {
			in: header("traceparent: 00-" + inTrace + "-" + inSpan + "-fd"), span: span(t, inTrace, true),
			out: ownMulti("traceparent: 00-" + inTrace + "-" + ownSpan + "-01"),
		},
		"nor are those that a span has": {
			in: header("traceparent: " + inParent),
			span: func(ctx context.Context) context.Context {
				ctx = withSpan(ctx, id(t, inTrace), true)
				return trace.ContextWithSpanContext(ctx, trace.SpanContextFromContext(ctx).WithTraceFlags(0xfd))
			},
			out: ownMulti("traceparent: " + ownParent),
		},
		"a tracestate that came in two lines goes out in two": {
			in: header("traceparent: "+inParent, "tracestate: a=1 ,b=2", "tracestate: c=3,"), span: span(t, inTrace, true),
			out: ownMulti("traceparent: "+ownParent, "tracestate: a=1 ,b=2", "tracestate: c=3,"),
		},
		"one that OpenTelemetry cannot read, too": {
			in: header("traceparent: "+inParent, "tracestate: foo@=1,foo@=2,0a=3"), span: span(t, inTrace, true),
			out: ownMulti("traceparent: "+ownParent, "tracestate: foo@=1,foo@=2,0a=3"),
		},
		"one that is invalid is left out alone": {
			in: header("x-request-id: r", "traceparent: "+inParent, "tracestate: FOO=1"), span: span(t, inTrace, true),
			out: ownMulti("x-request-id: r", "traceparent: "+ownParent),
		},
		"one that the SDK changed goes out as the SDK says": {
			in: header("traceparent: "+inParent, "tracestate: a=1 , b=2"),
			span: func(ctx context.Context) context.Context {
				ctx = withSpan(ctx, id(t, inTrace), true)
				sc := trace.SpanContextFromContext(ctx)
				state, err := sc.TraceState().Insert("ot", "th:8")
				require.NoError(t, err)
				return trace.ContextWithSpanContext(ctx, sc.WithTraceState(state))
			},
			out: ownMulti("traceparent: "+ownParent, "tracestate: ot=th:8,a=1,b=2"),
		},
		"one of another trace stays behind": {
			in: header("traceparent: "+inParent, "tracestate: a=1"), span: span(t, otherTrace, true),
			out: header("x-b3-traceid: "+otherTrace, "x-b3-spanid: "+ownSpan, "x-b3-sampled: 1", "traceparent: 00-"+otherTrace+"-"+ownSpan+"-01"),
		},
		"a 16-digit trace ID stays 16 in B3 and is padded in traceparent": {
			in:   header("x-b3-traceid: "+shortTrace, "x-b3-spanid: "+inSpan, "b3: "+shortTrace+"-"+inSpan+"-1", "traceparent: 00-"+paddedTrace+"-"+inSpan+"-01"),
			span: span(t, paddedTrace, true),
			out: header("x-b3-traceid: "+shortTrace, "x-b3-spanid: "+ownSpan, "x-b3-sampled: 1", "b3: "+shortTrace+"-"+ownSpan+"-1",
				"traceparent: 00-"+paddedTrace+"-"+ownSpan+"-01"),
		},
		"nothing stale stays in a rewritten family, whatever its case": {
			in: multi(), span: span(t, inTrace, true),
			dst: http.Header{"X-B3-Parentspanid": {"0020000000000001"}, "B3": {"0"}, "x-b3-flags": {"1"}, "X-B3-Sampled": nil, "Accept": {"*/*"}, "Traceparent": {"mine"}},
			out: http.Header{"X-B3-Traceid": {inTrace}, "X-B3-Spanid": {ownSpan}, "X-B3-Sampled": {"1"}, "Accept": {"*/*"}, "Traceparent": {ownParent}},
		},
	} {
		t.Run(name, row.check)
	}
}

func TestOnlyASpanThatWasPutIntoAnotherTraceOnPurposeLeavesTheTrace(t *testing.T) {
	in := header("traceparent: "+inParent, "tracestate: a=1")
	own := header("x-b3-traceid: "+otherTrace, "x-b3-spanid: "+ownSpan, "x-b3-sampled: 0", "traceparent: "+ownUnsampled)
	p := otelprop.Propagator{}
	relayed := propagation.Istio().Incoming(httptestRequest("traceparent", inParent, "tracestate", "a=1")).Context()
	extracted := p.Extract(context.Background(), otelpropagation.HeaderCarrier(in))
	for name, row := range map[string]struct {
		ctx context.Context
		out http.Header
	}{
		"on purpose, since its parent was there to join":              {withSpan(extracted, id(t, otherTrace), false), own},
		"also in work that outlives the request":                      {withSpan(context.WithoutCancel(extracted), id(t, otherTrace), false), own},
		"not on purpose, since nobody told it of a parent":            {withSpan(relayed, id(t, otherTrace), false), in},
		"nor where the context that knew the parent was left":         {propagation.NewContext(withSpan(context.Background(), id(t, otherTrace), false), propagation.FromContext(extracted)), in},
		"a list that is read later does not change that":              {withSpan(propagation.Of(propagation.RequestID).Incoming(httptestRequest("x-request-id", "r").WithContext(extracted)).Context(), id(t, otherTrace), false), with(own, "x-request-id: r")},
		"a span of the same trace that is not sampled is no parent":   {withSpan(extracted, id(t, inTrace), false), in},
		"headers that name no parent, read in place of those, do not": {withSpan(p.Extract(extracted, otelpropagation.HeaderCarrier(header("traceparent: 00-malformed"))), id(t, otherTrace), false), own},
	} {
		t.Run(name, func(t *testing.T) {
			out := http.Header{}
			p.Inject(row.ctx, otelpropagation.HeaderCarrier(out))
			assert.Equal(t, row.out, out)
		})
	}
}

// with returns a copy of h with these lines.
func with(h http.Header, lines ...string) http.Header {
	h = h.Clone()
	for name, values := range header(lines...) {
		h[name] = values
	}
	return h
}

func TestNarrowingHolds(t *testing.T) {
	p := otelprop.Propagator{}
	in := multi("x-request-id: r", "traceparent: "+inParent, "tracestate: a=1", "x-ot-span-context: o")
	extracted := p.Extract(context.Background(), otelpropagation.HeaderCarrier(in))
	narrowed := propagation.NewContext(extracted, propagation.FromContext(extracted).Only(propagation.Of(propagation.RequestID)))
	for name, row := range map[string]struct {
		ctx context.Context
		out http.Header
	}{
		"without a span": {narrowed, header("x-request-id: r")},
		"with a span of the caller's trace that nobody records": {withSpan(narrowed, id(t, inTrace), false), header("x-request-id: r")},
		"with a new trace that is not sampled": {withSpan(narrowed, id(t, otherTrace), false),
			header("x-request-id: r", "x-b3-traceid: "+otherTrace, "x-b3-spanid: "+ownSpan, "x-b3-sampled: 0", "traceparent: "+ownUnsampled)},
		"to B3, W3C does not travel": {propagation.NewContext(extracted, propagation.FromContext(extracted).Only(propagation.Of(propagation.B3))), multi()},
	} {
		t.Run(name, func(t *testing.T) {
			out := http.Header{}
			p.Inject(row.ctx, otelpropagation.HeaderCarrier(out))
			assert.Equal(t, row.out, out)
		})
	}

	came := otelpropagation.MapCarrier{
		"x-b3-traceid": inTrace, "x-b3-spanid": inSpan, "x-b3-parentspanid": "0020000000000001", "x-b3-flags": "1",
		"b3": inTrace + "-" + inSpan + "-d", "traceparent": inParent, "tracestate": "a=1",
	}
	for name, row := range map[string]struct {
		p      otelprop.Propagator
		carry  func(otelpropagation.MapCarrier) otelpropagation.TextMapCarrier
		inject otelpropagation.MapCarrier
	}{
		"Extract and Inject through one map": {
			carry: func(m otelpropagation.MapCarrier) otelpropagation.TextMapCarrier { return m },
			inject: otelpropagation.MapCarrier{
				"x-b3-traceid": otherTrace, "x-b3-spanid": ownSpan, "x-b3-sampled": "1",
				"b3": otherTrace + "-" + ownSpan + "-1", "traceparent": "00-" + otherTrace + "-" + ownSpan + "-01",
			},
		},
		"and one that can only be set": {
			p:     otelprop.Propagator{Encoding: b3.B3SingleHeader},
			carry: func(m otelpropagation.MapCarrier) otelpropagation.TextMapCarrier { return onlySets{m} },
			inject: otelpropagation.MapCarrier{
				"x-b3-traceid": otherTrace, "x-b3-spanid": ownSpan, "x-b3-sampled": "1", "x-b3-parentspanid": "", "x-b3-flags": "0",
				"b3": otherTrace + "-" + ownSpan + "-1", "traceparent": "00-" + otherTrace + "-" + ownSpan + "-01", "tracestate": "",
			},
		},
		"also b3, which Envoy takes for a no where it is empty": {
			p:     otelprop.Propagator{Encoding: b3.B3MultipleHeader},
			carry: func(m otelpropagation.MapCarrier) otelpropagation.TextMapCarrier { return onlySets{m} },
			inject: otelpropagation.MapCarrier{
				"x-b3-traceid": otherTrace, "x-b3-spanid": ownSpan, "x-b3-sampled": "1", "x-b3-parentspanid": "", "x-b3-flags": "0",
				"b3": otherTrace + "-" + ownSpan + "-1", "traceparent": "00-" + otherTrace + "-" + ownSpan + "-01", "tracestate": "",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := maps.Clone(came)
			carrier := row.carry(m)
			ctx := row.p.Extract(context.Background(), carrier)
			row.p.Inject(withSpan(ctx, id(t, otherTrace), true), carrier)
			assert.Equal(t, row.inject, m)
		})
	}
	t.Run("a decision that debug implies is not turned round", func(t *testing.T) {
		m := maps.Clone(came)
		delete(m, "b3")
		m["x-b3-sampled"] = "1"
		carrier := onlySets{m}
		ctx := p.Extract(context.Background(), carrier)
		p.Inject(withSpan(ctx, id(t, inTrace), true), carrier)
		assert.Equal(t, otelpropagation.MapCarrier{
			"x-b3-traceid": inTrace, "x-b3-spanid": ownSpan, "x-b3-sampled": "1", "x-b3-parentspanid": "", "x-b3-flags": "1",
			"traceparent": ownParent, "tracestate": "a=1",
		}, m)
	})
}

// onlySets is a carrier that removes nothing, as most that libraries have.
type onlySets struct{ m otelpropagation.MapCarrier }

func (c onlySets) Get(name string) string { return c.m[name] }
func (c onlySets) Set(name, value string) { c.m[name] = value }
func (c onlySets) Keys() []string         { return c.m.Keys() }

func TestOfSeveralPropagatorsEachCarriesItsOwnAndTheParentStays(t *testing.T) {
	istio := otelprop.Propagator{}
	user := otelprop.Propagator{Families: propagation.Of(propagation.Custom("end-user"))}
	in := header("traceparent: "+inParent, "end-user: jason")
	for name, p := range map[string]otelpropagation.TextMapPropagator{
		"the parent is found first": otelpropagation.NewCompositeTextMapPropagator(istio, user),
		"the parent is found last":  otelpropagation.NewCompositeTextMapPropagator(user, istio),
	} {
		t.Run(name, func(t *testing.T) {
			ctx := p.Extract(context.Background(), otelpropagation.HeaderCarrier(in))
			for what, row := range map[string]struct {
				ctx context.Context
				out http.Header
			}{
				"what came in goes out": {ctx, in},
				"a trace that was begun on purpose is left to itself": {withSpan(ctx, id(t, otherTrace), false),
					header("x-b3-traceid: "+otherTrace, "x-b3-spanid: "+ownSpan, "x-b3-sampled: 0", "traceparent: "+ownUnsampled, "end-user: jason")},
			} {
				out := http.Header{}
				p.Inject(row.ctx, otelpropagation.HeaderCarrier(out))
				assert.Equal(t, row.out, out, what)
			}
		})
	}
	t.Run("what they read apart stays apart", func(t *testing.T) {
		p := otelpropagation.NewCompositeTextMapPropagator(
			otelprop.Propagator{Families: propagation.Of(propagation.B3)},
			otelprop.Propagator{Families: propagation.Of(propagation.W3C)})
		in := header("traceparent: "+inParent, "b3: "+otherTrace+"-"+otherSpan+"-1")
		ctx := p.Extract(context.Background(), otelpropagation.HeaderCarrier(in))
		out := http.Header{}
		p.Inject(withSpan(ctx, id(t, inTrace), false), otelpropagation.HeaderCarrier(out))
		assert.Equal(t, in, out)
		out = http.Header{}
		p.Inject(withSpan(ctx, id(t, inTrace), true), otelpropagation.HeaderCarrier(out))
		assert.Equal(t, header("traceparent: "+ownParent, "b3: "+inTrace+"-"+ownSpan+"-1"), out)
	})
}

func TestSamplingAloneTravels(t *testing.T) {
	for _, line := range []string{"x-b3-sampled: 0", "x-b3-sampled: 1", "x-b3-flags: 1", "b3: 0", "b3: 1", "b3: d", "x-b3-sampled: TRUE"} {
		t.Run(line, func(t *testing.T) {
			p := otelprop.Propagator{}
			ctx := p.Extract(context.Background(), otelpropagation.HeaderCarrier(header(line)))
			for what, ctx := range map[string]context.Context{
				"without a span":              ctx,
				"with a span that is dropped": withSpan(ctx, id(t, otherTrace), false),
			} {
				out := http.Header{}
				p.Inject(ctx, otelpropagation.HeaderCarrier(out))
				assert.Equal(t, header(line), out, what)
			}
			out := http.Header{}
			p.Inject(withSpan(ctx, id(t, otherTrace), true), otelpropagation.HeaderCarrier(out))
			own := header("x-b3-traceid: "+otherTrace, "x-b3-spanid: "+ownSpan, "x-b3-sampled: 1")
			if strings.HasPrefix(line, "b3") {
				own = header("b3: " + otherTrace + "-" + ownSpan + "-1")
			}
			assert.Equal(t, with(own, "traceparent: 00-"+otherTrace+"-"+ownSpan+"-01"), out)
		})
	}
}

func TestFamiliesOutsideTheListAreNeitherReadNorWritten(t *testing.T) {
	outer := propagation.Istio().With(propagation.Custom("end-user"))
	p := otelprop.Propagator{Families: propagation.Of(propagation.W3C)}
	r := httptestRequest("x-request-id", "r", "end-user", "jason", "b3", inTrace+"-"+inSpan+"-1", "traceparent", otherParent)
	ctx := p.Extract(outer.Incoming(r).Context(), otelpropagation.HeaderCarrier(r.Header))

	out := http.Header{}
	p.Inject(ctx, otelpropagation.HeaderCarrier(out))
	assert.Equal(t, header("traceparent: "+otherParent), out)
	assert.Equal(t, otherTrace, trace.SpanContextFromContext(ctx).TraceID().String())

	t.Run("nor is their trace joined where nothing else came in", func(t *testing.T) {
		r := httptestRequest("b3", inTrace+"-"+inSpan+"-1")
		ctx := p.Extract(outer.Incoming(r).Context(), otelpropagation.HeaderCarrier(r.Header))
		assert.False(t, trace.SpanContextFromContext(ctx).IsValid())
	})
	t.Run("but stay in the context for whoever relays them", func(t *testing.T) {
		propagation.FromContext(ctx).Inject(out)
		assert.Equal(t, header("x-request-id: r", "end-user: jason", "b3: "+inTrace+"-"+inSpan+"-1", "traceparent: "+otherParent), out)
	})
}

func TestOtherCarriersGetLowerCaseNamesAndFirstValues(t *testing.T) {
	p := otelprop.Propagator{}
	in := otelpropagation.MapCarrier{"x-request-id": "r", "x-b3-traceid": inTrace, "x-b3-spanid": inSpan, "x-b3-sampled": "1", "x-ot-span-context": "o"}
	ctx := p.Extract(context.Background(), in)
	require.Equal(t, inTrace, trace.SpanContextFromContext(ctx).TraceID().String())

	out := otelpropagation.MapCarrier{}
	p.Inject(ctx, out)
	assert.Equal(t, in, out)

	out = otelpropagation.MapCarrier{"x-ot-span-context": "mine"}
	p.Inject(withSpan(ctx, id(t, inTrace), true), out)
	assert.Equal(t, otelpropagation.MapCarrier{"x-request-id": "r", "x-b3-traceid": inTrace, "x-b3-spanid": ownSpan, "x-b3-sampled": "1",
		"traceparent": ownParent, "x-ot-span-context": "mine"}, out)

	t.Run("what is there already is not set again", func(t *testing.T) {
		out := &notingCarrier{MapCarrier: otelpropagation.MapCarrier{"x-ot-span-context": "mine", "x-request-id": "mine"}}
		p.Inject(ctx, out)
		assert.ElementsMatch(t, []string{"x-b3-traceid", "x-b3-spanid", "x-b3-sampled"}, out.set)
	})
	t.Run("a repeated header is read where the carrier can tell", func(t *testing.T) {
		in := multiCarrier{header("x-b3-traceid: "+inTrace, "x-b3-traceid: "+otherTrace, "x-b3-spanid: "+inSpan, "x-request-id: r", "x-request-id: q")}
		ctx := p.Extract(context.Background(), in)
		assert.False(t, trace.SpanContextFromContext(ctx).IsValid(), "a repeated ID is no parent")
		out := otelpropagation.MapCarrier{}
		p.Inject(ctx, out)
		assert.Equal(t, otelpropagation.MapCarrier{"x-request-id": "r"}, out)
	})
}

// notingCarrier notes what is set.
type notingCarrier struct {
	otelpropagation.MapCarrier
	set []string
}

func (c *notingCarrier) Set(name, value string) {
	c.set = append(c.set, name)
	c.MapCarrier.Set(name, value)
}

// multiCarrier is a carrier that keeps every value, and is not a HeaderCarrier.
type multiCarrier struct{ http.Header }

func (c multiCarrier) Set(name, value string) { c.Header.Set(name, value) }

func (c multiCarrier) Keys() []string { return otelpropagation.HeaderCarrier(c.Header).Keys() }

func TestASnapshotSharesNoMemoryThatItsOwnerReuses(t *testing.T) {
	for name, row := range map[string]struct {
		ctx     context.Context
		carrier func(value string) otelpropagation.TextMapCarrier
		shares  bool
	}{
		"a map": {ctx: t.Context(), carrier: func(v string) otelpropagation.TextMapCarrier { return otelpropagation.MapCarrier{"x-request-id": v} }},
		"a header": {ctx: t.Context(), carrier: func(v string) otelpropagation.TextMapCarrier {
			return otelpropagation.HeaderCarrier{"X-Request-Id": {v}}
		}},
		"but a header of net/http's server, whose strings never change": {
			ctx: context.WithValue(t.Context(), http.ServerContextKey, &http.Server{}),
			carrier: func(v string) otelpropagation.TextMapCarrier {
				return otelpropagation.HeaderCarrier{"X-Request-Id": {v}}
			},
			shares: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			buffer := []byte("request one")
			ctx := otelprop.Propagator{}.Extract(row.ctx, row.carrier(unsafe.String(&buffer[0], len(buffer))))
			copy(buffer, "request two")
			want := "request one"
			if row.shares {
				want = "request two"
			}
			assert.Equal(t, want, propagation.FromContext(ctx).Get("x-request-id"))
		})
	}
}

func TestFieldsAreTheNamesThatInjectMaySet(t *testing.T) {
	assert.Equal(t, []string{
		"x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "b3",
		"traceparent", "tracestate", "x-ot-span-context",
	}, otelprop.Propagator{}.Fields())
	otelprop.Propagator{}.Fields()[0] = "changed"
	assert.Equal(t, "x-request-id", otelprop.Propagator{}.Fields()[0])
}

func TestOtherHeadersOfTheCallCostNoAllocation(t *testing.T) {
	p := otelprop.Propagator{}
	ctx := withSpan(p.Extract(context.Background(), otelpropagation.HeaderCarrier(multi())), id(t, inTrace), true)
	allocs := func(others ...string) float64 {
		out := header(others...)
		p.Inject(ctx, otelpropagation.HeaderCarrier(out)) // makes room in the map
		return testing.AllocsPerRun(100, func() { p.Inject(ctx, otelpropagation.HeaderCarrier(out)) })
	}
	assert.Equal(t, allocs(), allocs("Accept: */*", "User-Agent: test", "X-Forwarded-For: 10.1.2.3"))
}

func BenchmarkPropagator(b *testing.B) {
	in := header("x-request-id: r", "x-b3-traceid: "+inTrace, "x-b3-spanid: "+inSpan, "x-b3-parentspanid: 0020000000000001", "x-b3-sampled: 1")
	traceID, _ := trace.TraceIDFromHex(inTrace)
	for name, span := range map[string]func(context.Context) context.Context{
		"no span":     func(ctx context.Context) context.Context { return ctx },
		"not sampled": func(ctx context.Context) context.Context { return withSpan(ctx, traceID, false) },
		"sampled":     func(ctx context.Context) context.Context { return withSpan(ctx, traceID, true) },
	} {
		for who, p := range map[string]otelpropagation.TextMapPropagator{
			"ours":       otelprop.Propagator{},
			"contrib b3": b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader)),
		} {
			b.Run(name+"/"+who, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					ctx := p.Extract(context.Background(), otelpropagation.HeaderCarrier(in))
					p.Inject(span(ctx), otelpropagation.HeaderCarrier{})
				}
			})
		}
	}
}
