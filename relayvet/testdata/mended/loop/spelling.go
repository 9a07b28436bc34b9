package loop

import "net/http"

func copySpelling(in, out *http.Request) {
	if v := in.Header["X-B3-Traceid"]; len(v) > 0 {
		out.Header["X-B3-Traceid"] = v
	}
}
