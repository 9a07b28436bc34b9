// A reverse proxy copies all headers by itself. Relay and Transport are for the
// calls that it makes besides, and for what must not leave the mesh.
package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func service(upstream string, client *http.Client) http.Handler {
	target, err := url.Parse(upstream)
	if err != nil {
		panic(err)
	}
	transport := &middleware.Transport{Base: client.Transport, Match: middleware.Internal()}
	client.Transport = transport

	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport,
	}
	return middleware.Relay(propagation.Istio())(proxy)
}

func main() { example.Serve(service) }
