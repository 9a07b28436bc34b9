package send

import (
	"net/http"

	"github.com/go-resty/resty/v2"
)

func restyBackground(w http.ResponseWriter, r *http.Request) {
	_, _ = resty.New().R().SetContext(r.Context()).Execute(http.MethodGet, "http://prices/1")
}
