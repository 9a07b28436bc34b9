package send

import "net/http"

func mw(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := http.Get("http://auth/check") // want `http.Get is sent without r`
		if err != nil {
			return
		}
		resp.Body.Close()
		next.ServeHTTP(w, r)
	})
}
