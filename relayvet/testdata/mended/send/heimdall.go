package send

import (
	"net/http"

	"github.com/gojek/heimdall/v7/httpclient"
)

func heimdallGet(w http.ResponseWriter, r *http.Request) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	_, _ = httpclient.NewClient().Do(req)
}
