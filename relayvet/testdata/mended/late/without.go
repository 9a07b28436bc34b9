package late

import (
	"context"
	"net/http"
)

func without(w http.ResponseWriter, r *http.Request) {
	go func() {
		req, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), http.MethodGet, "http://audit/log", nil)
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
