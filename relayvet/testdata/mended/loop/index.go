package loop

import "net/http"

func copyIndexed(in, out *http.Request) {
	names := []string{"x-b3-traceid", "x-b3-spanid"}
	for i := range names {
		if len(in.Header.Values(names[i])) > 0 {
			out.Header.Add(names[i], in.Header.Get(names[i]))
		}
	}
}
