package send

import (
	"net/http"

	"github.com/parnurzeal/gorequest"
)

func goRequest(w http.ResponseWriter, r *http.Request) {
	agent := gorequest.New().Get("http://prices/1")
	req, err := agent.MakeRequest()
	if err != nil {
		return
	}
	_, _ = agent.Client.Do(req.WithContext(r.Context()))
}
