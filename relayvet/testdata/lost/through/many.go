package through

import "net/http"

func manyPrice() string {
	resp, err := http.Get("http://prices/1") // want `manyHandler -> manyPrice -> http.Get, and from 1 more calls of this package`
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

func manyHandler(w http.ResponseWriter, r *http.Request) {
	_ = manyPrice()
}

func manyOther(w http.ResponseWriter, r *http.Request) {
	_ = manyPrice()
}
