package send

import (
	"context"
	"net/http"
)

func half(ctx context.Context, cached bool) {
	if cached {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://cache/1", nil)
		if err != nil {
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return
		}
		resp.Body.Close()
		return
	}
	req, err := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req) // want `Do is sent without ctx: `
	if err != nil {
		return
	}
	resp.Body.Close()
}
