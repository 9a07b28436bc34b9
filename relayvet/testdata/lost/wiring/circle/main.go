package circle

import (
	"net/http"

	"github.com/tracebaton/tracebaton/middleware"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

func install() {
	http.DefaultTransport = otelhttp.NewTransport(&middleware.Transport{}) // want `every call will call itself: a nil Base is http.DefaultTransport`
}
