// The headers of AMQP are a table of typed values, with one value a name.
package main

import (
	"context"
	"log"
	"net/http"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

const queue = "calls"

var families = propagation.Istio()

// table returns the headers that ctx carries, the lines of one joined with commas.
func table(ctx context.Context) amqp.Table {
	t := make(amqp.Table)
	for name, value := range propagation.FromContext(ctx).All() {
		if before, ok := t[name].(string); ok {
			value = before + "," + value
		}
		t[name] = value
	}
	return t
}

// received returns ctx with the headers in the table. Clients in other languages
// write text as bytes, too.
func received(ctx context.Context, t amqp.Table) context.Context {
	return propagation.NewContext(ctx, families.Collect(func(yield func(name, value string) bool) {
		for name, value := range t {
			switch value := value.(type) {
			case string:
				if !yield(name, value) {
					return
				}
			case []byte:
				if !yield(name, string(value)) {
					return
				}
			}
		}
	}))
}

// publish puts the URL in the query into a message.
func publish(channel *amqp.Channel) http.Handler {
	return middleware.Relay(families)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := channel.PublishWithContext(r.Context(), "", queue, true, false, amqp.Publishing{
			Headers: table(r.Context()),
			Body:    []byte(r.FormValue("url")),
		})
		example.Answer(w, []byte("published\n"), err)
	}))
}

// consume calls the URL in each message, in no order, until the channel closes.
func consume(channel *amqp.Channel, client *http.Client) error {
	messages, err := channel.Consume(queue, "", true, false, false, false, nil)
	if err != nil {
		return err
	}
	for m := range messages {
		go func() {
			if _, err := example.Get(received(context.Background(), m.Headers), client, string(m.Body)); err != nil {
				log.Print(err)
			}
		}()
	}
	return nil
}

func open(url string) (*amqp.Channel, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, err
	}
	channel, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	_, err = channel.QueueDeclare(queue, false, true, false, false, nil)
	return channel, err
}

func main() {
	example.Serve(func(url string, client *http.Client) http.Handler { // UPSTREAM=amqp://guest:guest@127.0.0.1:5672/
		client.Transport = &middleware.Transport{Base: client.Transport}
		channel, err := open(url)
		if err != nil {
			log.Fatal(err)
		}
		go func() { log.Fatal(consume(channel, client)) }()
		return publish(channel)
	})
}
