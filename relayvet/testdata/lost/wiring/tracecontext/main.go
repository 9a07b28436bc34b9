package tracecontext

import (
	"github.com/tracebaton/tracebaton/propagation/otelprop"
	"go.opentelemetry.io/otel/propagation"
)

func propagator() propagation.TextMapPropagator {
	return propagation.NewCompositeTextMapPropagator(otelprop.Propagator{}, propagation.TraceContext{}) // want `propagation.TraceContext{} writes over what otelprop.Propagator relays`
}
