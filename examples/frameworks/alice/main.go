// In a chain of alice's, Relay is the first: what comes before it calls and logs
// without headers.
package main

import (
	"log/slog"
	"net/http"

	"github.com/justinas/alice"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// logged logs each request with its trace.
func logged(log *slog.Logger) alice.Constructor {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			log.InfoContext(r.Context(), "serving", "path", r.URL.Path, "trace", propagation.FromContext(r.Context()))
			next.ServeHTTP(w, r)
		})
	}
}

func service(upstream string, client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}

	chain := alice.New(middleware.Relay(propagation.Istio()), logged(slog.Default()))
	return chain.ThenFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := example.Get(r.Context(), client, upstream)
		example.Answer(w, body, err)
	})
}

func main() { example.Serve(service) }
