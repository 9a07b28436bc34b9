package send

import "net/http"

func postForm(w http.ResponseWriter, r *http.Request) {
	resp, err := http.PostForm("http://prices/1", r.Form) // want `http.PostForm is sent without`
	if err != nil {
		return
	}
	resp.Body.Close()
}
