package send

import "net/http"

type appContext struct {
	Req  *http.Request
	Resp http.ResponseWriter
}

func wrapper(c *appContext) {
	req, err := http.NewRequestWithContext(c.Req.Context(), http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	resp.Body.Close()
}
