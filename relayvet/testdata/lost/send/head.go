package send

import "net/http"

func head(w http.ResponseWriter, r *http.Request) {
	resp, err := http.Head("http://prices.shop:8080/1") // want `http.Head is sent without`
	if err != nil {
		return
	}
	resp.Body.Close()
}
