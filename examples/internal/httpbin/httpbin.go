// Package httpbin is the service at the end of the walkthrough: go-httpbin,
// traced like the others.
package httpbin

import (
	"cmp"
	"log/slog"
	"net/http"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
	"github.com/tracebaton/tracebaton/examples/internal/serve"
	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
)

// Config is what an httpbin is made from. The zero value makes no spans.
type Config struct {
	// Tracing joins requests to their traces. Nil makes no spans.
	Tracing *telemetry.Tracing

	// Logger gets a line a request. Nil is slog.Default().
	Logger *slog.Logger
}

// New returns the service.
func New(cfg Config) http.Handler {
	// go-httpbin routes with a ServeMux, on the very request that it is given,
	// so that the telemetry outside sees the pattern of the route.
	return cfg.Tracing.Handler(serve.Log(cmp.Or(cfg.Logger, slog.Default()))(httpbin.New()))
}
