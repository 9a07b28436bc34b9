package istio_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// forward runs a port-forward of a page until the test ends, and returns once it
// takes connections.
func forward(t *testing.T, command string) {
	t.Helper()
	onPage(t, command)
	cmd := exec.Command("bash", "-c", "exec "+command)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	require.NoError(t, err, "%s has ended", command)
	require.Contains(t, line, "Forwarding from 127.0.0.1:")
	go func() { _, _ = io.Copy(io.Discard, lines) }() // a line each connection
}

// forwardGateway does so to the gateway, once it listens: kubectl ends at the
// first connection that is refused.
func forwardGateway(t *testing.T) {
	t.Helper()
	eventually(t, func(c *assert.CollectT) {
		assert.Contains(c, sh(c, "istioctl proxy-config listener -n istio-system deployment/istio-ingressgateway"), "8080")
	})
	forward(t, "kubectl port-forward -n istio-system service/istio-ingressgateway 8088:80")
}

// ask calls the gateway with the headers, and returns the answer.
func ask(t require.TestingT, path string, header map[string]string) (status int, body string) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://127.0.0.1:8088"+path, http.NoBody)
	require.NoError(t, err)
	r.Host = "flaskapp.localhost:8088"
	for name, value := range header {
		r.Header[name] = []string{value} // as it is written
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

const fromOutside = `
istio-ingressgateway.istio-system: flaskapp.tracebaton.svc.cluster.local:80/env/version, server
  istio-ingressgateway.istio-system: router outbound|80|v2|flaskapp.tracebaton.svc.cluster.local; egress, client
    flaskapp.tracebaton: flaskapp.tracebaton.svc.cluster.local:80/env/version, server
`

// Section 13.
func TestGateway(t *testing.T) {
	restore(t)
	walk(t, "kubectl apply -f deploy/istio/gateway.yaml -f deploy/istio/gateway-sampling.yaml")
	t.Cleanup(func() {
		sh(t, "kubectl delete --ignore-not-found -f deploy/istio/gateway.yaml -f deploy/istio/gateway-sampling.yaml")
	})
	forwardGateway(t)
	eventually(t, func(c *assert.CollectT) {
		status, _ := ask(c, "/env/version", nil)
		assert.Equal(c, http.StatusOK, status)
	})

	t.Run("the walkthrough's calls are answered as it says", func(t *testing.T) {
		require.Equal(t, "v2", sh(t, "curl -s --resolve flaskapp.localhost:8088:127.0.0.1 http://flaskapp.localhost:8088/env/version"))
		onPage(t, "curl http://flaskapp.localhost:8088/env/version")
		status, _ := ask(t, "/fetch?url=http://httpbin:8000/ip", nil)
		require.Equal(t, http.StatusNotFound, status)
	})

	t.Run("a call is a trace of three, two of them the gateway's", func(t *testing.T) {
		eventually(t, func(c *assert.CollectT) { // from when the gateway keeps all
			url := "/env/version?" + fresh()
			ask(c, url, nil)
			mark(c)
			all, err := stored(jaegers(c), "http://flaskapp.localhost:8088"+url)
			require.NoError(c, err)
			require.Len(c, all, 1)
			require.Equal(c, fromOutside, "\n"+all[0].Tree())
		})
	})

	t.Run("a stranger neither chooses the trace nor turns tracing off, in B3 nor in W3C", func(t *testing.T) {
		for _, header := range []map[string]string{
			{"x-b3-traceid": "11111111111111111111111111111111", "x-b3-spanid": "1111111111111111", "x-b3-sampled": "0"},
			{"b3": "11111111111111111111111111111111-1111111111111111-0"},
			{"traceparent": "00-11111111111111111111111111111111-1111111111111111-00"},
			{"x-request-id": "11111111-1111-4111-8111-111111111111"},
		} {
			url := "/env/version?" + fresh()
			status, _ := ask(t, url, header)
			require.Equal(t, http.StatusOK, status)
			trace := traces(t, []string{fromOutside}, "http://flaskapp.localhost:8088"+url)[0]
			require.NotEqual(t, strings.Repeat("1", 32), trace.ID)
			require.NotContains(t, trace.Spans[0].Tags["guid:x-request-id"], "11111111-1111")
		}
	})

	t.Run("all that gateway.yaml lists is gone behind it, and names with an underscore are", func(t *testing.T) {
		// An echo of what arrives, which no route of gateway.yaml leads to.
		apply(t, `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo-outside, namespace: tracebaton}
spec:
  hosts: [flaskapp.localhost]
  gateways: [flaskapp]
  http:
    - match: [{uri: {exact: /headers}}]
      route: [{destination: {host: httpbin, port: {number: 8000}}}]
`)
		t.Cleanup(func() { sh(t, "kubectl delete -n tracebaton virtualservice echo-outside") })
		manifest := sh(t, "cat deploy/istio/gateway.yaml")
		forged := map[string]string{}
		for _, m := range regexp.MustCompile(`(?:- remove: |prefix: )([a-z0-9-]+)`).FindAllStringSubmatch(manifest, -1) {
			name := m[1]
			if strings.HasSuffix(name, "-") {
				name += "item"
			}
			forged[name] = "forged"
		}
		require.Greater(t, len(forged), 30)
		for _, name := range []string{"x_b3_sampled", "X-B3_Sampled", "x_b3_traceid"} {
			forged[name] = "forged"
		}
		forged["x-kept"] = "forged"
		eventually(t, func(c *assert.CollectT) {
			status, body := ask(c, "/headers", forged)
			require.Equal(c, http.StatusOK, status)
			var echo struct{ Headers map[string][]string }
			require.NoError(c, json.Unmarshal([]byte(body), &echo), body)
			got := map[string]string{}
			for name, values := range echo.Headers {
				if strings.Join(values, "") == "forged" {
					got[name] = "forged"
				}
			}
			require.Equal(c, map[string]string{"X-Kept": "forged"}, got)
		})
	})

	t.Run("without its Telemetry the gateway keeps one in a hundred", func(t *testing.T) {
		sh(t, "kubectl delete -f deploy/istio/gateway-sampling.yaml")
		eventually(t, func(c *assert.CollectT) {
			url := "/env/version?" + fresh()
			for range 20 {
				ask(c, url, nil)
			}
			mark(c)
			all, err := stored(jaegers(c), "http://flaskapp.localhost:8088"+url)
			require.NoError(c, err)
			assert.Less(c, len(all), 10)
		})
	})

	t.Run("without the EnvoyFilter a stranger's trace is joined, and its no silences", func(t *testing.T) {
		sh(t, "kubectl apply -f deploy/istio/gateway-sampling.yaml && kubectl delete envoyfilter -n istio-system drop-outside-trace-headers")
		const id = "22222222222222222222222222222222"
		eventually(t, func(c *assert.CollectT) {
			ask(c, "/env/version", map[string]string{"x-b3-traceid": id, "x-b3-spanid": "2222222222222222", "x-b3-sampled": "1"})
			mark(c)
			_, ok, err := jaegers(c).Trace(id)
			require.NoError(c, err)
			require.True(c, ok)
		})
		url := "/env/version?" + fresh()
		ask(t, url, map[string]string{"x-b3-traceid": strings.Repeat("3", 32), "x-b3-spanid": "3333333333333333", "x-b3-sampled": "0"})
		mark(t)
		all, err := stored(jaegers(t), "http://flaskapp.localhost:8088"+url)
		require.NoError(t, err)
		require.Empty(t, all)
	})
}
