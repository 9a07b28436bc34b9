package through

import (
	"context"
	"net/http"
)

func madePrice() string {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return ""
	}
	resp, err := http.DefaultClient.Do(req) // want `http.DefaultClient.Do is sent without the context .*: madeHandler -> madePrice -> http.DefaultClient.Do`
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

func madeHandler(w http.ResponseWriter, r *http.Request) {
	_ = madePrice()
}
