package send

import "net/http"

func roundTrip(w http.ResponseWriter, r *http.Request) {
	req, err := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // want `RoundTrip is sent without`
	if err != nil {
		return
	}
	resp.Body.Close()
}
