// HTTP/2 without TLS needs a field of http.Server, and Relay nothing at all.
package main

import (
	"log"
	"net/http"
	"time"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func service(upstream string, client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}

	return middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := example.Get(r.Context(), client, upstream)
		example.Answer(w, body, err)
	}))
}

// protocols returns those of a server, or of an http.Transport, in a mesh
// without TLS of its own.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

func main() {
	server := &http.Server{
		Addr:              "127.0.0.1:8080",
		Handler:           service("http://127.0.0.1:8000", &http.Client{Timeout: 10 * time.Second}),
		Protocols:         protocols(),
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}
