package transport

import (
	"net/http"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func server(h http.Handler) http.Handler { return middleware.Relay(propagation.Istio())(h) }

func client() *http.Client {
	t := &http.Transport{MaxIdleConns: 9}
	return &http.Client{Transport: &middleware.Transport{Base: t}}
}
