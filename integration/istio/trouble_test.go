package istio_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Section 19, and what docs/headers.md says of a client's b3.
func TestTrouble(t *testing.T) {
	restore(t)
	t.Cleanup(func() { restore(t) })
	tracers := func() string {
		out, _ := try("istioctl proxy-config listener deployment/sleep-v1 -o json | grep -o 'envoy.tracers.[a-z]*' | sort | uniq")
		return strings.TrimSpace(out)
	}

	t.Run("a client's b3 is one chain since Envoy 1.40, and flat before", func(t *testing.T) {
		inner := fresh()
		outer := "http://flaskapp/fetch_with_trace?url=" + inner
		fetch(t, outer, "-H 'b3: 5208512171318403a2fb4a1d1a96d312-a2fb4a1d1a96d312-1'")
		want := strings.Replace(whole, "client\n", "client, parent missing\n", 1)
		if !sidecarEnvoy(t).AtLeast("1.40") {
			want = ""
			for line := range strings.Lines(whole[1:]) {
				want += strings.TrimSuffix(strings.TrimLeft(line, " "), "\n") + ", parent missing\n"
			}
			want = "\n" + want
		}
		eventually(t, func(c *assert.CollectT) {
			all, err := stored(jaegers(c), outer, inner)
			require.NoError(c, err)
			require.Len(c, all, 1)
			require.Equal(c, want, "\n"+all[0].Tree())
		})
	})

	t.Run("a sidecar counts what it traced once its pod asks for it", func(t *testing.T) {
		const stats = "kubectl exec -n tracebaton deploy/sleep-v1 -c istio-proxy -- pilot-agent request GET 'stats?filter=tracing'"
		require.NotContains(t, sh(t, stats), "random_sampling")
		walk(t, "kubectl patch deployment sleep-v1 -n tracebaton -p \\\n"+
			`  '{"spec":{"template":{"metadata":{"annotations":{"proxy.istio.io/config":"proxyStatsMatcher: {inclusionRegexps: [.*tracing.*]}"}}}}}'`)
		walk(t, "kubectl rollout status deployment sleep-v1 -n tracebaton")
		walk(t, "kubectl exec -n tracebaton deploy/sleep-v1 -- sleep fetch -n 10 http://flaskapp/env/version")
		eventually(t, func(c *assert.CollectT) {
			out := walk(c, stats)
			assert.Contains(c, out, "http.outbound_0.0.0.0_80;.tracing.random_sampling: 10\n")
			assert.Contains(c, out, "tracing.zipkin.spans_sent: 10\n")
			assert.Contains(c, out, "tracing.zipkin.reports_dropped: 0\n")
		})
	})

	t.Run("a provider that the mesh configuration lacks turns tracing off, and analyze says nothing", func(t *testing.T) {
		t.Cleanup(func() { restore(t) })
		apply(t, `{apiVersion: telemetry.istio.io/v1, kind: Telemetry, metadata: {name: tracing, namespace: tracebaton}, spec: {tracing: [{providers: [{name: jaeger}]}]}}`)
		eventually(t, func(c *assert.CollectT) { assert.Empty(c, tracers()) })
		require.Contains(t, sh(t, "istioctl analyze -n tracebaton"), "No validation issues")
		sh(t, "kubectl apply -k deploy/istio")
		eventually(t, func(c *assert.CollectT) { assert.Equal(c, "envoy.tracers.zipkin", tracers()) })
	})

	t.Run("where the provider's Service is gone, istiod's log says so", func(t *testing.T) {
		t.Cleanup(func() { restore(t) })
		sh(t, "kubectl delete service jaeger")
		eventually(t, func(c *assert.CollectT) {
			out, _ := try("kubectl logs -n istio-system deployment/istiod --tail=-1 | grep -c 'Not able to configure requested tracing provider'")
			assert.Regexp(c, `(?m)^[1-9]`, out)
			assert.Empty(c, tracers())
		})
		sh(t, "kubectl apply -k deploy/istio")
		eventually(t, func(c *assert.CollectT) { assert.Equal(c, "envoy.tracers.zipkin", tracers()) })
	})

	t.Run("with disableContextPropagation sidecars write no headers, and each span is a trace of its own", func(t *testing.T) {
		apply(t, `{apiVersion: telemetry.istio.io/v1, kind: Telemetry, metadata: {name: tracing, namespace: tracebaton}, spec: {tracing: [{randomSamplingPercentage: 100, disableContextPropagation: true}]}}`)
		eventually(t, func(c *assert.CollectT) {
			var httpbin struct{ Headers map[string][]string }
			decode(c, fetch(c, "http://httpbin:8000/headers", "-body"), &httpbin)
			assert.NotContains(c, httpbin.Headers, "X-B3-Traceid")
		})
		eventually(t, func(c *assert.CollectT) { // from when all pods know
			inner := fresh()
			outer := "http://flaskapp/fetch_with_trace?url=" + inner
			fetch(c, outer)
			server := jaegers(c)
			var n int
			eventually(c, func(c *assert.CollectT) {
				all, err := stored(server, outer, inner)
				require.NoError(c, err)
				n = 0
				for _, trace := range all {
					n += len(trace.Spans)
				}
				require.Equal(c, 4, n)
				n = len(all)
			})
			assert.Equal(c, 4, n)
		})
	})
}
