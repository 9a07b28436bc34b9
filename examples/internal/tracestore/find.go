package tracestore

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// search says which traces to find: those with a span that is all of it.
type search struct {
	service, operation       string            // empty: any operation
	tags                     map[string]string // as the UI shows them
	minDuration, maxDuration time.Duration     // zero: any
	start, end               time.Time
	limit                    int
	ids                      []trace.TraceID // if any, these traces and nothing else
	raw                      bool
}

// find returns the newest traces that match.
func (s *Store) find(q search) [][]sdktrace.ReadOnlySpan {
	var found [][]sdktrace.ReadOnlySpan
	for _, spans := range s.newestFirst() {
		if len(found) == q.limit {
			break
		}
		if slices.ContainsFunc(spans, q.matches) {
			found = append(found, spans)
		}
	}
	return found
}

func (q search) matches(span sdktrace.ReadOnlySpan) bool {
	switch d := duration(span); {
	case Service(span) != q.service,
		q.operation != "" && span.Name() != q.operation,
		span.StartTime().Before(q.start) || span.StartTime().After(q.end),
		d < q.minDuration,
		q.maxDuration != 0 && d > q.maxDuration:
		return false
	}
	for key, value := range q.tags {
		if !hasTag(span, key, value) {
			return false
		}
	}
	return true
}

// hasTag reports whether the span, its resource or one of its events has the
// tag.
func hasTag(span sdktrace.ReadOnlySpan, key, value string) bool {
	if key == "error" && value == "false" {
		return span.Status().Code != codes.Error
	}
	is := func(tag uiTag) bool { return tag.Key == key && tag.text() == value }
	if slices.ContainsFunc(uiTagsOf(span), is) || slices.ContainsFunc(uiTags(span.Resource().Attributes()), is) {
		return true
	}
	for _, event := range span.Events() {
		if slices.ContainsFunc(uiTags(event.Attributes), is) {
			return true
		}
	}
	return false
}

// services returns the names of all services, in order.
func (s *Store) services() []string {
	names := map[string]bool{}
	for _, spans := range s.newestFirst() {
		for _, span := range spans {
			names[Service(span)] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// operations returns the names and kinds of the spans of a service, in order:
// of one kind, or of all if it is empty.
func (s *Store) operations(service, ofKind string) []uiOperation {
	set := map[uiOperation]bool{}
	for _, spans := range s.newestFirst() {
		for _, span := range spans {
			if k := kind(span); Service(span) == service && (ofKind == "" || k == ofKind) {
				set[uiOperation{span.Name(), k}] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(set), func(a, b uiOperation) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.SpanKind, b.SpanKind))
	})
}

// dependencies counts the calls from one service to another, in the traces
// that were whole within the time.
//
// Jaeger's own memory store also counts a service's spans below its own, which
// draws a loop at every service that does anything.
func (s *Store) dependencies(from, to time.Time) []uiDependency {
	type edge struct{ parent, child string }
	calls := map[edge]int{}
	for _, spans := range s.newestFirst() {
		services := map[trace.SpanID]string{}
		within := true
		for _, span := range spans {
			services[span.SpanContext().SpanID()] = Service(span)
			within = within && !span.StartTime().Before(from) && !span.EndTime().After(to)
		}
		if !within {
			continue
		}
		for _, span := range spans {
			parent, ok := services[span.Parent().SpanID()]
			if child := Service(span); ok && parent != child {
				calls[edge{parent, child}]++
			}
		}
	}
	links := make([]uiDependency, 0, len(calls))
	for e, n := range calls {
		links = append(links, uiDependency{e.parent, e.child, n})
	}
	slices.SortFunc(links, func(a, b uiDependency) int {
		return cmp.Or(cmp.Compare(a.Parent, b.Parent), cmp.Compare(a.Child, b.Child))
	})
	return links
}
