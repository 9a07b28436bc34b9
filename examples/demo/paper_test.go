package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// span returns a span that takes from one millisecond of a trace to another.
func span(id, parent byte, service, name string, from, to int) sdktrace.ReadOnlySpan {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	name, version, _ := strings.Cut(name, "@")
	context := func(id byte) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{id}})
	}
	return tracetest.SpanStub{
		Name:        name,
		SpanContext: context(id),
		Parent:      context(parent),
		StartTime:   start.Add(time.Duration(from) * time.Millisecond),
		EndTime:     start.Add(time.Duration(to) * time.Millisecond),
		Resource:    resource.NewSchemaless(attribute.String("service.name", service), attribute.String("service.version", version)),
	}.Snapshot()
}

func TestWaterfall(t *testing.T) {
	tests := []struct {
		name   string
		width  int
		traces [][]sdktrace.ReadOnlySpan
		drawn  string
	}{
		{
			name:  "a span below the one that called it, at the time that it took",
			width: 80,
			traces: [][]sdktrace.ReadOnlySpan{{
				span(1, 0, "sleep", "GET", 0, 100),
				span(2, 1, "flaskapp", "GET /fetch@v1", 25, 100),
				span(3, 2, "httpbin", "GET /ip", 50, 75),
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
			traces: [][]sdktrace.ReadOnlySpan{
				{span(1, 0, "sleep", "GET", 0, 10)},
				{span(2, 0, "flaskapp", "GET", 5, 10)},
			},
			drawn: `
  sleep     GET  █████████████████████████████████  10.00 ms

  flaskapp  GET                  █████████████████   5.00 ms
`,
		},
		{
			name:  "siblings, and spans without a parent",
			width: 60,
			traces: [][]sdktrace.ReadOnlySpan{{
				span(1, 0, "a", "first", 0, 4),
				span(2, 1, "b", "child", 0, 2),
				span(4, 9, "d", "orphan", 1, 2),
				span(3, 1, "c", "child", 2, 4),
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
			traces: [][]sdktrace.ReadOnlySpan{{
				span(1, 0, "a", strings.Repeat("long", 20), 0, 4),
			}},
			drawn: `
  a  longlonglonglonglonglonglo…  ████████████████   4.00 ms
`,
		},
		{
			name:  "a span that took no time is to be seen",
			width: 60,
			traces: [][]sdktrace.ReadOnlySpan{{
				span(1, 0, "a", "first", 0, 10),
				span(2, 1, "b", "second", 10, 10),
			}},
			drawn: `
  a  first     ███████████████████████████████████  10.00 ms
  b  └ second                                    █   0.00 ms
`,
		},
		{
			name:   "a trace that took no time, too",
			width:  60,
			traces: [][]sdktrace.ReadOnlySpan{{span(1, 0, "a", "only", 3, 3)}},
			drawn: `
  a  only  █                                         0.00 ms
`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			paper{w: &b, width: tt.width}.waterfall(tt.traces...)
			assert.Equal(t, tt.drawn, "\n"+b.String())
			for line := range strings.Lines(b.String()) {
				assert.LessOrEqual(t, utf8.RuneCountInString(line), tt.width+1)
			}
		})
	}
}

func TestColoursAreForTerminals(t *testing.T) {
	none := func(string) string { return "" }
	var b bytes.Buffer
	p := newPaper(&b, none)
	p.title("title")
	p.waterfall([]sdktrace.ReadOnlySpan{span(1, 0, "sleep", "GET", 0, 1)})
	assert.NotContains(t, b.String(), "\x1b")
	assert.Equal(t, narrow, p.width)

	p.colour = true
	p.waterfall([]sdktrace.ReadOnlySpan{span(1, 0, "sleep", "GET", 0, 1)})
	assert.Contains(t, b.String(), "\x1b[34msleep\x1b[0m")

	f, err := os.Create(t.TempDir() + "/out")
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	assert.False(t, newPaper(f, none).colour, "a file is no terminal")
}
