package loop

import "net/http"

func copySingle(in, out *http.Request) {
	out.Header.Set("traceparent", in.Header.Get("traceparent")) // want `sets traceparent even where none came in`
	out.Header.Set("Authorization", in.Header.Get("Authorization"))
}
