// The handshake of a WebSocket is a request: it carries the headers, once. What
// the messages that follow are about, they have to say themselves.
package main

import (
	"context"
	"net/http"
	"strings"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// withCoder returns the first message of the WebSocket at the URL.
func withCoder(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	conn, _, err := coder.Dial(ctx, url, &coder.DialOptions{HTTPClient: client})
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.CloseNow() }()
	_, message, err := conn.Read(ctx)
	return message, err
}

// withGorilla does the same. Its Dialer takes no transport.
func withGorilla(ctx context.Context, url string) ([]byte, error) {
	header := http.Header{}
	propagation.FromContext(ctx).Inject(header)
	conn, _, err := gorilla.DefaultDialer.DialContext(ctx, url, header)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_, message, err := conn.ReadMessage()
	return message, err
}

func service(upstream string, client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /coder", func(w http.ResponseWriter, r *http.Request) {
		message, err := withCoder(r.Context(), client, upstream)
		example.Answer(w, message, err)
	})
	mux.HandleFunc("GET /gorilla", func(w http.ResponseWriter, r *http.Request) {
		message, err := withGorilla(r.Context(), strings.Replace(upstream, "http", "ws", 1))
		example.Answer(w, message, err)
	})
	return middleware.Relay(propagation.Istio())(mux)
}

func main() { example.Serve(service) }
