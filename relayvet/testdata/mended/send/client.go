package send

import (
	"net/http"
	"time"
)

func ownClient(w http.ResponseWriter, r *http.Request) {
	client := &http.Client{Timeout: time.Second}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	resp.Body.Close()
}
