package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/urfave/negroni/v3"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestNegroniKeepsTheTrace(t *testing.T) { exampletest.Conforms(t, service) }

func TestARelayBesideTheHandlerIsLost(t *testing.T) {
	beside := func(upstream string, client *http.Client) http.Handler {
		client.Transport = &middleware.Transport{Base: client.Transport}
		nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		n := negroni.New()
		n.UseHandler(middleware.Relay(propagation.Istio())(nothing)) // what comes next gets the request as it was
		n.UseHandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := example.Get(r.Context(), client, upstream)
			example.Answer(w, body, err)
		})
		return n
	}
	assert.Empty(t, exampletest.Arrived(t, beside, exampletest.Trace("r")))
	assert.Equal(t, exampletest.Trace("r"), exampletest.Arrived(t, service, exampletest.Trace("r")), "around it, it is not")
}
