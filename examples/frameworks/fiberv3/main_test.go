package main

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
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
	go func() { _ = app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true}) }()
	t.Cleanup(func() { _ = app.Shutdown() })
	return "http://" + listener.Addr().String()
}

func TestFiberKeepsTheTrace(t *testing.T) {
	exampletest.ConformsAt(t, serve(t, app(&http.Client{})), "/?url={upstream}")
}

// received returns what a handler finds in the context that it takes for its
// calls.
func received(t *testing.T, relay fiber.Handler, context func(fiber.Ctx) context.Context) http.Header {
	t.Helper()
	got := http.Header{}
	app := fiber.New()
	app.Use(relay)
	app.Get("/", func(c fiber.Ctx) error {
		propagation.FromContext(context(c)).Inject(got)
		return nil
	})
	exampletest.Get(t, serve(t, app), exampletest.Trace("r"))
	return got
}

func TestAFiberCtxPassedOnAsAContextLosesEverything(t *testing.T) {
	ours := relay(propagation.Istio())
	assert.Empty(t, received(t, ours, func(c fiber.Ctx) context.Context { return c }))
	assert.Equal(t, exampletest.Trace("r"), received(t, ours, fiber.Ctx.Context), "c.Context() has them")
}

func TestRelayThroughFibersAdaptorLeavesTheContextEmpty(t *testing.T) {
	adapted := adaptor.HTTPMiddleware(middleware.Relay(propagation.Istio()))
	assert.Empty(t, received(t, adapted, fiber.Ctx.Context))
	assert.Equal(t, exampletest.Trace("r"), received(t, relay(propagation.Istio()), fiber.Ctx.Context), "and Receive fills it")
}
