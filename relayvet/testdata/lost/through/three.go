package through

import "net/http"

func threePrice() string {
	resp, err := http.Get("http://prices/1") // want `threeHandler -> threeCart -> threeTotal -> threePrice -> http.Get`
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

func threeTotal() string { return threePrice() }

func threeCart() string { return threeTotal() }

func threeHandler(w http.ResponseWriter, r *http.Request) {
	_ = threeCart()
}
