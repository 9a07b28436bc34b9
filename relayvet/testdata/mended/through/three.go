package through

import (
	"context"
	"net/http"
)

func threePrice(ctx context.Context) string {
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

func threeTotal(ctx context.Context) string { return threePrice(ctx) }

func threeCart(ctx context.Context) string { return threeTotal(ctx) }

func threeHandler(w http.ResponseWriter, r *http.Request) {
	_ = threeCart(r.Context())
}
