// Resty takes an http.Client, and has to be told each request's context.
package main

import (
	"net/http"

	"github.com/go-resty/resty/v2"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func service(upstream string, client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}

	api := resty.NewWithClient(client)
	return middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		res, err := api.R().SetContext(r.Context()).Get(upstream)
		if err != nil {
			example.Answer(w, nil, err)
			return
		}
		example.Answer(w, res.Body(), nil)
	}))
}

func main() { example.Serve(service) }
