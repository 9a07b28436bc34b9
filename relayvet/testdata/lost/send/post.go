package send

import "net/http"

func post(w http.ResponseWriter, r *http.Request) {
	resp, err := http.Post("http://prices/1", "application/json", r.Body) // want `http.Post is sent without`
	if err != nil {
		return
	}
	resp.Body.Close()
}
