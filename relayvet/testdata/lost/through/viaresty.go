package through

import (
	"net/http"

	"github.com/go-resty/resty/v2"
)

func restyPrice() (*resty.Response, error) {
	return resty.New().R().Get("http://prices/1") // want `Get is sent without the context that its caller has: viaResty -> restyPrice -> resty.New\(\).R\(\).Get`
}

func viaResty(w http.ResponseWriter, r *http.Request) { _, _ = restyPrice() }
