package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"os"
	"testing"

	"github.com/justinas/alice"
	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	os.Exit(m.Run())
}

func TestAChainKeepsTheTrace(t *testing.T) { exampletest.Conforms(t, service) }

func TestALogOutsideRelayKnowsNoTrace(t *testing.T) {
	line := func(chain func(log alice.Constructor) alice.Chain) string {
		var out bytes.Buffer
		handler := chain(logged(slog.New(slog.NewTextHandler(&out, nil)))).ThenFunc(func(http.ResponseWriter, *http.Request) {})
		exampletest.Get(t, exampletest.Serve(t, handler), exampletest.Trace("r"))
		return out.String()
	}
	relay := middleware.Relay(propagation.Istio())
	assert.NotContains(t, line(func(log alice.Constructor) alice.Chain { return alice.New(log, relay) }), "trace.x-request-id=r")
	assert.Contains(t, line(func(log alice.Constructor) alice.Chain { return alice.New(relay, log) }), "trace.x-request-id=r")
}
