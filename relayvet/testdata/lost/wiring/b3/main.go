package b3

import (
	"github.com/tracebaton/tracebaton/propagation/otelprop"
	"go.opentelemetry.io/contrib/propagators/b3"
	"go.opentelemetry.io/otel/propagation"
)

func propagator() propagation.TextMapPropagator {
	return propagation.NewCompositeTextMapPropagator(b3.New(), otelprop.Propagator{}) // want `b3.New\(\) writes over what otelprop.Propagator relays`
}
