package send

import (
	"net/http"

	"resty.dev/v3"
)

func resty3(w http.ResponseWriter, r *http.Request) {
	req := resty.New().R()
	req.Method, req.URL = http.MethodGet, "http://prices/1"
	req.SetContext(r.Context())
	_, _ = req.Send()
}
