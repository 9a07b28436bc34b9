// Every attempt of go-retryablehttp's is a call of its own, with the headers: the
// transport goes into the client inside.
package main

import (
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func service(upstream string, client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}

	retry := retryablehttp.NewClient()
	retry.HTTPClient = client
	retry.Logger = nil
	retry.RetryMax, retry.RetryWaitMin, retry.RetryWaitMax = 1, time.Millisecond, time.Millisecond
	return middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := retryablehttp.NewRequestWithContext(r.Context(), http.MethodGet, upstream, nil)
		if err != nil {
			example.Answer(w, nil, err)
			return
		}
		res, err := retry.Do(req)
		if err != nil {
			example.Answer(w, nil, err)
			return
		}
		body, err := example.Read(res)
		example.Answer(w, body, err)
	}))
}

func main() { example.Serve(service) }
