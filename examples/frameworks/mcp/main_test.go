package main

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestAToolKeepsTheTrace(t *testing.T) {
	exampletest.ConformsLater(t, func(client *http.Client) http.Handler {
		session, err := connect(context.Background(), server(client), send)
		require.NoError(t, err)
		return service(session)
	})
}

// arrived returns the trace headers of the tool's call.
func arrived(t *testing.T, serve func(upstream string, s *mcp.Server) http.Handler) http.Header {
	t.Helper()
	upstream := exampletest.NewUpstream(t)
	s := server(&http.Client{Transport: &middleware.Transport{}})
	exampletest.Get(t, exampletest.Serve(t, serve(upstream.URL, s))+"/?url="+url.QueryEscape(upstream.URL), exampletest.Trace("r"))
	calls := upstream.Calls()
	require.Len(t, calls, 1)
	return calls[0]
}

func TestASessionTakesNothingOutOfTheContext(t *testing.T) {
	with := func(sending ...mcp.Middleware) http.Header {
		return arrived(t, func(_ string, s *mcp.Server) http.Handler {
			session, err := connect(t.Context(), s, sending...)
			require.NoError(t, err)
			return service(session)
		})
	}
	assert.Empty(t, with())

	want := exampletest.Trace("r")
	want["Tracestate"] = []string{"a=r,b=2"}
	assert.Equal(t, want, with(send))
}

func TestMetadataThatTheCallerSetsKeepsItsFamilyOut(t *testing.T) {
	var got mcp.Meta
	last := func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if params, ok := req.GetParams().(*mcp.CallToolParams); ok {
				got = params.Meta
			}
			return next(ctx, method, req)
		}
	}
	session, err := connect(t.Context(), server(&http.Client{}), send, last)
	require.NoError(t, err)
	ctx := propagation.NewContext(t.Context(), families.Extract(exampletest.Trace("r")))
	_, err = session.CallTool(ctx, &mcp.CallToolParams{Name: "call", Meta: mcp.Meta{"traceparent": "own"}, Arguments: input{""}})
	require.NoError(t, err)
	assert.Equal(t, "own", got["traceparent"])
	assert.NotContains(t, got, "tracestate")
	assert.Equal(t, "r", got["x-request-id"])
}
