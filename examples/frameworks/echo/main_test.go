package main

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestEchoKeepsTheTrace(t *testing.T) { exampletest.Conforms(t, service) }

var relay = echo.WrapMiddleware(middleware.Relay(propagation.Istio()))

func TestEchosContextTimeoutMayStandOnEitherSide(t *testing.T) {
	timeout := echomiddleware.ContextTimeout(time.Minute)
	for side, order := range map[string][]echo.MiddlewareFunc{"outside": {timeout, relay}, "inside": {relay, timeout}} {
		t.Run(side, func(t *testing.T) {
			exampletest.Conforms(t, func(upstream string, client *http.Client) http.Handler {
				client.Transport = &middleware.Transport{Base: client.Transport}
				e := echo.New()
				e.Use(order...)
				e.GET("/", func(c echo.Context) error {
					body, err := example.Get(c.Request().Context(), client, upstream)
					if err != nil {
						return echo.NewHTTPError(http.StatusBadGateway, err.Error())
					}
					return c.Blob(http.StatusOK, echo.MIMETextPlain, body)
				})
				return e
			})
		})
	}
}

// late returns the request IDs that a handler finds after its timeout, when its
// echo.Context serves another request: with the context that it took before,
// and with c.
func late(t *testing.T, timeout echo.MiddlewareFunc) (before, after string) {
	t.Helper()
	started, release, done := make(chan echo.Context, 1), make(chan struct{}), make(chan struct{})
	var other echo.Context
	e := echo.New()
	e.Use(timeout, relay)
	e.GET("/slow", func(c echo.Context) error {
		ctx := c.Request().Context()
		started <- c
		<-release
		before = propagation.FromContext(ctx).Get("x-request-id")
		after = propagation.FromContext(c.Request().Context()).Get("x-request-id")
		done <- struct{}{}
		return nil
	})
	e.GET("/", func(c echo.Context) error {
		other = c
		return nil
	})
	url := exampletest.Serve(t, e)
	for range 1000 { // a pool promises nothing
		status, _ := exampletest.Try(t, url+"/slow", exampletest.Trace("first"))
		assert.Equal(t, http.StatusServiceUnavailable, status)
		slow := <-started
		exampletest.Get(t, url, exampletest.Trace("another"))
		release <- struct{}{}
		<-done
		if other == slow {
			return before, after
		}
	}
	require.Fail(t, "echo did not reuse its context")
	return "", ""
}

func TestEchosTimeoutLeavesTheHandlerWithTheContextOfAnotherRequest(t *testing.T) {
	before, after := late(t, echomiddleware.TimeoutWithConfig(echomiddleware.TimeoutConfig{Timeout: 50 * time.Millisecond})) //nolint:staticcheck // the trap
	assert.Equal(t, "another", after, "c belongs to another request by now")
	assert.Equal(t, "first", before, "and the context that was taken before does not")

	t.Run("and ContextTimeout answers when the handler has returned", func(t *testing.T) {
		var got string
		e := echo.New()
		e.Use(echomiddleware.ContextTimeout(time.Millisecond), relay)
		e.GET("/", func(c echo.Context) error {
			<-c.Request().Context().Done()
			got = propagation.FromContext(context.WithoutCancel(c.Request().Context())).Get("x-request-id")
			return c.Request().Context().Err()
		})
		status, _ := exampletest.Try(t, exampletest.Serve(t, e), exampletest.Trace("first"))
		assert.Equal(t, http.StatusServiceUnavailable, status)
		assert.Equal(t, "first", got)
	})
}
