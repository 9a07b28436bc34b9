package main

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v5"
	echomiddleware "github.com/labstack/echo/v5/middleware"
	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestEchoKeepsTheTrace(t *testing.T) { exampletest.Conforms(t, service) }

func TestWorkThatEchosTimeoutEndsKeepsItsHeadersWithoutCancel(t *testing.T) {
	var ended error
	var kept string
	e := echo.New()
	e.Use(echomiddleware.ContextTimeout(time.Millisecond), echo.WrapMiddleware(middleware.Relay(propagation.Istio())))
	e.GET("/", func(c *echo.Context) error {
		<-c.Request().Context().Done()
		ended = c.Request().Context().Err()
		ctx := context.WithoutCancel(c.Request().Context())
		assert.NoError(t, ctx.Err())
		kept = propagation.FromContext(ctx).Get("x-request-id")
		return c.NoContent(http.StatusOK)
	})
	exampletest.Get(t, exampletest.Serve(t, e), exampletest.Trace("r"))
	assert.ErrorIs(t, ended, context.DeadlineExceeded)
	assert.Equal(t, "r", kept)
}
