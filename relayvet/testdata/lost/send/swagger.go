package send

import "net/http"

type getParams struct{ HTTPRequest *http.Request }

func swagger(params getParams) {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without .*NewRequestWithContext\(params\.HTTPRequest\.Context\(\),`
	if err != nil {
		return
	}
	resp.Body.Close()
}
