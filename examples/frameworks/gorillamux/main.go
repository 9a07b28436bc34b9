// Gorilla's middleware has the form of net/http, and runs for routes that match
// only: Relay stands outside the router.
package main

import (
	"net/http"

	"github.com/gorilla/mux"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func service(upstream string, client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}

	router := mux.NewRouter()
	router.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, err := example.Get(r.Context(), client, upstream)
		example.Answer(w, body, err)
	})
	return middleware.Relay(propagation.Istio())(router)
}

func main() { example.Serve(service) }
