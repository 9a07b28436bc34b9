package jaeger

import (
	"fmt"
	"iter"
	"strings"
)

// String is the span's service, name and kind.
func (s Span) String() string {
	return fmt.Sprintf("%s: %s, %v", s.Service, s.Name, s.Tags["span.kind"])
}

// Tree returns the trace as text, a line a span: its service, its name and its
// kind, indented below its parent, siblings in the order of their start. A
// span whose parent is not in the trace stands at the edge, and says so.
func (t Trace) Tree() string {
	var b strings.Builder
	for s, depth := range t.Walk() {
		b.WriteString(strings.Repeat("  ", depth) + s.String())
		if depth == 0 && s.Parent != "" {
			b.WriteString(", parent missing")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Walk returns the spans in the order of Tree, with their depth in it.
func (t Trace) Walk() iter.Seq2[Span, int] {
	known := map[string]bool{}
	children := map[string][]Span{}
	for _, s := range t.Spans {
		known[s.ID] = true
	}
	for _, s := range t.Spans {
		parent := s.Parent
		if !known[parent] {
			parent = ""
		}
		children[parent] = append(children[parent], s)
	}
	return func(yield func(Span, int) bool) {
		var walk func(parent string, depth int) bool
		walk = func(parent string, depth int) bool {
			for _, s := range children[parent] {
				if !yield(s, depth) || !walk(s.ID, depth+1) {
					return false
				}
			}
			return true
		}
		walk("", 0)
	}
}
