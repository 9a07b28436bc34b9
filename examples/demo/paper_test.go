package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/internal/paper"
)

func TestTracesAreDrawnAlongTheSameTime(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	one := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}})
	of := func(name string, from, to time.Duration) []sdktrace.ReadOnlySpan {
		return tracetest.SpanStubs{{
			Name: name, SpanContext: one, StartTime: start.Add(from), EndTime: start.Add(to),
			Resource: resource.NewSchemaless(attribute.String("service.name", "a"), attribute.String("service.version", "v1")),
		}}.Snapshots()
	}
	var b bytes.Buffer
	s := story{Paper: paper.Paper{W: &b, Width: 50}}
	s.waterfall(of("first", 0, 4*time.Millisecond), of("second", 3*time.Millisecond, 4*time.Millisecond))
	assert.Equal(t, "  a v1  first   ████████████████████████   4.00 ms\n\n"+
		"  a v1  second                    ██████   1.00 ms\n", b.String())
}

func TestColoursAreForTerminals(t *testing.T) {
	none := func(string) string { return "" }
	assert.Equal(t, narrow, newPaper(new(bytes.Buffer), none).Width)
	f, err := os.Create(t.TempDir() + "/out")
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	assert.False(t, newPaper(f, none).Colour, "a file is no terminal")
}
