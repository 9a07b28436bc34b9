package main

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/protocol/gochan"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestAnEventKeepsTheTraceOfW3C(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	exampletest.ConformsLater(t, func(client *http.Client) http.Handler {
		events, err := cloudevents.NewClient(gochan.New(), cloudevents.WithTimeNow(), cloudevents.WithUUIDs())
		require.NoError(t, err)
		go func() {
			defer close(stopped)
			_ = receive(ctx, events, client)
		}()
		return send(events)
	}, propagation.W3C)
	cancel()
	<-stopped
}

func event() cloudevents.Event {
	e := cloudevents.NewEvent()
	e.SetID("1")
	e.SetType("calls")
	e.SetSource("frontend")
	return e
}

// sent returns the trace headers of an event after it went through JSON.
func sent(t *testing.T, e cloudevents.Event) http.Header {
	t.Helper()
	encoded, err := json.Marshal(e)
	require.NoError(t, err)
	var decoded cloudevents.Event
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	h := http.Header{}
	propagation.FromContext(received(t.Context(), decoded)).Inject(h)
	return h
}

func TestAHeaderWithAHyphenMakesAnEventThatCannotBeSent(t *testing.T) {
	headers := propagation.Istio().Extract(exampletest.Trace("r"))
	all := event()
	for name, value := range headers.All() {
		all.SetExtension(name, value)
	}
	assert.ErrorContains(t, all.Validate(), "x-request-id")

	own := event()
	trace(propagation.NewContext(t.Context(), headers), &own)
	require.NoError(t, own.Validate())
	assert.Equal(t, http.Header{
		"Traceparent": exampletest.Trace("r")["Traceparent"],
		"Tracestate":  {"a=r,b=2"},
	}, sent(t, own))
}
