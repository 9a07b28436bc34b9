package loop

import "net/http"

func copyFirst(in, out *http.Request) {
	for _, h := range []string{"traceparent", "tracestate"} {
		if in.Header.Get(h) != "" {
			out.Header.Set(h, in.Header.Get(h)) // want `out.Header.Set keeps only the first value: tracestate and baggage may come in several`
		}
	}
}
