// An event has the extension attributes traceparent and tracestate. No attribute
// has a hyphen in its name: the other families stay behind.
package main

import (
	"context"
	"log"
	"maps"
	"net/http"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/extensions"
	"github.com/cloudevents/sdk-go/v2/protocol/gochan"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

var families = propagation.Of(propagation.W3C)

// trace sets the trace that ctx carries in the event.
func trace(ctx context.Context, e *cloudevents.Event) {
	h := propagation.FromContext(ctx)
	extensions.DistributedTracingExtension{
		TraceParent: h.Get("traceparent"),
		TraceState:  strings.Join(h.Values("tracestate"), ","),
	}.AddTracingAttributes(e)
}

// received returns ctx with the trace that the event carries.
func received(ctx context.Context, e cloudevents.Event) context.Context {
	tracing, _ := extensions.GetDistributedTracingExtension(e)
	return propagation.NewContext(ctx, families.Collect(maps.All(map[string]string{
		extensions.TraceParentExtension: tracing.TraceParent,
		extensions.TraceStateExtension:  tracing.TraceState,
	})))
}

// send puts the URL in the query into an event.
func send(events cloudevents.Client) http.Handler {
	return middleware.Relay(families)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := cloudevents.NewEvent()
		e.SetType("calls")
		e.SetSource("frontend")
		err := e.SetData(cloudevents.TextPlain, r.FormValue("url"))
		if err == nil {
			trace(r.Context(), &e)
			if result := events.Send(r.Context(), e); cloudevents.IsUndelivered(result) {
				err = result
			}
		}
		example.Answer(w, []byte("sent\n"), err)
	}))
}

// receive calls the URL in each event, until ctx is done.
func receive(ctx context.Context, events cloudevents.Client, client *http.Client) error {
	return events.StartReceiver(ctx, func(ctx context.Context, e cloudevents.Event) {
		go func() {
			if _, err := example.Get(received(ctx, e), client, string(e.Data())); err != nil {
				log.Print(err)
			}
		}()
	})
}

func main() {
	example.Serve(func(_ string, client *http.Client) http.Handler {
		client.Transport = &middleware.Transport{Base: client.Transport}
		events, err := cloudevents.NewClient(gochan.New(), cloudevents.WithTimeNow(), cloudevents.WithUUIDs())
		if err != nil {
			log.Fatal(err)
		}
		go func() { log.Fatal(receive(context.Background(), events, client)) }()
		return send(events)
	})
}
