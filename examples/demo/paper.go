package main

import (
	"cmp"
	"io"
	"os"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/term"

	"github.com/tracebaton/tracebaton/examples/internal/tracestore"
	"github.com/tracebaton/tracebaton/internal/paper"
)

// Columns of a terminal that are written on: at least, and at most.
const (
	narrow = 80
	wide   = 100
)

// newPaper returns what the story is written on.
func newPaper(w io.Writer, getenv func(string) string) paper.Paper {
	p := paper.Paper{W: w, Width: narrow}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return p
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		p.Width = min(max(width, narrow), wide)
	}
	p.Colour = getenv("NO_COLOR") == "" && cmp.Or(getenv("TERM"), "dumb") != "dumb"
	return p
}

// waterfall draws traces below each other, along the same time.
func (s *story) waterfall(traces ...[]sdktrace.ReadOnlySpan) {
	var drawn [][]paper.Span
	for _, spans := range traces {
		var rows []paper.Span
		for _, n := range tree(spans) {
			rows = append(rows, paper.Span{
				Service:  strings.TrimSpace(tracestore.Service(n) + " " + versionOf(n)),
				Name:     n.Name(),
				Depth:    n.depth,
				Start:    time.Duration(n.StartTime().UnixNano()),
				Duration: n.EndTime().Sub(n.StartTime()),
			})
		}
		drawn = append(drawn, rows)
	}
	s.Waterfall(drawn...)
}
