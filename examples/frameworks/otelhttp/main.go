// Otelhttp with a propagator that must stay: Relay stands around it, and Transport
// below, so that the families which the propagator does not know are relayed.
package main

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	otel "go.opentelemetry.io/otel/propagation"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func service(upstream string, client *http.Client) http.Handler {
	theirs := otelhttp.WithPropagators(otel.TraceContext{})
	client.Transport = otelhttp.NewTransport(&middleware.Transport{Base: client.Transport}, theirs)

	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := example.Get(r.Context(), client, upstream)
		example.Answer(w, body, err)
	})
	return middleware.Relay(propagation.Istio())(otelhttp.NewHandler(handler, "example", theirs))
}

func main() { example.Serve(service) }
