package send

import (
	"net/http"

	"github.com/imroc/req/v3"
)

func imroc(w http.ResponseWriter, r *http.Request) {
	_, _ = req.R().SetContext(r.Context()).Get("http://prices/1")
}
