package through

import "net/http"

func methodPrice() string {
	resp, err := http.Get("http://prices/1") // want `methodServer.ServeHTTP -> methodServer.price -> methodPrice -> http.Get`
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

type methodServer struct{}

func (s methodServer) price() string { return methodPrice() }

func (s methodServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = s.price()
}
