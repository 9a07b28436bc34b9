package late

import (
	"context"
	"net/http"
)

func canceled(w http.ResponseWriter, r *http.Request) {
	go func() {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://prices/1", nil)
		if err != nil {
			return
		}
		resp, err := http.DefaultClient.Do(req) // want `Do is sent by a goroutine that may outlive the request, whose context is canceled when the handler returns: use context.WithoutCancel\(r.Context\(\)\)`
		if err != nil {
			return
		}
		resp.Body.Close()
	}()
}

var _ = context.Background
