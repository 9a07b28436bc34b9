package integration_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/browser"
	"github.com/tracebaton/tracebaton/integration/jaeger"
)

func TestJaegerShowsTheTraceInItsUI(t *testing.T) {
	// On disk: the store in memory has an arrow from each service to itself
	// where a span of it is below another.
	server := jaeger.Start(t, t.TempDir())
	s := start(t, server.Env("otlp")...)
	ui := browser.Open(t, server.URL)
	s.sleep(t, "-H", "x-request-id: seen", s.through("/fetch_with_trace", "/ip"))
	arrives(t, server, "seen")

	t.Run("a search for sleep finds the call, which is one tree of three services", func(t *testing.T) {
		found := ui.Search(t, "sleep")
		require.Len(t, found, 1)
		assert.Equal(t, "sleep: GET", found[0].Title)
		assert.Equal(t, map[string]int{"sleep": 1, "flaskapp": 2, "httpbin": 1}, found[0].Services)

		ui.Viewport(t, 1000, 380)
		spans := ui.Follow(t, found[0].ID)
		ui.Screenshot(t, "jaeger-trace")
		assert.Equal(t, "sleep GET\n  flaskapp GET /fetch_with_trace\n    flaskapp GET\n      httpbin GET /ip",
			browser.Outline(spans))
		for _, span := range spans {
			assert.False(t, span.Failed, "%s %s", span.Service, span.Operation)
		}
	})

	t.Run("the system architecture is what calls what", func(t *testing.T) {
		ui.Viewport(t, 1000, 640)
		calls := ui.Architecture(t)
		ui.Screenshot(t, "jaeger-graph")
		assert.ElementsMatch(t, []browser.Call{{From: "sleep", To: "flaskapp"}, {From: "flaskapp", To: "httpbin"}}, calls)
	})
}
