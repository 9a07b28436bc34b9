package defaultclient

import (
	"net/http"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func server(h http.Handler) http.Handler { return middleware.Relay(propagation.Istio())(h) }

func price(w http.ResponseWriter, r *http.Request) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req) // want `http.DefaultClient.Do uses a client that does not relay`
	if err != nil {
		return
	}
	resp.Body.Close()
}
