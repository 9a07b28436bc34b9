package paper_test

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/internal/paper"
)

// span returns a span that takes from one millisecond of a trace to another.
func span(depth int, service, name string, from, to int) paper.Span {
	ms := func(n int) time.Duration { return time.Hour + time.Duration(n)*time.Millisecond }
	return paper.Span{Service: service, Name: name, Depth: depth, Start: ms(from), Duration: ms(to) - ms(from)}
}

func TestWaterfall(t *testing.T) {
	tests := []struct {
		name   string
		width  int
		traces [][]paper.Span
		drawn  string
	}{
		{
			name:  "a span below the one that called it, at the time that it took",
			width: 80,
			traces: [][]paper.Span{{
				span(0, "sleep", "GET", 0, 100),
				span(1, "flaskapp v1", "GET /fetch", 25, 100),
				span(2, "httpbin", "GET /ip", 50, 75),
			}},
			drawn: `
  sleep        GET           █████████████████████████████████████████ 100.00 ms
  flaskapp v1  └ GET /fetch            ███████████████████████████████  75.00 ms
  httpbin        └ GET /ip                       ██████████             25.00 ms
`,
		},
		{
			name:  "two traces along the same time",
			width: 60,
			traces: [][]paper.Span{
				{span(0, "sleep", "GET", 0, 10)},
				{span(0, "flaskapp", "GET", 5, 10)},
			},
			drawn: `
  sleep     GET  █████████████████████████████████  10.00 ms

  flaskapp  GET                  █████████████████   5.00 ms
`,
		},
		{
			name:  "siblings, and spans without a parent",
			width: 60,
			traces: [][]paper.Span{{
				span(0, "a", "first", 0, 4),
				span(1, "b", "child", 0, 2),
				span(1, "c", "child", 2, 4),
				span(0, "d", "orphan", 1, 2),
			}},
			drawn: `
  a  first    ████████████████████████████████████   4.00 ms
  b  └ child  ██████████████████                     2.00 ms
  c  └ child                    ██████████████████   2.00 ms
  d  orphan            █████████                     1.00 ms
`,
		},
		{
			name:  "a name that is too long is cut, and the bar stays",
			width: 60,
			traces: [][]paper.Span{{
				span(0, "a", strings.Repeat("long", 20), 0, 4),
			}},
			drawn: `
  a  longlonglonglonglonglonglo…  ████████████████   4.00 ms
`,
		},
		{
			name:  "a span that took no time is to be seen",
			width: 60,
			traces: [][]paper.Span{{
				span(0, "a", "first", 0, 10),
				span(1, "b", "second", 10, 10),
			}},
			drawn: `
  a  first     ███████████████████████████████████  10.00 ms
  b  └ second                                    █   0.00 ms
`,
		},
		{
			name:   "a trace that took no time, too",
			width:  60,
			traces: [][]paper.Span{{span(0, "a", "only", 3, 3)}},
			drawn: `
  a  only  █                                         0.00 ms
`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			paper.Paper{W: &b, Width: tt.width}.Waterfall(tt.traces...)
			assert.Equal(t, tt.drawn, "\n"+b.String())
			for line := range strings.Lines(b.String()) {
				assert.LessOrEqual(t, utf8.RuneCountInString(line), tt.width+1)
			}
		})
	}
}

func TestAServiceIsPaintedInItsColour(t *testing.T) {
	for _, name := range []string{"flaskapp", "flaskapp v1", "flaskapp-in", "flaskapp.tracebaton"} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			p := paper.Paper{W: &b, Width: 60}
			p.Title("title")
			p.Waterfall([]paper.Span{span(0, name, "GET", 0, 1)})
			assert.NotContains(t, b.String(), "\x1b", "without colours")

			p.Colour = true
			p.Waterfall([]paper.Span{span(0, name, "GET", 0, 1)})
			assert.Contains(t, b.String(), "\x1b[32m"+name+"\x1b[0m")
		})
	}
}
