package main

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func serve(t *testing.T, app *fiber.App) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = app.Listener(listener) }()
	t.Cleanup(func() { _ = app.Shutdown() })
	return "http://" + listener.Addr().String()
}

func TestFiberKeepsTheTrace(t *testing.T) {
	exampletest.ConformsAt(t, serve(t, app(&http.Client{})), "/?url={upstream}")
}

// received returns what a handler of an app with the middleware finds in its
// context.
func received(t *testing.T, middleware fiber.Handler) http.Header {
	t.Helper()
	got := http.Header{}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(middleware)
	app.Get("/", func(c *fiber.Ctx) error {
		propagation.FromContext(c.UserContext()).Inject(got)
		return nil
	})
	exampletest.Get(t, serve(t, app), exampletest.Trace("r"))
	return got
}

func TestRelayThroughFibersAdaptorLeavesTheUserContextEmpty(t *testing.T) {
	adapted := adaptor.HTTPMiddleware(middleware.Relay(propagation.Istio()))
	assert.Empty(t, received(t, adapted))
	assert.Equal(t, exampletest.Trace("r"), received(t, relay(propagation.Istio())), "and Receive fills it")
}

func TestFibersAdaptorRepeatsTheLastValueOfAHeader(t *testing.T) {
	var got []string
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(adaptor.HTTPMiddleware(func(next http.Handler) http.Handler { return next })) // does nothing
	app.Use(relay(propagation.Istio()))
	app.Get("/", func(c *fiber.Ctx) error {
		got = propagation.FromContext(c.UserContext()).Values("tracestate")
		return nil
	})
	exampletest.Get(t, serve(t, app), exampletest.Trace("r"))
	assert.Equal(t, []string{"b=2", "b=2"}, got, "so any middleware of net/http's goes after relay")
}

// after returns the request ID that work of the first request finds when the
// connection has served another one.
func after(t *testing.T, middleware fiber.Handler) string {
	t.Helper()
	var kept context.Context
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(middleware)
	app.Get("/", func(c *fiber.Ctx) error {
		if kept == nil {
			kept = c.UserContext()
		}
		return nil
	})
	url := serve(t, app)
	exampletest.Get(t, url, exampletest.Trace("first"))
	for range 100 {
		exampletest.Get(t, url, exampletest.Trace("other"))
	}
	return propagation.FromContext(kept).Get("x-request-id")
}

func TestHeadersThatAreNotCopiedTurnIntoThoseOfAnotherRequest(t *testing.T) {
	shared := func(c *fiber.Ctx) error {
		c.SetUserContext(propagation.Istio().Receive(c.UserContext(), func(name string) []string {
			if v := c.Get(name); v != "" { // a string over fiber's buffer
				return []string{v}
			}
			return nil
		}))
		return c.Next()
	}
	assert.Equal(t, "other", after(t, shared))
	assert.Equal(t, "first", after(t, relay(propagation.Istio())), "a copy stays")
}
