package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// dial returns a connection to a server of its own.
func dial(t *testing.T) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(s.Shutdown)
	require.True(t, s.ReadyForConnections(10*time.Second))
	conn, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

func TestAMessageKeepsTheTrace(t *testing.T) {
	conn := dial(t)
	require.NoError(t, reply(conn, &http.Client{Transport: &middleware.Transport{}}))
	exampletest.ConformsBy(t, "/?url={upstream}", func(string, *http.Client) http.Handler { return request(conn) })
}

// What a sender in another language writes, and this one with All.
func TestExtractFindsNoneOfTheNamesInLowerCase(t *testing.T) {
	conn := dial(t)
	subscription, err := conn.SubscribeSync(subject)
	require.NoError(t, err)
	sent := nats.NewMsg(subject)
	for name, values := range exampletest.Trace("r") {
		for _, value := range values {
			sent.Header.Add(strings.ToLower(name), value)
		}
	}
	require.NoError(t, conn.PublishMsg(sent))
	m, err := subscription.NextMsg(10 * time.Second)
	require.NoError(t, err)

	got := http.Header{}
	families.Extract(http.Header(m.Header)).Inject(got)
	assert.Empty(t, got)

	propagation.FromContext(received(t.Context(), m)).Inject(got)
	assert.Equal(t, exampletest.Trace("r"), got, "Collect finds them in any case")
}
