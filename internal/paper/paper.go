// Package paper writes the stories that the demos tell: titles, lines, commands
// and traces, as text for a terminal.
package paper

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Paper is what a story is written on.
type Paper struct {
	W      io.Writer
	Width  int  // columns of a waterfall
	Colour bool // whether anything is painted
}

// Ways to paint that are not the colour of a service.
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

// Paint returns the text, painted as how says: Bold, Faint, or what [ColourOf]
// returns. An empty how leaves it as it is.
func (p Paper) Paint(how, text string) string {
	if !p.Colour || how == "" {
		return text
	}
	return "\x1b[" + how + "m" + text + "\x1b[0m"
}

// Line writes an indented line.
func (p Paper) Line(format string, args ...any) {
	_, _ = fmt.Fprintln(p.W, strings.TrimRight("  "+fmt.Sprintf(format, args...), " "))
}

// Title writes the title of a chapter.
func (p Paper) Title(text string) {
	_, _ = fmt.Fprintf(p.W, "\n%s\n\n", p.Paint(Bold, text))
}

// Command writes a line with a command for a shell.
func (p Paper) Command(text string) {
	p.Line("%s %s", p.Paint(Faint, "$"), text)
}

// Span is a row of a waterfall.
type Span struct {
	Service  string
	Name     string
	Depth    int           // below the root of its trace
	Start    time.Duration // since a moment that is the same for all rows
	Duration time.Duration
}

// Waterfall draws the traces, none of which is empty, one below the other along
// the same time.
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

// Pad returns the text at exactly the width, filled up with spaces or cut off.
func Pad(text string, width int) string {
	if n := utf8.RuneCountInString(text); n <= width {
		return text + strings.Repeat(" ", width-n)
	}
	return string([]rune(text)[:width-1]) + "…"
}

// Milliseconds returns the time as a waterfall shows it, such as "1.25 ms".
func Milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}
