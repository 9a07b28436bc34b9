// Package httpbin is the service at the end of the walkthrough: go-httpbin,
// traced like the others.
package httpbin

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

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

// New returns the service: go-httpbin's, and /headers?strings, which shows each
// header as one string, as the original httpbin does, where go-httpbin shows a
// list of its values. Several values are joined with commas. Unlike the
// original's, it shows X-Request-Id and X-Forwarded-For, too.
func New(cfg Config) http.Handler {
	// go-httpbin routes with a ServeMux, on the very request that it is given,
	// so that the telemetry outside sees the pattern of the route.
	h := withStrings(httpbin.New())
	return cfg.Tracing.Handler(serve.Log(cmp.Or(cfg.Logger, slog.Default()))(h))
}

func withStrings(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		get := r.Method == http.MethodGet || r.Method == http.MethodHead
		if !get || r.URL.Path != "/headers" || !r.URL.Query().Has("strings") {
			next.ServeHTTP(w, r)
			return
		}
		r.Pattern = "/headers"
		headers := map[string]string{"Host": r.Host}
		for name, values := range r.Header {
			headers[name] = strings.Join(values, ",")
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		_ = enc.Encode(map[string]any{"headers": headers}) // strings always can be, and if the client is gone, nobody is left to tell
	})
}
