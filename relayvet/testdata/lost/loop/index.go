package loop

import "net/http"

func copyIndexed(in, out *http.Request) {
	names := []string{"x-b3-traceid", "x-b3-spanid"}
	for i := range names {
		out.Header.Add(names[i], in.Header.Get(names[i])) // want `sets x-b3-traceid and 1 more even where`
	}
}
