package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// requestIDs writes on every span the ID of the request that it belongs to,
// by which sidecars' access logs are searched.
type requestIDs struct{}

func (requestIDs) OnStart(ctx context.Context, span sdktrace.ReadWriteSpan) {
	if id := RequestID(ctx); id != "" {
		span.SetAttributes(attribute.StringSlice("http.request.header.x-request-id", []string{id}))
	}
}

func (requestIDs) OnEnd(sdktrace.ReadOnlySpan)      {}
func (requestIDs) Shutdown(context.Context) error   { return nil }
func (requestIDs) ForceFlush(context.Context) error { return nil }
