package through

import "net/http"

func behindPrice() string {
	resp, err := http.Get("http://prices/1") // want `behindHandler -> httpPricer.cost -> behindPrice -> http.Get`
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

type pricer interface{ cost() string }

type httpPricer struct{}

func (httpPricer) cost() string { return behindPrice() }

func behindHandler(p pricer, w http.ResponseWriter, r *http.Request) {
	_ = p.cost()
}
