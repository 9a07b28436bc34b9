package send

import (
	"net/http"

	"resty.dev/v3"
)

func resty3(w http.ResponseWriter, r *http.Request) {
	req := resty.New().R()
	req.Method, req.URL = http.MethodGet, "http://prices/1"
	_, _ = req.Send() // want `req.Send is sent without r's context`
}
