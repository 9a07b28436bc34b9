// The context that oauth2's Client is made with fetches every token from then
// on: it is that of the program, and tells the transport.
package main

import (
	"context"
	"net/http"
	"os"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func service(tokens string) example.Service {
	return func(upstream string, client *http.Client) http.Handler {
		client.Transport = &middleware.Transport{Base: client.Transport}

		config := &clientcredentials.Config{ClientID: "example", TokenURL: tokens}
		ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: client.Transport})
		client.Transport = config.Client(ctx).Transport // once, when the program starts
		return middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := example.Get(r.Context(), client, upstream)
			example.Answer(w, body, err)
		}))
	}
}

func main() { example.Serve(service(os.Getenv("TOKENS"))) }
