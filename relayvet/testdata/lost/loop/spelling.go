package loop

import "net/http"

func copySpelling(in, out *http.Request) {
	if v := in.Header["x-b3-traceid"]; len(v) > 0 { // want `in.Header\["x-b3-traceid"\] finds nothing: http.Header holds this header as "X-B3-Traceid"`
		out.Header["X-B3-Traceid"] = v
	}
}
