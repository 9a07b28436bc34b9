package send

import (
	"net/http"

	"github.com/go-resty/resty/v2"
)

func restyGet(w http.ResponseWriter, r *http.Request) {
	_, _ = resty.New().R().SetHeader("Accept", "application/json").SetQueryParam("q", r.FormValue("q")).Get("http://prices/1") // want `resty.Request.Get is sent without r's context: .*; bind it with SetContext\(r.Context\(\)\)`
}
