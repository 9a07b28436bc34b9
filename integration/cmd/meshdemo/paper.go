package main

import (
	"cmp"
	"os"

	"github.com/tracebaton/tracebaton/integration/jaeger"
	"github.com/tracebaton/tracebaton/internal/paper"
)

// newPaper returns what the story is written on.
func newPaper(f *os.File) paper.Paper {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return paper.Paper{
		W:      f,
		Width:  80,
		Colour: terminal && os.Getenv("NO_COLOR") == "" && cmp.Or(os.Getenv("TERM"), "dumb") != "dumb",
	}
}

// waterfall draws traces below each other, along the same time.
func (s *story) waterfall(traces ...jaeger.Trace) {
	var drawn [][]paper.Span
	for _, trace := range traces {
		var rows []paper.Span
		for span, depth := range trace.Walk() {
			rows = append(rows, paper.Span{
				Service:  span.Service,
				Name:     span.Name,
				Depth:    depth,
				Start:    span.Start,
				Duration: span.Duration,
			})
		}
		drawn = append(drawn, rows)
	}
	s.Waterfall(drawn...)
	s.Line("")
}
