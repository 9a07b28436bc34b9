// Package paper is what the demos write their stories on: a terminal, or
// whatever stands in for one.
package paper

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Paper writes to W, at most Width columns wide where that is up to it, and in
// colours if Colour is set.
type Paper struct {
	W      io.Writer
	Width  int
	Colour bool
}

// Ways to paint, beside the [ColourOf] a service.
const (
	Bold  = "1"
	Faint = "2"
)

// ColourOf returns the colour of the service that the name begins with:
// flaskapp-in and flaskapp.tracebaton are painted as flaskapp is.
func ColourOf(name string) string {
	if i := strings.IndexAny(name, " -."); i >= 0 {
		name = name[:i]
	}
	return map[string]string{"sleep": "34", "flaskapp": "32", "httpbin": "33"}[name]
}

// Paint returns the text painted that way. The empty way is none.
func (p Paper) Paint(how, text string) string {
	if !p.Colour || how == "" {
		return text
	}
	return "\x1b[" + how + "m" + text + "\x1b[0m"
}

// Line writes a line, indented.
func (p Paper) Line(format string, args ...any) {
	_, _ = fmt.Fprintln(p.W, strings.TrimRight("  "+fmt.Sprintf(format, args...), " "))
}

// Title writes the title of a chapter.
func (p Paper) Title(text string) {
	_, _ = fmt.Fprintf(p.W, "\n%s\n\n", p.Paint(Bold, text))
}

// Command writes a command of the shell.
func (p Paper) Command(text string) {
	p.Line("%s %s", p.Paint(Faint, "$"), text)
}

// Span is a span as it is drawn.
type Span struct {
	Service  string // its name begins with the one that gives the colour
	Name     string
	Depth    int           // below the root of its trace
	Start    time.Duration // since whenever, the same for all
	Duration time.Duration
}

// Waterfall draws traces below each other, along the same time.
func (p Paper) Waterfall(traces ...[]Span) {
	start, end := traces[0][0].Start, traces[0][0].Start
	var services, names int // width of the columns
	for _, spans := range traces {
		for _, s := range spans {
			services = max(services, utf8.RuneCountInString(s.Service))
			names = max(names, utf8.RuneCountInString(s.label()))
			start, end = min(start, s.Start), max(end, s.Start+s.Duration)
		}
	}

	const gaps, duration, least = 2 + 2 + 2 + 1, 9, 16
	names = min(names, p.Width-gaps-duration-least-services)
	bar := p.Width - gaps - duration - services - names
	at := func(t time.Duration) int { return int(time.Duration(bar) * (t - start) / max(end-start, 1)) }
	for i, spans := range traces {
		if i > 0 {
			p.Line("")
		}
		for _, s := range spans {
			from := min(at(s.Start), bar-1)
			to := max(at(s.Start+s.Duration), from+1)
			blocks := strings.Repeat(" ", from) + strings.Repeat("█", to-from)
			colour := ColourOf(s.Service)
			p.Line("%s  %s  %s %*s",
				p.Paint(colour, Pad(s.Service, services)),
				Pad(s.label(), names),
				p.Paint(colour, Pad(blocks, bar)),
				duration, Milliseconds(s.Duration))
		}
	}
}

func (s Span) label() string {
	if s.Depth == 0 {
		return s.Name
	}
	return strings.Repeat("  ", s.Depth-1) + "└ " + s.Name
}

// Pad returns the text at exactly the width.
func Pad(text string, width int) string {
	if n := utf8.RuneCountInString(text); n <= width {
		return text + strings.Repeat(" ", width-n)
	}
	return string([]rune(text)[:width-1]) + "…"
}

// Milliseconds writes the time as the waterfall does.
func Milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}
