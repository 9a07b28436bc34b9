package send

import "net/http"

func do(w http.ResponseWriter, r *http.Request) {
	req, err := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req) // want `http.DefaultClient.Do is sent without r's context: .*; make it with http.NewRequestWithContext\(r.Context\(\), …\)`
	if err != nil {
		return
	}
	resp.Body.Close()
}
