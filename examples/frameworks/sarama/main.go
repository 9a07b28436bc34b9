// Sarama's interceptors are not given a context: the headers go into the message
// where it is made.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"strings"

	"github.com/IBM/sarama"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

const topic = "calls"

var families = propagation.Istio()

// message returns a message with the headers that ctx carries.
func message(ctx context.Context, value string) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)}
	for name, value := range propagation.FromContext(ctx).All() {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
	}
	return m
}

// received returns ctx with the headers that the message carries.
func received(ctx context.Context, m *sarama.ConsumerMessage) context.Context {
	return propagation.NewContext(ctx, families.Collect(func(yield func(name, value string) bool) {
		for _, h := range m.Headers {
			if !yield(string(h.Key), string(h.Value)) {
				return
			}
		}
	}))
}

// produce puts the URL in the query into a message.
func produce(producer sarama.SyncProducer) http.Handler {
	return middleware.Relay(families)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _, err := producer.SendMessage(message(r.Context(), r.FormValue("url")))
		example.Answer(w, []byte("produced\n"), err)
	}))
}

// consume calls the URL in each message, in no order, until there are no more.
func consume(messages <-chan *sarama.ConsumerMessage, client *http.Client) {
	for m := range messages {
		go func() {
			if _, err := example.Get(received(context.Background(), m), client, string(m.Value)); err != nil {
				log.Print(err)
			}
		}()
	}
}

// config is for both sides: a SyncProducer asks to hear of what was sent.
func config() *sarama.Config {
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	return config
}

func connect(brokers []string) (sarama.SyncProducer, <-chan *sarama.ConsumerMessage, error) {
	producer, err := sarama.NewSyncProducer(brokers, config())
	if err != nil {
		return nil, nil, err
	}
	consumer, err := sarama.NewConsumer(brokers, config())
	if err != nil {
		return nil, nil, errors.Join(err, producer.Close())
	}
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return nil, nil, errors.Join(err, consumer.Close(), producer.Close())
	}
	return producer, partition.Messages(), nil
}

func main() {
	example.Serve(func(brokers string, client *http.Client) http.Handler { // UPSTREAM=127.0.0.1:9092
		client.Transport = &middleware.Transport{Base: client.Transport}
		producer, messages, err := connect(strings.Split(brokers, ","))
		if err != nil {
			log.Fatal(err)
		}
		go consume(messages, client)
		return produce(producer)
	})
}
