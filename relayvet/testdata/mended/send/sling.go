package send

import (
	"net/http"

	"github.com/dghubble/sling"
)

type slinger struct{ base *sling.Sling }

func (s slinger) price(w http.ResponseWriter, r *http.Request) {
	req, err := s.base.New().Get("prices/1").Request()
	if err != nil {
		return
	}
	_, _ = s.base.Do(req.WithContext(r.Context()), nil, nil)
}
