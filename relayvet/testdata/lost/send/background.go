package send

import (
	"context"
	"net/http"
)

func background(w http.ResponseWriter, r *http.Request) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req) // want `Do is sent with context.Background\(\): .*; pass r.Context\(\)`
	if err != nil {
		return
	}
	resp.Body.Close()
}
