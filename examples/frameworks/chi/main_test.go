package main

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestChiKeepsTheTrace(t *testing.T) { exampletest.Conforms(t, service) }

// with returns a service in which other middleware stands outside Relay, or
// inside it.
func with(outside, inside func(http.Handler) http.Handler) example.Service {
	return func(upstream string, client *http.Client) http.Handler {
		client.Transport = &middleware.Transport{Base: client.Transport}
		r := chi.NewRouter()
		if outside != nil {
			r.Use(outside)
		}
		r.Use(middleware.Relay(propagation.Istio()))
		if inside != nil {
			r.Use(inside)
		}
		r.Get("/", func(w http.ResponseWriter, r *http.Request) {
			body, err := example.Get(r.Context(), client, upstream)
			example.Answer(w, body, err)
		})
		return r
	}
}

// calls is middleware that asks another service first, as authentication does.
func calls(url string, client *http.Client) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := example.Get(r.Context(), client, url); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func TestMiddlewareOutsideRelayCallsWithoutHeaders(t *testing.T) {
	auth := exampletest.NewUpstream(t)
	client := &http.Client{Transport: &middleware.Transport{}}
	exampletest.Arrived(t, with(calls(auth.URL, client), nil), exampletest.Trace("r"))
	assert.Equal(t, []http.Header{{}}, auth.Calls())

	t.Run("and inside it with them", func(t *testing.T) {
		exampletest.Arrived(t, with(nil, calls(auth.URL, client)), exampletest.Trace("r"))
		assert.Equal(t, []http.Header{exampletest.Trace("r")}, auth.Calls())
	})
}

func TestARelayOnASubrouterLeavesTheOthersWithoutHeaders(t *testing.T) {
	routes := func(everywhere bool) example.Service {
		return func(upstream string, client *http.Client) http.Handler {
			client.Transport = &middleware.Transport{Base: client.Transport}
			relay := middleware.Relay(propagation.Istio())
			get := func(w http.ResponseWriter, r *http.Request) {
				body, err := example.Get(r.Context(), client, upstream)
				example.Answer(w, body, err)
			}
			r := chi.NewRouter()
			if everywhere {
				r.Use(relay)
			}
			r.Get("/", get)
			r.Route("/api", func(r chi.Router) {
				r.Use(relay)
				r.Get("/", get)
			})
			return r
		}
	}
	assert.Empty(t, exampletest.Arrived(t, routes(false), exampletest.Trace("r")))
	assert.Equal(t, exampletest.Trace("r"), exampletest.Arrived(t, routes(true), exampletest.Trace("r")), "on the outermost router")
}

// Chi's timeout ends the context and leaves the answer to the handler, in the
// same goroutine: either order is right.
func TestChisTimeoutMayStandOnEitherSide(t *testing.T) {
	timeout := chimiddleware.Timeout(time.Minute)
	for side, service := range map[string]example.Service{"outside": with(timeout, nil), "inside": with(nil, timeout)} {
		t.Run(side, func(t *testing.T) { exampletest.Conforms(t, service) })
	}
}

func TestWorkThatChisTimeoutEndsKeepsItsHeadersWithoutCancel(t *testing.T) {
	upstream := exampletest.NewUpstream(t)
	client := &http.Client{Transport: &middleware.Transport{}}
	errs := make(chan error, 2)
	handler := middleware.Relay(propagation.Istio())(chimiddleware.Timeout(time.Millisecond)(http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			_, err := example.Get(r.Context(), client, upstream.URL)
			errs <- err
			_, err = example.Get(context.WithoutCancel(r.Context()), client, upstream.URL)
			errs <- err
		})))
	status, _ := exampletest.Try(t, exampletest.Serve(t, handler), exampletest.Trace("r"))

	assert.Equal(t, http.StatusGatewayTimeout, status)
	assert.ErrorIs(t, <-errs, context.DeadlineExceeded)
	assert.NoError(t, <-errs)
	assert.Equal(t, []http.Header{exampletest.Trace("r")}, upstream.Calls())
}
