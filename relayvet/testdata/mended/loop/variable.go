package loop

import "net/http"

func copyVariable(in, out *http.Request) {
	id := in.Header.Get("x-request-id")
	if id == "" {
		return
	}
	out.Header.Set("x-request-id", id)
}
