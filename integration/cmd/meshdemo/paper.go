package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tracebaton/tracebaton/integration/jaeger"
)

// width is how many columns of a terminal are written on.
const width = 80

// paper is what the story is written on.
type paper struct {
	w      io.Writer
	colour bool
}

func newPaper(f *os.File) paper {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return paper{f, terminal && os.Getenv("NO_COLOR") == "" && cmp.Or(os.Getenv("TERM"), "dumb") != "dumb"}
}

const (
	bold  = "1"
	faint = "2"
)

// colours are those of the pods.
var colours = map[string]string{"sleep": "34", "flaskapp": "32", "httpbin": "33"}

func colourOf(service string) string {
	pod, _, _ := strings.Cut(service, ".")
	pod, _, _ = strings.Cut(pod, "-")
	return colours[pod]
}

func (p paper) paint(how, text string) string {
	if !p.colour || how == "" {
		return text
	}
	return "\x1b[" + how + "m" + text + "\x1b[0m"
}

func (p paper) line(format string, args ...any) {
	_, _ = fmt.Fprintln(p.w, strings.TrimRight("  "+fmt.Sprintf(format, args...), " "))
}

func (p paper) title(text string) {
	_, _ = fmt.Fprintf(p.w, "\n%s\n\n", p.paint(bold, text))
}

func (p paper) command(text string) {
	p.line("%s %s", p.paint(faint, "$"), text)
	p.line("")
}

// waterfall draws traces below each other, along the same time.
func (p paper) waterfall(traces ...jaeger.Trace) {
	type row struct {
		service, name string
		span          jaeger.Span
	}
	var drawn [][]row
	var services, names int // width of the columns
	start, end := traces[0].Spans[0].Start, time.Duration(0)
	for _, trace := range traces {
		var rows []row
		for span, depth := range trace.Walk() {
			r := row{span.Service, span.Name, span}
			if depth > 0 {
				r.name = strings.Repeat("  ", depth-1) + "└ " + r.name
			}
			services = max(services, utf8.RuneCountInString(r.service))
			names = max(names, utf8.RuneCountInString(r.name))
			start, end = min(start, span.Start), max(end, span.Start+span.Duration)
			rows = append(rows, r)
		}
		drawn = append(drawn, rows)
	}

	const gaps, duration = 2 + 2 + 2 + 1, 9
	bar := max(width-gaps-duration-services-names, 16)
	at := func(t time.Duration) int { return int(time.Duration(bar) * (t - start) / max(end-start, 1)) }
	for i, rows := range drawn {
		if i > 0 {
			p.line("")
		}
		for _, r := range rows {
			from := min(at(r.span.Start), bar-1)
			to := max(at(r.span.Start+r.span.Duration), from+1)
			blocks := pad(strings.Repeat(" ", from)+strings.Repeat("█", to-from), bar)
			colour := colourOf(r.service)
			p.line("%s  %s  %s %*s", p.paint(colour, pad(r.service, services)), pad(r.name, names), p.paint(colour, blocks),
				duration, fmt.Sprintf("%.2f ms", float64(r.span.Duration.Microseconds())/1000))
		}
	}
	p.line("")
}

// pad fills the text up to the width.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0))
}
