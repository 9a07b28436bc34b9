// The messages of Pub/Sub, of SNS, of SQS and of Service Bus have attributes: a
// map with one value a name. The lines of a repeated header are joined with
// commas, as HTTP allows.
package main

import (
	"context"
	"log"
	"maps"
	"net/http"

	"gocloud.dev/pubsub"
	_ "gocloud.dev/pubsub/mempubsub" // in place of gcppubsub, awssnssqs, azuresb

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

var families = propagation.Istio()

// attributes returns the headers that ctx carries.
func attributes(ctx context.Context) map[string]string {
	attributes := make(map[string]string)
	for name, value := range propagation.FromContext(ctx).All() {
		if before, ok := attributes[name]; ok {
			value = before + "," + value
		}
		attributes[name] = value
	}
	return attributes
}

// received returns ctx with the headers among the attributes.
func received(ctx context.Context, attributes map[string]string) context.Context {
	return propagation.NewContext(ctx, families.Collect(maps.All(attributes)))
}

// publish puts the URL in the query into a message.
func publish(topic *pubsub.Topic) http.Handler {
	return middleware.Relay(families)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		message := &pubsub.Message{Body: []byte(r.FormValue("url")), Metadata: attributes(r.Context())}
		example.Answer(w, []byte("published\n"), topic.Send(r.Context(), message))
	}))
}

// consume calls the URL in each message, until ctx is done.
func consume(ctx context.Context, subscription *pubsub.Subscription, client *http.Client) error {
	for {
		m, err := subscription.Receive(ctx)
		if err != nil {
			return err
		}
		go func() {
			if _, err := example.Get(received(ctx, m.Metadata), client, string(m.Body)); err != nil {
				log.Print(err)
			}
			m.Ack()
		}()
	}
}

func open(ctx context.Context, url string) (*pubsub.Topic, *pubsub.Subscription, error) {
	topic, err := pubsub.OpenTopic(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	subscription, err := pubsub.OpenSubscription(ctx, url)
	return topic, subscription, err
}

func main() {
	example.Serve(func(url string, client *http.Client) http.Handler { // UPSTREAM=mem://calls
		client.Transport = &middleware.Transport{Base: client.Transport}
		topic, subscription, err := open(context.Background(), url)
		if err != nil {
			log.Fatal(err)
		}
		go func() { log.Fatal(consume(context.Background(), subscription, client)) }()
		return publish(topic)
	})
}
