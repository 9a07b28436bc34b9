package main

import (
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/examples/internal/tracestore"
)

// node is a span at its place in a trace.
type node struct {
	sdktrace.ReadOnlySpan
	depth int
}

// tree returns the spans of a trace, which are in the order they started, each
// below its parent. Those whose parent is not there are at depth 0.
func tree(spans []sdktrace.ReadOnlySpan) []node {
	there := map[trace.SpanID]bool{}
	for _, span := range spans {
		there[span.SpanContext().SpanID()] = true
	}
	children := map[trace.SpanID][]sdktrace.ReadOnlySpan{}
	for _, span := range spans {
		parent := span.Parent().SpanID()
		if !there[parent] {
			parent = trace.SpanID{}
		}
		children[parent] = append(children[parent], span)
	}
	var nodes []node
	var add func(parent trace.SpanID, depth int)
	add = func(parent trace.SpanID, depth int) {
		for _, span := range children[parent] {
			nodes = append(nodes, node{span, depth})
			add(span.SpanContext().SpanID(), depth+1)
		}
	}
	add(trace.SpanID{}, 0)
	return nodes
}

// outline returns a trace in writing, a line for each span:
//
//	sleep GET
//	  flaskapp GET /fetch
//
// One whose parent is missing says so.
func outline(spans []sdktrace.ReadOnlySpan) string {
	var b strings.Builder
	for _, n := range tree(spans) {
		b.WriteString(strings.Repeat("  ", n.depth))
		b.WriteString(tracestore.Service(n) + " " + n.Name())
		if n.depth == 0 && n.Parent().SpanID().IsValid() {
			b.WriteString(" (its parent is missing)")
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// versionOf returns the version of the service that the span is of, or "".
func versionOf(span sdktrace.ReadOnlySpan) string {
	v, _ := span.Resource().Set().Value("service.version")
	return v.String()
}
