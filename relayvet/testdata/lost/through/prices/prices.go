package prices

import "net/http"

// Fetch is called by another package.
func Fetch() string {
	resp, err := http.Get("http://prices/1")
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}
