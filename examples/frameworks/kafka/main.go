// A record of Kafka carries the headers of the request that it was made for, and
// every record of a batch has a context of its own.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

const topic = "calls"

var families = propagation.Istio()

// record returns a record with the headers that ctx carries.
func record(ctx context.Context, value string) *kgo.Record {
	r := &kgo.Record{Topic: topic, Value: []byte(value)}
	for name, value := range propagation.FromContext(ctx).All() {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return r
}

// received returns ctx with the headers that the record carries.
func received(ctx context.Context, r *kgo.Record) context.Context {
	return propagation.NewContext(ctx, families.Collect(func(yield func(name, value string) bool) {
		for _, h := range r.Headers {
			if !yield(h.Key, string(h.Value)) {
				return
			}
		}
	}))
}

// produce puts the URL in the query into a record.
func produce(kafka *kgo.Client) http.Handler {
	return middleware.Relay(families)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := kafka.ProduceSync(r.Context(), record(r.Context(), r.FormValue("url"))).FirstErr()
		example.Answer(w, []byte("produced\n"), err)
	}))
}

// consume calls the URL in each record, in no order, until ctx is done.
func consume(ctx context.Context, kafka *kgo.Client, client *http.Client) error {
	for {
		fetches := kafka.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			go func() {
				if _, err := example.Get(received(ctx, r), client, string(r.Value)); err != nil {
					log.Print(err)
				}
			}()
		})
	}
}

func main() {
	example.Serve(func(brokers string, client *http.Client) http.Handler { // UPSTREAM=127.0.0.1:9092
		client.Transport = &middleware.Transport{Base: client.Transport}
		kafka, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.ConsumeTopics(topic))
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			if err := consume(context.Background(), kafka, client); !errors.Is(err, context.Canceled) {
				log.Fatal(err)
			}
		}()
		return produce(kafka)
	})
}
