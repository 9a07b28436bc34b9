package main

import (
	"context"
	"net/http"
	"os"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	os.Exit(m.Run())
}

func TestGinKeepsTheTrace(t *testing.T) { exampletest.Conforms(t, service) }

// engine returns an engine that receives the headers.
func engine(fallback bool, handle func(*gin.Context)) *gin.Engine {
	families := propagation.Istio()
	e := gin.New()
	e.ContextWithFallback = fallback
	e.Use(func(c *gin.Context) {
		c.Request = families.Incoming(c.Request)
		c.Next()
	})
	e.GET("/", handle)
	return e
}

// passing returns a service that takes what context returns for its call.
func passing(fallback bool, context func(*gin.Context) context.Context) example.Service {
	return func(upstream string, client *http.Client) http.Handler {
		client.Transport = &middleware.Transport{Base: client.Transport}
		return engine(fallback, func(c *gin.Context) {
			body, err := example.Get(context(c), client, upstream)
			example.Answer(c.Writer, body, err)
		})
	}
}

func itself(c *gin.Context) context.Context { return c }

func TestAGinContextPassedOnAsAContextLosesEverything(t *testing.T) {
	assert.Empty(t, exampletest.Arrived(t, passing(false, itself), exampletest.Trace("r")))

	t.Run("unless the engine has ContextWithFallback", func(t *testing.T) {
		assert.Equal(t, exampletest.Trace("r"), exampletest.Arrived(t, passing(true, itself), exampletest.Trace("r")))
	})
	t.Run("and the request's context has them in any case", func(t *testing.T) {
		exampletest.Conforms(t, passing(false, func(c *gin.Context) context.Context { return c.Request.Context() }))
	})
}

// keeping returns what keep made of the context of a request, after another
// request was served by the same gin.Context.
func keeping(t *testing.T, keep func(*gin.Context) context.Context) context.Context {
	t.Helper()
	var served *gin.Context
	var kept context.Context
	url := exampletest.Serve(t, engine(true, func(c *gin.Context) {
		served, kept = c, context.WithoutCancel(keep(c))
	}))
	for range 1000 { // a pool promises nothing
		exampletest.Get(t, url, exampletest.Trace("first"))
		first, ctx := served, kept
		exampletest.Get(t, url, exampletest.Trace("another"))
		if served == first {
			return ctx
		}
	}
	require.Fail(t, "gin did not reuse its context")
	return nil
}

func TestAGinContextThatIsKeptHasTheHeadersOfAnotherRequest(t *testing.T) {
	id := func(ctx context.Context) string { return propagation.FromContext(ctx).Get("x-request-id") }
	assert.Equal(t, "another", id(keeping(t, itself)))

	t.Run("and c.Copy has its own", func(t *testing.T) {
		assert.Equal(t, "first", id(keeping(t, func(c *gin.Context) context.Context { return c.Copy() })))
	})
	t.Run("and so has the request's context", func(t *testing.T) {
		assert.Equal(t, "first", id(keeping(t, func(c *gin.Context) context.Context { return c.Request.Context() })))
	})
}
