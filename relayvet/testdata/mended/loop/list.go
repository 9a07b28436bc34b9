package loop

import "net/http"

var headers = []string{"x-request-id", "x-b3-traceid", "x-b3-spanid", "Accept-Language"}

func copyList(in, out *http.Request) {
	for _, h := range headers {
		if v := in.Header.Get(h); v != "" {
			out.Header.Set(h, v)
		}
	}
}
