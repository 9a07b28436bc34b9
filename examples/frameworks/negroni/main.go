// Negroni's middleware has a form of its own, which a Relay is put into with a
// line.
package main

import (
	"net/http"

	"github.com/urfave/negroni/v3"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func service(upstream string, client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}
	relay := middleware.Relay(propagation.Istio())

	n := negroni.New()
	n.UseFunc(func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) { relay(next).ServeHTTP(w, r) })
	n.UseHandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := example.Get(r.Context(), client, upstream)
		example.Answer(w, body, err)
	})
	return n
}

func main() { example.Serve(service) }
