package send

import "net/http"

func retry(f func() error) error { return f() }

func closure(w http.ResponseWriter, r *http.Request) {
	_ = retry(func() error {
		req, err := http.NewRequest(http.MethodGet, "http://prices/1", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req) // want `Do is sent without`
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}
