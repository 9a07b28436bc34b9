package tracestore_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/examples/internal/tracestore"
)

// spanOf returns the nth span of a trace, named by both, such as b2.
func spanOf(t testing.TB, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	id := strings.Repeat(name[:1], 32)
	return tracetest.SpanStub{
		Name:        name,
		SpanContext: spanContext(t, id, fmt.Sprintf("%016s", name[1:]), trace.TraceState{}),
		StartTime:   noon, EndTime: noon.Add(time.Second),
		Resource: service("service-" + name[:1]),
	}.Snapshot()
}

func kept(t testing.TB, store *tracestore.Store) string {
	t.Helper()
	var names []string
	for _, digit := range "abcdef" {
		id, err := trace.TraceIDFromHex(strings.Repeat(string(digit), 32))
		require.NoError(t, err)
		for _, span := range store.Trace(id) {
			names = append(names, span.Name())
		}
	}
	return strings.Join(names, " ")
}

func TestStoreIsBounded(t *testing.T) {
	tests := []struct {
		name      string
		store     *tracestore.Store
		in, spans string
	}{
		{
			name:  "all is kept up to the bounds",
			store: &tracestore.Store{MaxTraces: 2, MaxSpans: 3},
			in:    "a1 b1 a2", spans: "a1 a2 b1",
		},
		{
			name:  "the trace that began to arrive first makes room for a new one",
			store: &tracestore.Store{MaxTraces: 2},
			in:    "a1 b1 a2 c1", spans: "b1 c1",
		},
		{
			name:  "and for more spans",
			store: &tracestore.Store{MaxSpans: 3},
			in:    "a1 a2 b1 b2", spans: "b1 b2",
		},
		{
			name:  "as many as need be",
			store: &tracestore.Store{MaxSpans: 3},
			in:    "a1 b1 c1 c2 c3", spans: "c1 c2 c3",
		},
		{
			name:  "of a trace that is too long the first spans go",
			store: &tracestore.Store{MaxSpans: 3},
			in:    "a1 a2 a3 a4 a5", spans: "a3 a4 a5",
		},
		{
			name:  "a span that is late for its trace begins it anew",
			store: &tracestore.Store{MaxTraces: 1},
			in:    "a1 b1 a2", spans: "a2",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name := range strings.FieldsSeq(tt.in) {
				require.NoError(t, tt.store.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{spanOf(t, name)}))
			}
			assert.Equal(t, tt.spans, kept(t, tt.store))
		})
	}
}

func TestStoreIsBoundedByItself(t *testing.T) {
	store := &tracestore.Store{}
	spans := make([]sdktrace.ReadOnlySpan, 21_000)
	for i := range spans {
		spans[i] = spanOf(t, fmt.Sprintf("a%d", i+1))
	}
	require.NoError(t, store.ExportSpans(t.Context(), spans))
	assert.Len(t, store.Trace(spans[0].SpanContext().TraceID()), 20_000)
}

func TestSpansAreThereWhenTheyHaveEnded(t *testing.T) {
	store := &tracestore.Store{}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(sdktrace.NewSimpleSpanProcessor(store)))
	ctx, parent := provider.Tracer("").Start(t.Context(), "parent")
	_, child := provider.Tracer("").Start(ctx, "child")
	child.End()
	assert.Len(t, store.Trace(parent.SpanContext().TraceID()), 1)
	parent.End()

	require.NoError(t, provider.Shutdown(t.Context()))
	spans := store.Trace(parent.SpanContext().TraceID())
	require.Len(t, spans, 2, "they stay when the provider has gone")
	assert.Equal(t, "parent", spans[0].Name(), "in the order they started")
}

func TestWaitReturnsTheTraceAsSoonAsItIsThere(t *testing.T) {
	store := &tracestore.Store{}
	looked := make(chan struct{}, 1)
	found := make(chan []sdktrace.ReadOnlySpan, 1)
	go func() {
		spans, err := store.Wait(t.Context(), func(spans []sdktrace.ReadOnlySpan) bool {
			select {
			case looked <- struct{}{}:
			default:
			}
			return len(spans) == 2
		})
		assert.NoError(t, err)
		found <- spans
	}()
	require.NoError(t, store.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{spanOf(t, "a1"), spanOf(t, "b1")}))
	<-looked
	require.NoError(t, store.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{spanOf(t, "b2")}))
	spans := <-found
	require.Len(t, spans, 2)
	assert.Equal(t, "b1", spans[0].Name())
}

func TestWaitEndsWithItsContext(t *testing.T) {
	store := &tracestore.Store{}
	require.NoError(t, store.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{spanOf(t, "a1")}))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := store.Wait(ctx, func([]sdktrace.ReadOnlySpan) bool {
		cancel()
		return false
	})
	assert.ErrorIs(t, err, context.Canceled)
}

func TestManyWriteAndReadAtOnce(t *testing.T) {
	const writers, spansEach = 8, 200
	store := &tracestore.Store{MaxTraces: 3, MaxSpans: 100}
	handler := store.Handler()
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range spansEach {
				name := fmt.Sprintf("%c%d", "abcdef"[(w+i)%6], w*spansEach+i+1)
				assert.NoError(t, store.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{spanOf(t, name)}))
			}
		})
		all.Go(func() {
			for range 20 {
				for _, path := range []string{"/api/services", "/api/traces?service=service-a", "/api/dependencies"} {
					assert.Equal(t, 200, get(t, handler, path).Code)
				}
			}
		})
	}
	waited := make(chan error, 1)
	go func() {
		_, err := store.Wait(t.Context(), func(spans []sdktrace.ReadOnlySpan) bool {
			return slices.ContainsFunc(spans, func(s sdktrace.ReadOnlySpan) bool { return s.Name() == "f9999" })
		})
		waited <- err
	}()
	all.Wait()
	require.NoError(t, store.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{spanOf(t, "f9999")}))
	require.NoError(t, <-waited)
	assert.LessOrEqual(t, len(strings.Fields(kept(t, store))), 100)
}
