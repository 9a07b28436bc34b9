package dynamic

import "net/http"

func avatar(u string) string {
	resp, err := http.Get(u) // want `avatarHandler -> avatar -> http.Get`
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

func avatarHandler(w http.ResponseWriter, r *http.Request) {
	_ = avatar(r.FormValue("u"))
}
