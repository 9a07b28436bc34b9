package loop

import "net/http"

var headers = []string{"x-request-id", "x-b3-traceid", "x-b3-spanid", "Accept-Language"}

func copyList(in, out *http.Request) {
	for _, h := range headers {
		out.Header.Set(h, in.Header.Get(h)) // want `out.Header.Set sets x-request-id and 2 more even where none came in: an empty header is sent`
	}
}
