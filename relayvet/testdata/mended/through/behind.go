package through

import (
	"context"
	"net/http"
)

func behindPrice(ctx context.Context) string {
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

type pricer interface{ cost(context.Context) string }

type httpPricer struct{}

func (httpPricer) cost(ctx context.Context) string { return behindPrice(ctx) }

func behindHandler(p pricer, w http.ResponseWriter, r *http.Request) {
	_ = p.cost(r.Context())
}
