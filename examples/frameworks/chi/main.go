// Chi's middleware has the form of net/http: Relay is used as it is.
package main

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func service(upstream string, client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}

	r := chi.NewRouter()
	r.Use(middleware.Relay(propagation.Istio()))
	r.Get("/", func(w http.ResponseWriter, r *http.Request) {
		body, err := example.Get(r.Context(), client, upstream)
		example.Answer(w, body, err)
	})
	return r
}

func main() { example.Serve(service) }
