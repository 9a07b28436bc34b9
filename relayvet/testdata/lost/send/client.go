package send

import (
	"net/http"
	"time"
)

func ownClient(w http.ResponseWriter, r *http.Request) {
	client := &http.Client{Timeout: time.Second}
	resp, err := client.Get("http://prices/1") // want `client.Get is sent without`
	if err != nil {
		return
	}
	resp.Body.Close()
}
