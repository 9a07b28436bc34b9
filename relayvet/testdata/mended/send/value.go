package send

import "net/http"

var sendRequest = http.DefaultClient.Do

func value(w http.ResponseWriter, r *http.Request) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := sendRequest(req)
	if err != nil {
		return
	}
	resp.Body.Close()
}
