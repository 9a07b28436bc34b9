package through

import "net/http"

func twoPrice() string {
	resp, err := http.Get("http://prices/1") // want `twoHandler -> twoTotal -> twoPrice -> http.Get`
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

func twoTotal() string { return twoPrice() }

func twoHandler(w http.ResponseWriter, r *http.Request) {
	_ = twoTotal()
}
