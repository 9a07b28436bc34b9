package telemetry

import (
	"context"
	"log/slog"
	"strings"

	"github.com/tracebaton/tracebaton/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Log returns h with the request ID and the trace ID of the request that a
// line is about, which is what its context says.
func Log(h slog.Handler) slog.Handler { return handler{h} }

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, record slog.Record) error {
	if id := RequestID(ctx); id != "" {
		record.AddAttrs(slog.String("request_id", id))
	}
	if id := TraceID(ctx); id != "" {
		record.AddAttrs(slog.String("trace_id", id))
	}
	return h.Handler.Handle(ctx, record)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name)}
}

// RequestID returns the ID that the request of ctx came with, or "".
func RequestID(ctx context.Context) string {
	return propagation.FromContext(ctx).Get("x-request-id")
}

// TraceID returns the ID of the trace that the request of ctx belongs to: that
// of the service's own span or else, as it is written there, of the headers
// that came in. It is "" where there is none.
func TraceID(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		return sc.TraceID().String()
	}
	return HeaderTraceID(propagation.FromContext(ctx).Get)
}

// HeaderTraceID returns the trace ID that is in headers, which get returns by
// name, or "". Nothing but an ID is ever returned, whatever the headers hold.
func HeaderTraceID(get func(name string) string) string {
	b3, _, _ := strings.Cut(get("b3"), "-")
	_, rest, _ := strings.Cut(get("traceparent"), "-")
	w3c, _, _ := strings.Cut(rest, "-")
	for _, id := range []string{get("x-b3-traceid"), b3, w3c} {
		if isTraceID(id) {
			return id
		}
	}
	return ""
}

func isTraceID(s string) bool {
	return (len(s) == 16 || len(s) == 32) && strings.Trim(s, "0123456789abcdef") == "" && strings.Trim(s, "0") != ""
}
