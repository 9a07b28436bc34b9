// The headers of NATS look like net/http's, and their names keep the case that
// the sender gave them.
package main

import (
	"context"
	"log"
	"net/http"

	"github.com/nats-io/nats.go"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

const subject = "calls"

var families = propagation.Istio()

// message returns a message with the headers that ctx carries.
func message(ctx context.Context, data string) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Data = []byte(data)
	for name, value := range propagation.FromContext(ctx).All() {
		m.Header.Add(name, value)
	}
	return m
}

// received returns ctx with the headers that the message carries.
func received(ctx context.Context, m *nats.Msg) context.Context {
	return propagation.NewContext(ctx, families.Collect(func(yield func(name, value string) bool) {
		for name, values := range m.Header {
			for _, value := range values {
				if !yield(name, value) {
					return
				}
			}
		}
	}))
}

// request asks for what is at the URL in the query.
func request(conn *nats.Conn) http.Handler {
	return middleware.Relay(families)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reply, err := conn.RequestMsgWithContext(r.Context(), message(r.Context(), r.FormValue("url")))
		if err != nil {
			example.Answer(w, nil, err)
			return
		}
		example.Answer(w, reply.Data, nil)
	}))
}

// reply answers each message with what is at its URL.
func reply(conn *nats.Conn, client *http.Client) error {
	_, err := conn.Subscribe(subject, func(m *nats.Msg) {
		go func() { // a subscription handles one message at a time
			body, err := example.Get(received(context.Background(), m), client, string(m.Data))
			if err != nil {
				body = []byte(err.Error())
			}
			if err := m.Respond(body); err != nil {
				log.Print(err)
			}
		}()
	})
	return err
}

func main() {
	example.Serve(func(server string, client *http.Client) http.Handler { // UPSTREAM=nats://127.0.0.1:4222
		client.Transport = &middleware.Transport{Base: client.Transport}
		conn, err := nats.Connect(server)
		if err != nil {
			log.Fatal(err)
		}
		if err := reply(conn, client); err != nil {
			log.Fatal(err)
		}
		return request(conn)
	})
}
