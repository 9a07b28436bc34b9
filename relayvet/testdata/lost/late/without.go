package late

import "net/http"

func without(w http.ResponseWriter, r *http.Request) {
	go func() {
		resp, err := http.Get("http://audit/log") // want `http.Get is sent without r.* in context.WithoutCancel where the work outlives the request`
		if err != nil {
			return
		}
		resp.Body.Close()
	}()
}
