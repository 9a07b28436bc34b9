package prices

import (
	"context"
	"net/http"
)

// Fetch is called by another package.
func Fetch(ctx context.Context) string {
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
