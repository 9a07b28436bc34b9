package main

import (
	"net/http"
	"testing"

	"github.com/dghubble/sling"
	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestSlingKeepsTheTrace(t *testing.T) { exampletest.Conforms(t, service) }

func TestReceiveHasNoContextAndNoHeaders(t *testing.T) {
	receive := func(upstream string, client *http.Client) http.Handler {
		client.Transport = &middleware.Transport{Base: client.Transport}
		api := sling.New().Client(client).Base(upstream)
		return middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := api.New().Get("/").Receive(nil, nil)
			example.Answer(w, nil, err)
		}))
	}
	assert.Empty(t, exampletest.Arrived(t, receive, exampletest.Trace("r")))
	assert.Equal(t, exampletest.Trace("r"), exampletest.Arrived(t, service, exampletest.Trace("r")), "a request that is given one has")
}
