package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
)

// collector is an OpenTelemetry collector that spans are sent to.
type collector struct {
	exporter   sdktrace.SpanExporter
	processors []sdktrace.SpanProcessor

	mu  sync.Mutex
	err error // of the first spans that did not get through
}

func newCollector(ctx context.Context) (*collector, error) {
	exporter, err := telemetry.NewExporter(ctx, "otlp")
	if err != nil {
		return nil, err
	}
	return &collector{exporter: exporter}, nil
}

// processor returns a processor for one service.
func (c *collector) processor() sdktrace.SpanProcessor {
	p := sdktrace.NewBatchSpanProcessor(c)
	c.processors = append(c.processors, p)
	return p
}

// flush sends what spans there are, and returns an error if any were lost, now
// or before.
func (c *collector) flush(ctx context.Context) error {
	var errs []error
	for _, p := range c.processors {
		errs = append(errs, p.ForceFlush(ctx))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(append(errs, c.err)...); err != nil {
		return fmt.Errorf("spans do not get through to the collector: is there one, and does OTEL_EXPORTER_OTLP_ENDPOINT say where? %w", err)
	}
	return nil
}

// ExportSpans sends the spans.
func (c *collector) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := c.exporter.ExportSpans(ctx, spans)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	return nil
}

// Shutdown does nothing: the exporter is that of all services.
func (c *collector) Shutdown(context.Context) error { return nil }

// both is two processors, the first of which is done with a span before the
// second gets it.
type both struct{ first, second sdktrace.SpanProcessor }

func (b both) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) {
	b.first.OnStart(ctx, s)
	b.second.OnStart(ctx, s)
}

func (b both) OnEnd(s sdktrace.ReadOnlySpan) {
	b.first.OnEnd(s)
	b.second.OnEnd(s)
}

func (b both) ForceFlush(ctx context.Context) error {
	return errors.Join(b.first.ForceFlush(ctx), b.second.ForceFlush(ctx))
}

func (b both) Shutdown(ctx context.Context) error {
	return errors.Join(b.first.Shutdown(ctx), b.second.Shutdown(ctx))
}
