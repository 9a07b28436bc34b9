package main

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// dial returns a client of a broker of its own.
func dial(t *testing.T) *kgo.Client {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	kafka, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(topic),
		kgo.FetchMaxWait(100*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	return kafka
}

func TestARecordKeepsTheTrace(t *testing.T) {
	kafka := dial(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	exampletest.ConformsLater(t, func(client *http.Client) http.Handler {
		go func() { done <- consume(ctx, kafka, client) }()
		return produce(kafka)
	})
	cancel()
	assert.ErrorIs(t, <-done, context.Canceled)
}

// traced returns a context of a request with the ID.
func traced(id string) context.Context {
	return propagation.NewContext(context.Background(), families.Extract(exampletest.Trace(id)))
}

// batch produces a record for each ID, and returns them as one poll does.
func batch(t *testing.T, ids ...string) []*kgo.Record {
	t.Helper()
	kafka := dial(t)
	for _, id := range ids {
		require.NoError(t, kafka.ProduceSync(t.Context(), record(traced(id), id)).FirstErr())
	}
	var records []*kgo.Record
	for len(records) < len(ids) {
		fetches := kafka.PollFetches(t.Context())
		require.NoError(t, fetches.Err0())
		records = append(records, fetches.Records()...)
	}
	return records
}

func TestOneContextForABatchGivesAllRecordsTheHeadersOfOne(t *testing.T) {
	upstream := exampletest.NewUpstream(t)
	client := &http.Client{Transport: &middleware.Transport{}}
	records := batch(t, "first", "second")
	call := func(ctx context.Context) {
		_, err := example.Get(ctx, client, upstream.URL)
		require.NoError(t, err)
	}

	ctx := received(t.Context(), records[0])
	for range records {
		call(ctx)
	}
	assert.Equal(t, []http.Header{exampletest.Trace("first"), exampletest.Trace("first")}, upstream.Calls())

	for _, r := range records {
		call(received(t.Context(), r))
	}
	assert.Equal(t, []http.Header{exampletest.Trace("first"), exampletest.Trace("second")}, upstream.Calls(), "each has its own")
}

func TestAMapOfARecordsHeadersKeepsOneValueOfEach(t *testing.T) {
	r := batch(t, "r")[0]
	asMap := map[string]string{}
	for _, h := range r.Headers {
		asMap[h.Key] = string(h.Value)
	}
	assert.Equal(t, "b=2", asMap["tracestate"])
	assert.Equal(t, []string{"a=r", "b=2"}, propagation.FromContext(received(t.Context(), r)).Values("tracestate"), "Collect keeps all")
}

// A record that goes to another topic, to be tried again or to be buried, has
// its headers already.
func TestARecordThatIsSentOnHasItsHeadersTwice(t *testing.T) {
	r := batch(t, "r")[0]
	ctx := received(t.Context(), r)
	sendOn := func(headers propagation.Headers) []string {
		again := &kgo.Record{Topic: "again", Headers: r.Headers}
		for name, value := range headers.All() {
			again.Headers = append(again.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
		return propagation.FromContext(received(t.Context(), again)).Values("x-request-id")
	}
	assert.Equal(t, []string{"r", "r"}, sendOn(propagation.FromContext(ctx)))

	has := func(name string) bool {
		for _, h := range r.Headers {
			if h.Key == name {
				return true
			}
		}
		return false
	}
	assert.Equal(t, []string{"r"}, sendOn(propagation.FromContext(ctx).Missing(has)), "Missing adds what it does not have")
}
