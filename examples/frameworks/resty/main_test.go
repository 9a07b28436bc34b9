package main

import (
	"net/http"
	"testing"

	"github.com/go-resty/resty/v2"
	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestRestyKeepsTheTrace(t *testing.T) { exampletest.Conforms(t, service) }

func TestARequestWithoutSetContextHasNoHeaders(t *testing.T) {
	without := func(upstream string, client *http.Client) http.Handler {
		client.Transport = &middleware.Transport{Base: client.Transport}
		api := resty.NewWithClient(client)
		return middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := api.R().Get(upstream)
			example.Answer(w, nil, err)
		}))
	}
	assert.Empty(t, exampletest.Arrived(t, without, exampletest.Trace("r")))
	assert.Equal(t, exampletest.Trace("r"), exampletest.Arrived(t, service, exampletest.Trace("r")), "and with it, all")
}

// Resty builds on the transport that it finds, so that SetTransport undoes
// what was there.
func TestSetTransportTakesTheHeadersAway(t *testing.T) {
	with := func(set func(*resty.Client)) example.Service {
		return func(upstream string, client *http.Client) http.Handler {
			client.Transport = &middleware.Transport{Base: client.Transport}
			api := resty.NewWithClient(client)
			set(api)
			return middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := api.R().SetContext(r.Context()).Get(upstream)
				example.Answer(w, nil, err)
			}))
		}
	}
	own := &http.Transport{MaxIdleConnsPerHost: 100}
	assert.Empty(t, exampletest.Arrived(t, with(func(c *resty.Client) { c.SetTransport(own) }), exampletest.Trace("r")))
	assert.Equal(t, exampletest.Trace("r"), exampletest.Arrived(t, with(func(c *resty.Client) {
		c.SetTransport(&middleware.Transport{Base: own})
	}), exampletest.Trace("r")), "unless the new one stands below middleware's")
}
