package through

import (
	"context"
	"net/http"
)

func methodPrice(ctx context.Context) string {
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

type methodServer struct{}

func (s methodServer) price(ctx context.Context) string { return methodPrice(ctx) }

func (s methodServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = s.price(r.Context())
}
