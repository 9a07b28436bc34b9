package send

import (
	"net/http"

	"github.com/parnurzeal/gorequest"
)

func goRequest(w http.ResponseWriter, r *http.Request) {
	_, _, _ = gorequest.New().Get("http://prices/1").End() // want `End is sent without r's context: .*; gorequest takes no context`
}
