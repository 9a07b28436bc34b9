package istio_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/browser"
	"github.com/tracebaton/tracebaton/integration/jaeger"
)

// What the walkthrough's pictures show. SCREENSHOTS names the folder that gets
// them.
func TestPictures(t *testing.T) {
	restore(t)
	server := jaegers(t)
	ui := browser.Open(t, server.URL)

	t.Run("the trace of /fetch_with_header, its first span open, has the request ID", func(t *testing.T) {
		out := fetch(t, "http://flaskapp/fetch_with_header?url=http://httpbin:8000/headers", "-body")
		t.Log(out)
		var flaskapp map[string]string
		decode(t, out, &flaskapp)
		id := flaskapp["X-B3-Traceid"]
		eventually(t, func(c *assert.CollectT) {
			trace, ok, err := server.Trace(id)
			require.NoError(c, err)
			require.True(c, ok)
			require.Equal(c, whole, "\n"+trace.Tree())
		})
		ui.Viewport(t, 1400, 560)
		ui.Trace(t, id)
		ui.Widen(t, 0.4)
		require.Contains(t, ui.Expand(t), flaskapp["X-Request-Id"])
		ui.Screenshot(t, "mesh-header")
	})

	t.Run("/fetch_with_trace is one trace of four spans", func(t *testing.T) {
		inner := fresh()
		outer := "http://flaskapp/fetch_with_trace?url=" + inner
		fetch(t, outer)
		got := traces(t, []string{whole}, outer, inner)
		ui.Viewport(t, 1400, 400)
		spans := ui.Trace(t, got[0].ID)
		ui.Widen(t, 0.45)
		ui.Screenshot(t, "mesh-trace")
		assert.Equal(t, "sleep.tracebaton "+toFlaskapp+"\n  flaskapp.tracebaton "+toFlaskapp+
			"\n    flaskapp.tracebaton "+toHTTPBin+"\n      httpbin.tracebaton "+toHTTPBin, browser.Outline(spans))
	})

	t.Run("a call from outside is a trace of three spans, two of them the gateway's", func(t *testing.T) {
		sh(t, "kubectl apply -f deploy/istio/gateway.yaml -f deploy/istio/gateway-sampling.yaml")
		t.Cleanup(func() {
			sh(t, "kubectl delete --ignore-not-found -f deploy/istio/gateway.yaml -f deploy/istio/gateway-sampling.yaml")
		})
		forwardGateway(t)
		var trace jaeger.Trace
		eventually(t, func(c *assert.CollectT) { // from when the gateway keeps all
			url := "/env/version?" + fresh()
			ask(c, url, nil)
			mark(c)
			all, err := stored(server, "http://flaskapp.localhost:8088"+url)
			require.NoError(c, err)
			require.Len(c, all, 1)
			trace = all[0]
		})
		ui.Viewport(t, 1400, 400)
		spans := ui.Trace(t, trace.ID)
		ui.Widen(t, 0.5)
		ui.Screenshot(t, "mesh-gateway")
		const flaskapp = "flaskapp.tracebaton.svc.cluster.local"
		assert.Equal(t, "istio-ingressgateway.istio-system "+flaskapp+":80/env/version\n"+
			"  istio-ingressgateway.istio-system router outbound|80|v2|"+flaskapp+"; egress\n"+
			"    flaskapp.tracebaton "+flaskapp+":80/env/version", browser.Outline(spans))
	})

	t.Run("with spans of the services' own it is one trace of eight", func(t *testing.T) {
		sh(t, "kubectl apply -k deploy/otel")
		t.Cleanup(func() { restore(t) })
		rolled(t)
		fetch(t, "http://flaskapp/fetch_with_trace?url="+fresh()) // which opens the connections
		url := "http://flaskapp/fetch_with_trace?url=" + fresh()
		fetch(t, url)
		var trace jaeger.Trace
		eventually(t, func(c *assert.CollectT) {
			all, err := stored(server, url)
			require.NoError(c, err)
			require.Len(c, all, 1)
			require.Len(c, all[0].Spans, 8)
			trace = all[0]
		})
		ui.Viewport(t, 1400, 480)
		spans := ui.Trace(t, trace.ID)
		ui.Widen(t, 0.42)
		ui.Screenshot(t, "mesh-otel")
		var services []string
		for i, span := range spans {
			assert.Equal(t, i, span.Depth)
			services = append(services, span.Service)
		}
		assert.Equal(t, "sleep sleep.tracebaton flaskapp.tracebaton flaskapp flaskapp flaskapp.tracebaton httpbin.tracebaton httpbin",
			strings.Join(services, " "))
	})
}
