package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tracebaton/tracebaton/examples/internal/tracestore"
)

// Columns of a terminal that are written on: at least, and at most.
const (
	narrow = 80
	wide   = 100
)

// paper is what the story is written on.
type paper struct {
	w      io.Writer
	width  int
	colour bool
}

const (
	bold  = "1"
	faint = "2"
)

// colours are those of the services.
var colours = map[string]string{"sleep": "34", "flaskapp": "32", "httpbin": "33"}

func (p paper) paint(how, text string) string {
	if !p.colour || how == "" {
		return text
	}
	return "\x1b[" + how + "m" + text + "\x1b[0m"
}

func (p paper) line(format string, args ...any) {
	_, _ = fmt.Fprintf(p.w, strings.TrimRight("  "+format, " ")+"\n", args...)
}

func (p paper) title(text string) {
	_, _ = fmt.Fprintf(p.w, "\n%s\n\n", p.paint(bold, text))
}

func (p paper) command(text string) {
	p.line("%s %s", p.paint(faint, "$"), text)
}

// row is a span as it is drawn.
type row struct {
	service, version, operation string
	span                        sdktrace.ReadOnlySpan
}

// waterfall draws traces below each other, along the same time.
func (p paper) waterfall(traces ...[]sdktrace.ReadOnlySpan) {
	var start, end time.Time
	var drawn [][]row
	var services, operations int // width of the columns
	for _, spans := range traces {
		var rows []row
		for _, n := range tree(spans) {
			r := row{tracestore.Service(n), versionOf(n), n.Name(), n}
			if n.depth > 0 {
				r.operation = strings.Repeat("  ", n.depth-1) + "└ " + r.operation
			}
			services = max(services, utf8.RuneCountInString(r.name()))
			operations = max(operations, utf8.RuneCountInString(r.operation))
			if start.IsZero() || n.StartTime().Before(start) {
				start = n.StartTime()
			}
			if n.EndTime().After(end) {
				end = n.EndTime()
			}
			rows = append(rows, r)
		}
		drawn = append(drawn, rows)
	}

	const gaps, duration, least = 2 + 2 + 2 + 1, 9, 16
	operations = min(operations, p.width-gaps-duration-least-services)
	bar := p.width - gaps - duration - services - operations
	for i, rows := range drawn {
		if i > 0 {
			p.line("")
		}
		for _, r := range rows {
			colour := colours[r.service]
			p.line("%s  %s  %s %*s",
				p.paint(colour, pad(r.name(), services)),
				pad(r.operation, operations),
				p.paint(colour, pad(blocks(r.span, start, end, bar), bar)),
				duration, milliseconds(r.span.EndTime().Sub(r.span.StartTime())))
		}
	}
}

func (r row) name() string { return strings.TrimSpace(r.service + " " + r.version) }

// blocks returns the bar of a span within the time from start to end.
func blocks(span sdktrace.ReadOnlySpan, start, end time.Time, width int) string {
	total := max(end.Sub(start), 1)
	at := func(t time.Time) int { return int(int64(width) * int64(t.Sub(start)) / int64(total)) }
	from := min(at(span.StartTime()), width-1)
	to := max(at(span.EndTime()), from+1)
	return strings.Repeat(" ", from) + strings.Repeat("█", to-from)
}

// pad returns the text at exactly the width.
func pad(text string, width int) string {
	if n := utf8.RuneCountInString(text); n <= width {
		return text + strings.Repeat(" ", width-n)
	}
	return string([]rune(text)[:width-1]) + "…"
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}
