package istio_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// deploy/gateway-api, as docs/istio.md has it.
func TestGatewayAPI(t *testing.T) {
	restore(t)
	t.Cleanup(func() { restore(t) })
	const to = "flaskapp-v2.tracebaton.svc.cluster.local:80/*"

	installGatewayAPI(t)
	walk(t, "kubectl apply -k deploy/gateway-api")
	sh(t, "kubectl delete -n tracebaton virtualservice/flaskapp destinationrule/flaskapp")

	t.Run("a call between services is routed by the HTTPRoute, in one trace", func(t *testing.T) {
		eventually(t, func(c *assert.CollectT) {
			assert.Equal(c, 20, count(fetch(c, "http://flaskapp/env/version", "-body -n 20"))["v2"])
		})
		inner := fresh()
		outer := "http://flaskapp/fetch_with_trace?url=" + inner
		fetch(t, outer)
		traces(t, []string{strings.ReplaceAll(whole, toFlaskapp, to)}, outer, inner)
	})

	t.Run("routes by user and by weight do what Istio's do", func(t *testing.T) {
		sh(t, "kubectl apply -f deploy/gateway-api/route-by-user.yaml")
		eventually(t, func(c *assert.CollectT) {
			assert.Contains(c, fetch(c, "http://flaskapp/fetch_with_trace?url=http://flaskapp/env/version", "-body -H 'end-user: alice'"), "v1\n")
			assert.Contains(c, fetch(c, "http://flaskapp/env/version", "-body"), "v2\n")
		})
		sh(t, "kubectl apply -f deploy/gateway-api/route-weights.yaml")
		eventually(t, func(c *assert.CollectT) {
			got := count(fetch(c, "http://flaskapp/env/version", "-body -n 100"))
			assert.InDelta(c, 50, got["v1"], 30)
		})
		sh(t, "kubectl apply -n tracebaton -f deploy/gateway-api/httproute.yaml")
	})

	t.Run("istiod makes the gateway, and strangers' traces end there", func(t *testing.T) {
		walk(t, "kubectl apply -f deploy/gateway-api/gateway.yaml")
		walk(t, "kubectl wait -n tracebaton --for=create deployment/outside-istio --timeout=1m")
		walk(t, "kubectl rollout status -n tracebaton deployment/outside-istio")
		forward(t, "kubectl port-forward -n tracebaton service/outside-istio 8088:80")
		url := ""
		eventually(t, func(c *assert.CollectT) {
			url = "/env/version?" + fresh()
			status, body := ask(c, url, map[string]string{"x-b3-traceid": strings.Repeat("4", 32), "x-b3-spanid": strings.Repeat("4", 16), "x-b3-sampled": "0"})
			require.Equal(c, http.StatusOK, status)
			require.Equal(c, "v2", body)
		})
		server := jaegers(t)
		eventually(t, func(c *assert.CollectT) {
			all, err := stored(server, "http://flaskapp.localhost:8088"+url)
			require.NoError(c, err)
			require.Len(c, all, 1)
			require.Len(c, all[0].Spans, 3)
			assert.NotEqual(c, strings.Repeat("4", 32), all[0].ID)
		})
		status, _ := ask(t, "/fetch?url=http://httpbin:8000/ip", nil)
		require.Equal(t, http.StatusNotFound, status)
	})
}

// installGatewayAPI installs the kinds, which the page's command gets from the
// release.
func installGatewayAPI(t *testing.T) {
	t.Helper()
	module := strings.TrimSpace(sh(t, "cd deploy/check && GOWORK=off go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api"))
	sh(t, "kubectl apply --server-side -k "+module+"/config/crd")
	sh(t, "kubectl wait --for=condition=Established crd/gateways.gateway.networking.k8s.io crd/httproutes.gateway.networking.k8s.io")
}
