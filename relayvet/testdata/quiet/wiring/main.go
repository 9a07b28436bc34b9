// Command wiring makes a client whose transport the function sets that it is
// given to.
package main

import (
	"net/http"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func service(client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}
	return middleware.Relay(propagation.Istio())(http.NotFoundHandler())
}

func main() { http.Handle("/", service(&http.Client{Timeout: 1})) }
