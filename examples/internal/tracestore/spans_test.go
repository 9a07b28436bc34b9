package tracestore_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/examples/internal/tracestore"
)

const (
	longID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	shortID = "0000000000000000a3ce929d0e0e4736"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// stored returns a store of the two traces that the tests ask about: one
// through four services with all that a span can hold, and a lone span that
// failed in a trace with a 64-bit ID.
func stored(t testing.TB) *tracestore.Store {
	t.Helper()
	store := &tracestore.Store{}
	require.NoError(t, store.ExportSpans(t.Context(), twoTraces(t)))
	return store
}

func twoTraces(t testing.TB) []sdktrace.ReadOnlySpan {
	t.Helper()
	state, err := trace.ParseTraceState("congo=t61rcWkgMzE")
	require.NoError(t, err)
	scope := instrumentation.Scope{Name: "example.org/http", Version: "1.2.3"}
	at := func(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

	return tracetest.SpanStubs{
		{
			Name: "GET", SpanKind: trace.SpanKindClient,
			SpanContext: spanContext(t, longID, "00000000000000a1", state),
			StartTime:   at(0), EndTime: at(40),
			Resource:             service("sleep"),
			InstrumentationScope: scope,
			Attributes: []attribute.KeyValue{
				attribute.String("url.full", "http://flaskapp/fetch_with_trace?url=http://httpbin:8000/ip&a=<b>"),
				attribute.Int("http.response.status_code", 200),
				attribute.Int64("beyond.javascript", math.MaxInt64),
				attribute.Int64("below.javascript", math.MinInt64),
				attribute.Float64("ratio", 0.25),
				attribute.Float64("huge", 1e21),
				attribute.Bool("cached", false),
				attribute.StringSlice("http.request.header.x-request-id", []string{"a", `b"c`}),
				attribute.Int64Slice("numbers", []int64{1, 2}),
				attribute.BoolSlice("flags", []bool{true, false}),
				attribute.Float64Slice("ratios", []float64{0.5, 1}),
				attribute.ByteSlice("bytes", []byte{0, 1, 254}),
				attribute.String("empty", ""),
			},
		},
		{
			Name: "GET /fetch_with_trace", SpanKind: trace.SpanKindServer,
			SpanContext: spanContext(t, longID, "00000000000000b1", state),
			Parent:      spanContext(t, longID, "00000000000000a1", state).WithRemote(true),
			StartTime:   at(5), EndTime: at(35),
			Resource:             service("flaskapp", attribute.String("service.version", "v1")),
			InstrumentationScope: scope,
			Events: []sdktrace.Event{
				{Name: "resolved", Time: at(6), Attributes: []attribute.KeyValue{attribute.String("zone", "a"), attribute.String("address", "127.0.0.1")}},
				{Name: "renamed", Time: at(7), Attributes: []attribute.KeyValue{attribute.String("event", "its own name")}},
			},
			Status: sdktrace.Status{Code: codes.Ok},
		},
		{
			Name: "GET", SpanKind: trace.SpanKindClient,
			SpanContext: spanContext(t, longID, "00000000000000b2", state),
			Parent:      spanContext(t, longID, "00000000000000b1", state),
			StartTime:   at(10), EndTime: at(30),
			Resource:             service("flaskapp", attribute.String("service.version", "v1")),
			InstrumentationScope: scope,
			Links: []sdktrace.Link{
				{SpanContext: spanContext(t, shortID, "00000000000000d1", trace.TraceState{})},
				{SpanContext: spanContext(t, longID, "00000000000000b1", state)},
				{
					SpanContext: spanContext(t, longID, "00000000000000a1", state),
					Attributes:  []attribute.KeyValue{attribute.String("opentracing.ref_type", "child_of")},
				},
			},
		},
		{
			Name: "GET /fetch_with_trace", SpanKind: trace.SpanKindServer,
			SpanContext: spanContext(t, longID, "00000000000000b3", trace.TraceState{}),
			Parent:      spanContext(t, longID, "00000000000000b2", trace.TraceState{}).WithRemote(true),
			StartTime:   at(12), EndTime: at(28),
			Resource: service("flaskapp", attribute.String("service.version", "v2")),
		},
		{
			Name: "GET /ip", SpanKind: trace.SpanKindServer,
			SpanContext: spanContext(t, longID, "00000000000000c1", trace.TraceState{}),
			Parent:      spanContext(t, longID, "00000000000000b3", trace.TraceState{}).WithRemote(true),
			StartTime:   at(15), EndTime: at(25).Add(678 * time.Nanosecond),
			Resource: service("httpbin"),
		},
		{
			Name: "work", SpanKind: trace.SpanKindInternal,
			SpanContext: spanContext(t, shortID, "00000000000000d1", trace.TraceState{}),
			Parent:      spanContext(t, shortID, "00000000000000d0", trace.TraceState{}).WithRemote(true), // never arrives
			StartTime:   at(1000), EndTime: at(1002),
			Resource: service("sleep"),
			Status:   sdktrace.Status{Code: codes.Error, Description: "it broke"},
		},
	}.Snapshots()
}

func service(name string, attrs ...attribute.KeyValue) *resource.Resource {
	return resource.NewSchemaless(append(attrs, attribute.String("service.name", name))...)
}

func spanContext(t testing.TB, traceID, spanID string, state trace.TraceState) trace.SpanContext {
	t.Helper()
	tid, err := trace.TraceIDFromHex(traceID)
	require.NoError(t, err)
	sid, err := trace.SpanIDFromHex(spanID)
	require.NoError(t, err)
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: tid, SpanID: sid, TraceFlags: trace.FlagsSampled, TraceState: state})
}
