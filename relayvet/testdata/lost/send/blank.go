package send

import "net/http"

func blank(_ http.ResponseWriter, _ *http.Request) {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without the caller's context: .*; name the parameter and pass its context`
	if err != nil {
		return
	}
	resp.Body.Close()
}
