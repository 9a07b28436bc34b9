package send

import "net/http"

type getParams struct{ HTTPRequest *http.Request }

func swagger(params getParams) {
	req, err := http.NewRequestWithContext(params.HTTPRequest.Context(), http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	resp.Body.Close()
}
