// Connect's handlers and clients are net/http's: Relay and Transport serve all of
// its protocols, unary calls and streams.
package main

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// What protoc-gen-connect-go generates of a service with one method.
const procedure = "/calls.v1.Calls/Call"

type text = wrapperspb.StringValue

func calls(client *http.Client) http.Handler {
	return connect.NewUnaryHandler(procedure, func(ctx context.Context, req *connect.Request[text]) (*connect.Response[text], error) {
		body, err := example.Get(ctx, client, req.Msg.Value)
		if err != nil {
			return nil, connect.NewError(connect.CodeUnavailable, err)
		}
		return connect.NewResponse(wrapperspb.String(string(body))), nil
	})
}

// newCallsClient takes a client with a middleware.Transport.
func newCallsClient(client connect.HTTPClient, url string, options ...connect.ClientOption) *connect.Client[text, text] {
	return connect.NewClient[text, text](client, url+procedure, options...)
}

func service(_ string, client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}

	mux := http.NewServeMux()
	mux.Handle(procedure, calls(client))
	return middleware.Relay(propagation.Istio())(mux)
}

func main() { example.Serve(service) }
