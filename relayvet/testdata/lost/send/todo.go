package send

import (
	"context"
	"net/http"
)

func todo(ctx context.Context) {
	req, err := http.NewRequestWithContext(context.TODO(), http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req) // want `Do is sent with context.TODO\(\): .*; pass ctx`
	if err != nil {
		return
	}
	resp.Body.Close()
}
