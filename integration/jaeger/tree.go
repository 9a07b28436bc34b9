package jaeger

import (
	"fmt"
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
	var b strings.Builder
	var write func(parent string, depth int)
	write = func(parent string, depth int) {
		for _, s := range children[parent] {
			b.WriteString(strings.Repeat("  ", depth) + s.String())
			if s.Parent != parent {
				b.WriteString(", parent missing")
			}
			b.WriteString("\n")
			write(s.ID, depth+1)
		}
	}
	write("", 0)
	return b.String()
}
