package send

import "net/http"

type appContext struct {
	Req  *http.Request
	Resp http.ResponseWriter
}

func wrapper(c *appContext) {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without .*NewRequestWithContext\(c\.Req\.Context\(\),`
	if err != nil {
		return
	}
	resp.Body.Close()
}
