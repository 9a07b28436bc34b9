package through

import (
	"context"
	"net/http"
)

func twoPrice(ctx context.Context) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

func twoTotal(ctx context.Context) string { return twoPrice(ctx) }

func twoHandler(w http.ResponseWriter, r *http.Request) {
	_ = twoTotal(r.Context())
}
