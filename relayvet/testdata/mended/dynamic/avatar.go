package dynamic

import (
	"context"
	"net/http"
)

func avatar(ctx context.Context, u string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
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

func avatarHandler(w http.ResponseWriter, r *http.Request) {
	_ = avatar(r.Context(), r.FormValue("u"))
}
