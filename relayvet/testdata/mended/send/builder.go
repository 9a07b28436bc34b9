package send

import "net/http"

func newPrice(id string) (*http.Request, error) {
	return http.NewRequest(http.MethodGet, "http://prices/"+id, nil)
}

func builder(w http.ResponseWriter, r *http.Request) {
	req, err := newPrice("1")
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req.WithContext(r.Context()))
	if err != nil {
		return
	}
	resp.Body.Close()
}
