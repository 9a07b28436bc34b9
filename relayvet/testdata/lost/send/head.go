package send

import "net/http"

func head(w http.ResponseWriter, r *http.Request) {
	resp, err := http.Head("http://prices/1") // want `http.Head is sent without`
	if err != nil {
		return
	}
	resp.Body.Close()
}
