package client

import (
	"net/http"
	"time"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func server(h http.Handler) http.Handler { return middleware.Relay(propagation.Istio())(h) }

func client() *http.Client {
	return &http.Client{Timeout: time.Second} // want `this program relays what comes in, but this client does not`
}
