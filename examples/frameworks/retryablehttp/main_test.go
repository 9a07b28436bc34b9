package main

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestARetryingClientKeepsTheTrace(t *testing.T) { exampletest.Conforms(t, service) }

func TestGetHasNoContextAndNoHeaders(t *testing.T) {
	get := func(upstream string, client *http.Client) http.Handler {
		client.Transport = &middleware.Transport{Base: client.Transport}
		retry := retryablehttp.NewClient()
		retry.HTTPClient, retry.Logger = client, nil
		return middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			res, err := retry.Get(upstream)
			if err == nil {
				_ = res.Body.Close()
			}
			example.Answer(w, nil, err)
		}))
	}
	assert.Empty(t, exampletest.Arrived(t, get, exampletest.Trace("r")))
	assert.Equal(t, exampletest.Trace("r"), exampletest.Arrived(t, service, exampletest.Trace("r")), "NewRequestWithContext has")
}

func TestASecondAttemptHasTheHeadersToo(t *testing.T) {
	upstream := exampletest.NewUpstream(t)
	var attempts atomic.Int32
	client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		res, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && attempts.Add(1) == 1 {
			res.StatusCode = http.StatusServiceUnavailable
		}
		return res, err
	})}
	exampletest.Get(t, exampletest.Serve(t, service(upstream.URL, client)), exampletest.Trace("r"))
	assert.Equal(t, []http.Header{exampletest.Trace("r"), exampletest.Trace("r")}, upstream.Calls())
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
