package loop

import "net/http"

func copySingle(in, out *http.Request) {
	for _, v := range in.Header.Values("traceparent") {
		out.Header.Add("traceparent", v)
	}
	out.Header.Set("Authorization", in.Header.Get("Authorization"))
}
