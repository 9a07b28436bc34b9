package main

import (
	"net/http"
	"testing"

	"github.com/gorilla/mux"
	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestGorillaMuxKeepsTheTrace(t *testing.T) { exampletest.Conforms(t, service) }

// A gateway answers what it has no route for from elsewhere.
func TestRelayInUseIsNotRunForNotFoundHandler(t *testing.T) {
	gateway := func(outside bool) example.Service {
		return func(upstream string, client *http.Client) http.Handler {
			client.Transport = &middleware.Transport{Base: client.Transport}
			relay := middleware.Relay(propagation.Istio())
			router := mux.NewRouter()
			router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := example.Get(r.Context(), client, upstream)
				example.Answer(w, body, err)
			})
			if outside {
				return relay(router)
			}
			router.Use(mux.MiddlewareFunc(relay))
			return router
		}
	}
	assert.Empty(t, exampletest.Arrived(t, gateway(false), exampletest.Trace("r")))
	assert.Equal(t, exampletest.Trace("r"), exampletest.Arrived(t, gateway(true), exampletest.Trace("r")), "outside the router")
}
