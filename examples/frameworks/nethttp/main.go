// What net/http wraps handlers in, and a middleware that compresses, go inside
// Relay or outside: it touches neither the ResponseWriter nor the body.
package main

import (
	"net/http"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func service(upstream string, client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		body, err := example.Get(r.Context(), client, upstream)
		example.Answer(w, body, err)
	})
	limited := http.MaxBytesHandler(http.TimeoutHandler(mux, 5*time.Second, "too slow"), 1<<20)
	return middleware.Relay(propagation.Istio())(http.StripPrefix("/api", gzhttp.GzipHandler(limited)))
}

func main() { example.Serve(service) }
