package upgrade

import (
	"net/http"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

func server(h http.Handler) http.Handler {
	return h2c.NewHandler(middleware.Relay(propagation.Istio())(h), &http2.Server{})
}
