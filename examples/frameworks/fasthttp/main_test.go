package main

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func serve(t *testing.T, h fasthttp.RequestHandler) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &fasthttp.Server{Handler: h}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Shutdown() })
	return "http://" + listener.Addr().String()
}

func TestFasthttpKeepsTheTrace(t *testing.T) {
	exampletest.ConformsAt(t, serve(t, handler(&http.Client{})), "/?url={upstream}")
}

// after returns the request ID that work of the first request finds when the
// connection has served others.
func after(t *testing.T, receive func(*fasthttp.RequestCtx) context.Context) string {
	t.Helper()
	var kept context.Context
	url := serve(t, func(c *fasthttp.RequestCtx) {
		if kept == nil {
			kept = receive(c)
		}
	})
	exampletest.Get(t, url, exampletest.Trace("first"))
	for range 100 {
		exampletest.Get(t, url, exampletest.Trace("other"))
	}
	return propagation.FromContext(kept).Get("x-request-id")
}

// adapted returns what receive makes of the request that the adaptor makes.
func adapted(receive func(*http.Request) context.Context) func(*fasthttp.RequestCtx) context.Context {
	return func(c *fasthttp.RequestCtx) context.Context {
		var r http.Request
		if err := fasthttpadaptor.ConvertRequest(c, &r, true); err != nil {
			panic(err)
		}
		return receive(&r)
	}
}

func TestExtractFromAnAdaptedRequestHasTheHeadersOfAnotherAfterwards(t *testing.T) {
	assert.Equal(t, "other", after(t, adapted(func(r *http.Request) context.Context {
		return propagation.NewContext(context.Background(), propagation.Istio().Extract(r.Header))
	})))
	assert.Equal(t, "first", after(t, adapted(func(r *http.Request) context.Context {
		return propagation.Istio().Incoming(r).Context()
	})), "Incoming, and so Relay, copies what is not net/http's own")
	assert.Equal(t, "first", after(t, func(c *fasthttp.RequestCtx) context.Context {
		return incoming(propagation.Istio(), c)
	}), "and so does Collect")
}

func TestARelayInsideTheAdaptorKeepsTheTrace(t *testing.T) {
	upstream := exampletest.NewUpstream(t)
	client := &http.Client{Transport: &middleware.Transport{}}
	relayed := middleware.Relay(propagation.Istio())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, upstream.URL, nil)
		if res, err := client.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}))
	exampletest.Get(t, serve(t, fasthttpadaptor.NewFastHTTPHandler(relayed)), exampletest.Trace("r"))
	assert.Equal(t, []http.Header{exampletest.Trace("r")}, upstream.Calls())
}
