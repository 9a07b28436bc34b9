package send

import (
	"net/http"
	"net/url"
)

func literal(w http.ResponseWriter, r *http.Request) {
	req := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: "prices"}}
	resp, err := http.DefaultClient.Do(req) // want `Do is sent without`
	if err != nil {
		return
	}
	resp.Body.Close()
}
