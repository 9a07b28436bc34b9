package propagationtest_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/propagationtest"
)

// fetch is a service that answers with what the upstream answers.
func fetch(upstream string, client *http.Client) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, upstream, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		pass(w, client, req)
	})
}

func pass(w http.ResponseWriter, client *http.Client, req *http.Request) {
	res, err := client.Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = res.Body.Close() }()
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body)
}

func TestPlainMiddlewarePasses(t *testing.T) {
	propagationtest.Run(t, propagationtest.Service{
		Handler: func(upstream string, client *http.Client) http.Handler {
			client.Transport = &middleware.Transport{Base: client.Transport}
			return middleware.Relay(propagation.Istio())(fetch(upstream, client))
		},
	})
}
