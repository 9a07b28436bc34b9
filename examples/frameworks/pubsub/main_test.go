package main

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestAttributesKeepTheTrace(t *testing.T) {
	topic, subscription, err := open(t.Context(), "mem://calls")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	exampletest.ConformsLater(t, func(client *http.Client) http.Handler {
		go func() { done <- consume(ctx, subscription, client) }()
		return publish(topic)
	})
	cancel()
	assert.ErrorIs(t, <-done, context.Canceled)
	assert.NoError(t, topic.Shutdown(t.Context()))
}

func TestAMapThatIsSetLineByLineKeepsTheLastLineOfARepeatedHeader(t *testing.T) {
	ctx := propagation.NewContext(t.Context(), families.Extract(exampletest.Trace("r")))
	set := make(map[string]string)
	for name, value := range propagation.FromContext(ctx).All() {
		set[name] = value
	}
	tracestate := func(attributes map[string]string) []string {
		return propagation.FromContext(received(t.Context(), attributes)).Values("tracestate")
	}
	assert.Equal(t, []string{"b=2"}, tracestate(set))
	assert.Equal(t, []string{"a=r,b=2"}, tracestate(attributes(ctx)), "one that is joined keeps both")
}
