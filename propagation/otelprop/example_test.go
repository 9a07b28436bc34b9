package otelprop_test

import (
	"context"
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel"
	otelpropagation "go.opentelemetry.io/otel/propagation"

	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

// With OpenTelemetry, otelhttp and the like do the rest. A service without a
// span of its own passes on what came in, byte for byte.
func ExamplePropagator() {
	otel.SetTextMapPropagator(otelpropagation.NewCompositeTextMapPropagator(
		otelprop.Propagator{}, otelpropagation.Baggage{},
	))
	defer otel.SetTextMapPropagator(otelpropagation.NewCompositeTextMapPropagator())

	in := http.Header{"X-Request-Id": {"5c1e3d0d"}, "X-B3-Sampled": {"1"}, "Baggage": {"tenant=7"}}
	ctx := otel.GetTextMapPropagator().Extract(context.Background(), otelpropagation.HeaderCarrier(in))

	out := http.Header{}
	otel.GetTextMapPropagator().Inject(ctx, otelpropagation.HeaderCarrier(out))
	fmt.Println(out)
	// Output: map[Baggage:[tenant=7] X-B3-Sampled:[1] X-Request-Id:[5c1e3d0d]]
}
