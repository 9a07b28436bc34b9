// Package tracestore keeps traces in memory and shows them in the Jaeger UI,
// so that the examples need no Jaeger server.
package tracestore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	defaultMaxTraces = 1_000
	defaultMaxSpans  = 20_000
)

// Store is a span exporter that keeps the newest spans. The zero value is
// ready to use, by any number of goroutines and tracer providers.
//
// Spans are to be seen as soon as they end only behind a synchronous
// processor: sdktrace.NewSimpleSpanProcessor.
type Store struct {
	// MaxTraces and MaxSpans bound what is kept; beyond either, the traces
	// that began to arrive first are dropped, and of a trace that is too long
	// by itself the spans that did. Zero is 1,000 traces and 20,000 spans. They
	// are not to be changed once the Store is in use.
	MaxTraces, MaxSpans int

	mu      sync.Mutex
	traces  map[trace.TraceID][]sdktrace.ReadOnlySpan
	order   []trace.TraceID // keys of traces, in order of arrival
	spans   int             // in all traces
	changed chan struct{}   // closed when spans arrive; nil when nobody waits
}

var _ sdktrace.SpanExporter = (*Store)(nil)

// ExportSpans keeps the spans. It never fails.
func (s *Store) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.traces == nil {
		s.traces = make(map[trace.TraceID][]sdktrace.ReadOnlySpan)
	}
	for _, span := range spans {
		id := span.SpanContext().TraceID()
		if _, ok := s.traces[id]; !ok {
			s.order = append(s.order, id)
		}
		s.traces[id] = append(s.traces[id], span)
		s.spans++
		s.drop()
	}
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
	return nil
}

func (s *Store) drop() {
	maxTraces := cmp.Or(s.MaxTraces, defaultMaxTraces)
	maxSpans := cmp.Or(s.MaxSpans, defaultMaxSpans)
	for len(s.order) > maxTraces || s.spans > maxSpans && len(s.order) > 1 {
		oldest := s.order[0]
		s.spans -= len(s.traces[oldest])
		delete(s.traces, oldest)
		s.order = s.order[1:]
	}
	if s.spans > maxSpans {
		only := s.order[0]
		s.traces[only] = s.traces[only][s.spans-maxSpans:]
		s.spans = maxSpans
	}
}

// Shutdown does nothing: what is kept stays, and other tracer providers may
// still send.
func (s *Store) Shutdown(context.Context) error { return nil }

// Trace returns the spans of a trace in the order they started, or none.
func (s *Store) Trace(id trace.TraceID) []sdktrace.ReadOnlySpan {
	s.mu.Lock()
	spans := s.traces[id]
	s.mu.Unlock()
	return sorted(spans)
}

// Spans returns all spans, those of the newest trace first.
func (s *Store) Spans() []sdktrace.ReadOnlySpan { return slices.Concat(s.newestFirst()...) }

// Wait returns the first trace that match accepts, newest first, as soon as
// there is one. Match gets the spans that have arrived, in the order they
// started, and is called again with all traces when there are more. When ctx
// ends first, the error wraps the context's.
func (s *Store) Wait(ctx context.Context, match func(spans []sdktrace.ReadOnlySpan) bool) ([]sdktrace.ReadOnlySpan, error) {
	for {
		s.mu.Lock()
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()

		for _, spans := range s.newestFirst() {
			if spans := sorted(spans); match(spans) {
				return spans, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a trace: %w", context.Cause(ctx))
		}
	}
}

// newestFirst returns all traces, their spans in order of arrival. The slices
// are the Store's own.
func (s *Store) newestFirst() [][]sdktrace.ReadOnlySpan {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([][]sdktrace.ReadOnlySpan, 0, len(s.order))
	for _, id := range slices.Backward(s.order) {
		all = append(all, s.traces[id])
	}
	return all
}

func sorted(spans []sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	return slices.SortedStableFunc(slices.Values(spans), func(a, b sdktrace.ReadOnlySpan) int {
		return a.StartTime().Compare(b.StartTime())
	})
}
