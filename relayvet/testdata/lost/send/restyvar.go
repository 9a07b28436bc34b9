package send

import (
	"net/http"

	"github.com/go-resty/resty/v2"
)

type orders struct{ client *resty.Client }

func (s orders) order(w http.ResponseWriter, r *http.Request) {
	req := s.client.R()
	req = req.SetBody("1")
	req.SetHeader("Authorization", r.Header.Get("Authorization"))
	_, _ = req.Post("http://orders/") // want `req.Post is sent without r's context`
}
