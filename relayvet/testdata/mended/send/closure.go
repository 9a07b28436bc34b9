package send

import "net/http"

func retry(f func() error) error { return f() }

func closure(w http.ResponseWriter, r *http.Request) {
	_ = retry(func() error {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://prices/1", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}
