package late

import (
	"context"
	"net/http"
)

func canceled(w http.ResponseWriter, r *http.Request) {
	go func() {
		req, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), http.MethodGet, "http://prices/1", nil)
		if err != nil {
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return
		}
		resp.Body.Close()
	}()
}

var _ = context.Background
