package send

import (
	"net/http"

	"github.com/go-resty/resty/v2"
)

func restyGet(w http.ResponseWriter, r *http.Request) {
	_, _ = resty.New().R().SetQueryParam("q", r.FormValue("q")).Get("http://prices/1") // want `Get is sent without r's context: .*; bind it with SetContext\(r.Context\(\)\)`
}
