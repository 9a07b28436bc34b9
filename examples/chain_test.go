package examples_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

// chained are the services that a chain is made of: some relay only, some have
// otelhttp and no SDK, some an SDK that samples this or that.
var chained = []struct {
	name    string
	relays  bool
	sampler sdktrace.Sampler
}{
	{name: "relay", relays: true},
	{name: "no SDK"},
	{name: "samples nothing", sampler: sdktrace.NeverSample()},
	{name: "records only", sampler: recordOnly{}},
	{name: "samples all", sampler: sdktrace.AlwaysSample()},
	{name: "samples as the parent", sampler: sdktrace.ParentBased(sdktrace.AlwaysSample())},
}

// TestAChainOfServicesStaysOneTraceWhateverTheyAreMadeOf sends one request
// through three services of random kinds, in random formats, and compares what
// arrives at the end with what was exported on the way.
func TestAChainOfServicesStaysOneTraceWhateverTheyAreMadeOf(t *testing.T) {
	for i := range 300 {
		t.Run(fmt.Sprintf("seed %d", i), func(t *testing.T) {
			t.Parallel()
			runChain(t, rand.New(rand.NewPCG(uint64(i), 0))) //nolint:gosec // Repeatable is what it has to be.
		})
	}
}

func runChain(t *testing.T, random *rand.Rand) {
	in, id := randomRequest(random)
	var story []string
	exporter := tracetest.NewInMemoryExporter()
	up := newUpstream()
	url := serve(t, up)
	for range 3 {
		kind := chained[random.IntN(len(chained))]
		order := append([]stack{alone}, stacked...)[random.IntN(3)]
		propagator := []otelprop.Propagator{b3First, w3cFirst}[random.IntN(2)]
		h := hop{propagator: propagator, nested: [2]bool{random.IntN(4) == 0, random.IntN(4) == 0}}
		if random.IntN(3) == 0 {
			h.relay = middleware.Relay(propagation.Istio())
		}
		story = append(story, fmt.Sprintf("%s, %s, w3c first %v, nested %v, in Relay %v", kind.name, order.name, propagator.Families == w3cFirst.Families, h.nested, h.relay != nil))

		if kind.relays {
			client := &http.Client{Transport: &middleware.Transport{Base: newTransport(t)}}
			next := url
			url = serve(t, middleware.Relay(propagation.Istio())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				call(r.Context(), t, client, next, http.Header{})
			})))
			continue
		}
		provider, _ := noopSDK.provider(t)
		if kind.sampler != nil {
			provider = sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter), sdktrace.WithSampler(kind.sampler))
		}
		url = serve(t, h.service(t, order, provider, url))
	}
	slices.Reverse(story)
	request(t, url, in)
	require.Len(t, up.arrived, 1)
	arrived := <-up.arrived
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("in:\n\t%s\nthrough:\n\t%s\narrived: %v", strings.Join(in, "\n\t"), strings.Join(story, "\n\t"), arrived)
		}
	})

	// What was exported is one tree below the inbound span.
	spans := exporter.GetSpans()
	exported := map[string]bool{spanID: true}
	for _, s := range spans {
		exported[s.SpanContext.SpanID().String()] = true
		assert.Equal(t, id, s.SpanContext.TraceID().String(), "a span of another trace was exported")
	}
	for _, s := range spans {
		assert.Contains(t, exported, s.Parent.SpanID().String(), "%s has a parent that nobody exported", s.SpanKind)
	}

	// What arrives is the innermost of them, in B3, as it came in, and in W3C.
	parent := spanID
	if last := innermost(spans); last != "" {
		parent = last
		both := headers(in...)
		both.Set("traceparent", "")
		if both.Get("b3") == "" {
			both.Set("x-b3-traceid", "")
			both.Set("x-b3-spanid", "")
		}
		assert.Equal(t, names(both), names(arrived), "the formats")
	} else {
		assert.Equal(t, headers(in...), arrived, "nothing was exported, so nothing may change")
	}
	for format, got := range idsOf(arrived) {
		assert.Equal(t, id, got.trace, "%s is of another trace", format)
		assert.Equal(t, parent, got.span, "%s names another parent", format)
	}
	for name, values := range arrived {
		assert.NotEmpty(t, values, name)
		assert.NotContains(t, values, "", name)
	}
	if short := len(headers(in...).Get("x-b3-traceid")) == 16; short {
		assert.Len(t, arrived.Get("x-b3-traceid"), 16)
	}
}

// randomRequest returns trace headers that agree, and their trace ID as
// OpenTelemetry writes it.
func randomRequest(random *rand.Rand) (in []string, id string) {
	id = traceID
	b3ID := traceID
	if random.IntN(4) == 0 {
		b3ID, id = shortID, "0000000000000000"+shortID
	}
	// Of a decision, how each format writes it.
	decision := []struct{ multi, single, flags string }{
		{"x-b3-sampled: 1", "-1", "01"}, {"x-b3-sampled: 0", "-0", "00"}, {"x-b3-flags: 1", "-d", "01"}, {"", "", "00"},
	}[random.IntN(4)]
	formats := 1 + random.IntN(7)
	if formats&1 != 0 {
		in = multi(b3ID, spanID)
		if decision.multi != "" {
			in = append(in, decision.multi)
		}
	}
	if formats&2 != 0 {
		in = append(in, "b3: "+b3ID+"-"+spanID+decision.single)
	}
	if formats&4 != 0 {
		in = append(in, "traceparent: 00-"+id+"-"+spanID+"-"+decision.flags)
		if random.IntN(2) == 0 {
			in = append(in, "tracestate: vendor=1")
		}
	}
	if random.IntN(2) == 0 {
		in = append(in, requestID, otSpan)
	}
	return in, id
}

// innermost returns the ID of the exported client's span that no other is
// below, or "" if nothing was exported.
func innermost(spans tracetest.SpanStubs) string {
	parents := make(map[trace.SpanID]bool)
	for _, s := range spans {
		parents[s.Parent.SpanID()] = true
	}
	for _, s := range spans {
		if s.SpanKind == trace.SpanKindClient && !parents[s.SpanContext.SpanID()] {
			return s.SpanContext.SpanID().String()
		}
	}
	return ""
}

// names are those of the headers that came, without what says the decision,
// which is each service's own.
func names(h http.Header) (names []string) {
	for name := range h {
		if name != "X-B3-Sampled" && name != "X-B3-Flags" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

type ids struct{ trace, span string }

// idsOf returns the IDs in h by format, trace IDs of 16 digits padded.
func idsOf(h http.Header) map[string]ids {
	all := make(map[string]ids)
	add := func(format, trace, span string) {
		all[format] = ids{strings.Repeat("0", max(0, 32-len(trace))) + trace, span}
	}
	if v := h.Get("x-b3-traceid"); v != "" {
		add("x-b3-*", v, h.Get("x-b3-spanid"))
	}
	if v := strings.Split(h.Get("b3"), "-"); len(v) > 1 {
		add("b3", v[0], v[1])
	}
	if v := strings.Split(h.Get("traceparent"), "-"); len(v) > 2 {
		add("traceparent", v[1], v[2])
	}
	return all
}
