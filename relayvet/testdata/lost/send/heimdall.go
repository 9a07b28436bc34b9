package send

import (
	"net/http"

	"github.com/gojek/heimdall/v7/httpclient"
)

func heimdallGet(w http.ResponseWriter, r *http.Request) {
	_, _ = httpclient.NewClient().Get("http://prices/1", nil) // want `Get is sent without r's context: .*; use http.NewRequestWithContext\(r.Context\(\), …\)`
}
