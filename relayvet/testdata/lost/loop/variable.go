package loop

import "net/http"

func copyVariable(in, out *http.Request) {
	id := in.Header.Get("x-request-id")
	out.Header.Set("x-request-id", id) // want `sets x-request-id even where`
}
