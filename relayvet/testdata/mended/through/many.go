package through

import (
	"context"
	"net/http"
)

func manyPrice(ctx context.Context) string {
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

func manyHandler(w http.ResponseWriter, r *http.Request) {
	_ = manyPrice(r.Context())
}

func manyOther(w http.ResponseWriter, r *http.Request) {
	_ = manyPrice(r.Context())
}
