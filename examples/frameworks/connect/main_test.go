package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// With Connect's own protocol, a call is a POST of JSON.
func TestAMethodKeepsTheTrace(t *testing.T) {
	exampletest.ConformsPosted(t, procedure, `"{upstream}"`, service)
}

// serve serves the handler with HTTP/2 without TLS, beside HTTP/1.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// http2 sends with HTTP/2 without TLS, as gRPC does.
func http2() *http.Transport {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return &http.Transport{Protocols: p}
}

var protocols = map[string][]connect.ClientOption{
	"Connect": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()},
}

func TestAClientWithoutTransportLosesEverything(t *testing.T) {
	upstream := exampletest.NewUpstream(t)
	url := serve(t, middleware.Relay(propagation.Istio())(calls(&http.Client{Transport: &middleware.Transport{}})))
	ctx := propagation.NewContext(t.Context(), propagation.Istio().Extract(exampletest.Trace("r")))
	for protocol, options := range protocols {
		call := func(client *http.Client) []http.Header {
			_, err := newCallsClient(client, url, options...).CallUnary(ctx, connect.NewRequest(wrapperspb.String(upstream.URL)))
			require.NoError(t, err)
			return upstream.Calls()
		}
		assert.Equal(t, []http.Header{{}}, call(&http.Client{Transport: http2()}), protocol)
		assert.Equal(t, []http.Header{exampletest.Trace("r")}, call(&http.Client{Transport: &middleware.Transport{Base: http2()}}), protocol)
	}
}

// An interceptor of connect's that handles unary calls alone is the usual way to
// add a header.
func TestAnInterceptorForUnaryCallsLeavesStreamsWithout(t *testing.T) {
	var got propagation.Headers
	stream := connect.NewClientStreamHandler(procedure, func(ctx context.Context, s *connect.ClientStream[text]) (*connect.Response[text], error) {
		for s.Receive() {
			got = propagation.FromContext(ctx)
		}
		return connect.NewResponse(&text{}), s.Err()
	})
	url := serve(t, middleware.Relay(propagation.Istio())(stream))
	ctx := propagation.NewContext(t.Context(), propagation.Istio().Extract(exampletest.Trace("r")))
	send := func(client *http.Client, options ...connect.ClientOption) string {
		s := newCallsClient(client, url, options...).CallClientStream(ctx)
		require.NoError(t, s.Send(&text{}))
		_, err := s.CloseAndReceive()
		require.NoError(t, err)
		return got.Get("x-request-id")
	}
	inject := connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			propagation.FromContext(ctx).Inject(req.Header())
			return next(ctx, req)
		}
	})
	assert.Empty(t, send(&http.Client{Transport: http2()}, connect.WithInterceptors(inject)))
	assert.Equal(t, "r", send(&http.Client{Transport: &middleware.Transport{Base: http2()}}))
}
