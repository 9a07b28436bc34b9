package send

import "net/http"

func get(w http.ResponseWriter, r *http.Request) {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without r's context: the trace headers that came in stay behind; use http.NewRequestWithContext\(r.Context\(\), …\)`
	if err != nil {
		return
	}
	resp.Body.Close()
}
