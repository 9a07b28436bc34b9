package main

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"

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
	var others []echo.Context
	e := echo.New()
	e.HideBanner = true
	e.Use(timeout, relay)
	e.GET("/slow", func(c echo.Context) error {
		defer close(done)
		ctx := c.Request().Context()
		started <- c
		<-release
		before = propagation.FromContext(ctx).Get("x-request-id")
		after = propagation.FromContext(c.Request().Context()).Get("x-request-id")
		return nil
	})
	e.GET("/", func(c echo.Context) error {
		others = append(others, c)
		return nil
	})
	url := exampletest.Serve(t, e)
	status, _ := exampletest.Try(t, url+"/slow", exampletest.Trace("first"))
	assert.Equal(t, http.StatusServiceUnavailable, status)
	slow := <-started
	for i := 0; i < 1000 && !slices.Contains(others, slow); i++ { // a pool promises nothing
		exampletest.Get(t, url, exampletest.Trace("another"))
	}
	close(release)
	<-done
	return before, after
}

func TestEchosTimeoutLeavesTheHandlerWithTheContextOfAnotherRequest(t *testing.T) {
	before, after := late(t, echomiddleware.TimeoutWithConfig(echomiddleware.TimeoutConfig{Timeout: time.Millisecond})) //nolint:staticcheck // the trap
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
