package main

import (
	"context"
	"net/http"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/propagation"
)

// broker returns the address of a broker of its own.
func broker(t *testing.T) []string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

func TestAMessageKeepsTheTrace(t *testing.T) {
	producer, messages, err := connect(broker(t))
	require.NoError(t, err)
	exampletest.ConformsLater(t, func(client *http.Client) http.Handler {
		go consume(messages, client)
		return produce(producer)
	})
}

// tracing is what one would write first: it has the message, and no context of
// the request that it is made for.
type tracing struct{ ctx context.Context }

func (t tracing) OnSend(m *sarama.ProducerMessage) {
	for name, value := range propagation.FromContext(t.ctx).All() {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
	}
}

func TestAnInterceptorOfSaramasHasNoRequestsContext(t *testing.T) {
	brokers := broker(t)
	first := propagation.NewContext(context.Background(), families.Extract(exampletest.Trace("first")))
	second := propagation.NewContext(context.Background(), families.Extract(exampletest.Trace("second")))
	sent := func(interceptors []sarama.ProducerInterceptor, m *sarama.ProducerMessage) string {
		c := config()
		c.Producer.Interceptors = interceptors
		producer, err := sarama.NewSyncProducer(brokers, c)
		require.NoError(t, err)
		defer func() { _ = producer.Close() }()
		_, offset, err := producer.SendMessage(m)
		require.NoError(t, err)
		consumer, err := sarama.NewConsumer(brokers, config())
		require.NoError(t, err)
		defer func() { _ = consumer.Close() }()
		partition, err := consumer.ConsumePartition(topic, 0, offset)
		require.NoError(t, err)
		defer func() { _ = partition.Close() }()
		return propagation.FromContext(received(context.Background(), <-partition.Messages())).Get("x-request-id")
	}
	plain := func() *sarama.ProducerMessage {
		return &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("")}
	}
	with := func(ctx context.Context) []sarama.ProducerInterceptor {
		return []sarama.ProducerInterceptor{tracing{ctx}}
	}

	assert.Empty(t, sent(with(context.Background()), plain()))
	assert.Equal(t, "first", sent(with(first), plain()), "whatever request the message is for")
	assert.Equal(t, "second", sent(nil, message(second, "")), "the message's own, where it is made")
}
