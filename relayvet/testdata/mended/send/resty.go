package send

import (
	"net/http"

	"github.com/go-resty/resty/v2"
)

func restyGet(w http.ResponseWriter, r *http.Request) {
	_, _ = resty.New().R().SetHeader("Accept", "application/json").SetQueryParam("q", r.FormValue("q")).SetContext(r.Context()).Get("http://prices/1")
}
