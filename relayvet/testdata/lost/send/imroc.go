package send

import (
	"net/http"

	"github.com/imroc/req/v3"
)

func imroc(w http.ResponseWriter, r *http.Request) {
	_, _ = req.R().Get("http://prices/1") // want `Get is sent without r's context`
}
