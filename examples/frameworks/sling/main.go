// Sling makes a request without a context, which is given to it afterwards.
package main

import (
	"net/http"

	"github.com/dghubble/sling"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func service(upstream string, client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}

	api := sling.New().Client(client).Base(upstream)
	return middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := api.New().Get("/").Request()
		if err != nil {
			example.Answer(w, nil, err)
			return
		}
		_, err = api.Do(req.WithContext(r.Context()), nil, nil)
		example.Answer(w, []byte("called\n"), err)
	}))
}

func main() { example.Serve(service) }
