package through

import "net/http"

func onePrice() string {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without the context that its caller has: oneHandler -> onePrice -> http.Get: .*; give onePrice a context.Context`
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

func oneHandler(w http.ResponseWriter, r *http.Request) {
	_ = onePrice()
}
