package send

import (
	"net/http"

	"github.com/dghubble/sling"
)

type slinger struct{ base *sling.Sling }

func (s slinger) price(w http.ResponseWriter, r *http.Request) {
	_, _ = s.base.New().Get("prices/1").ReceiveSuccess(nil) // want `ReceiveSuccess is sent without r's context: .*; sling takes no context: call Request, bind what it makes with WithContext\(r.Context\(\)\)`
}
