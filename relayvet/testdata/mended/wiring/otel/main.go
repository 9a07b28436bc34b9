package otel

import (
	"net/http"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

func server(h http.Handler) http.Handler { return middleware.Relay(propagation.Istio())(h) }

func client() *http.Client {
	return &http.Client{Transport: otelhttp.NewTransport(&middleware.Transport{})}
}
