package integration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/tracebaton/tracebaton/integration/envoy"
	"github.com/tracebaton/tracebaton/integration/process"
)

// The EnvoyFilter of deploy/istio/gateway.yaml, as istiod merges it, in an Envoy
// at the edge.
func TestGateway(t *testing.T) {
	const stranger = "1111111111111111"
	patch, dropped := gatewayPatch(t)
	require.Greater(t, len(dropped), 30)
	forged := map[string]string{
		"x-b3-traceid":                stranger + stranger,
		"x-b3-spanid":                 stranger,
		"x-b3-sampled":                "0",
		"b3":                          stranger + stranger + "-" + stranger + "-0",
		"traceparent":                 "00-" + stranger + stranger + "-" + stranger + "-00",
		"x-request-id":                "11111111-1111-4111-8111-111111111111",
		"x-client-trace-id":           stranger,
		"x_b3_sampled":                "0",
		"X-B3_Sampled":                "0",
		"uberctx-tenant":              stranger,
		"ot-baggage-tenant":           stranger,
		"x-datadog-sampling-priority": "-1",
	}
	for _, name := range dropped {
		if forged[name] == "" {
			forged[name] = stranger
		}
	}

	for _, binary := range envoy.NeedAll(t) {
		t.Run(binary.Version, func(t *testing.T) {
			service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = json.NewEncoder(w).Encode(r.Header)
			}))
			t.Cleanup(service.Close)
			spans := envoy.Collect(t)
			config := envoy.Config{Service: "gateway", Zipkin: spans.Addr, OTLP: spans.Addr}
			for format, tracer := range formats {
				in := envoy.Listener{Name: "service " + format, Addr: process.FreeAddr(t), Upstream: service.Listener.Addr().String(), Inbound: true, Tracer: tracer, Operation: "call"}
				early := envoy.Listener{Name: "early " + format, Addr: process.FreeAddr(t), Upstream: in.Addr, Tracer: tracer, Operation: "call", Edge: true, Patch: patch, SpawnUpstreamSpan: true}
				late := envoy.Listener{Name: "late " + format, Addr: process.FreeAddr(t), Upstream: in.Addr, Tracer: tracer, Operation: "call", Edge: true, LateRemove: dropped}
				config.Listeners = append(config.Listeners, in, early, late)
			}
			proxy := envoy.Start(t, binary, config)

			for format := range formats {
				t.Run("a stranger's trace headers never get past it, in "+format, func(t *testing.T) {
					arrived := ask(t, proxy.Addr("early "+format), forged)
					for name, values := range arrived {
						lower := strings.ToLower(name)
						assert.NotContains(t, lower, "_", "an underscore")
						if lower != "x-forwarded-for" {
							assert.NotContains(t, strings.Join(values, " "), "11111111", "the stranger's %s: %s", name, values)
						}
						assert.NotContains(t, lower, "-tenant")
					}
					for name, values := range forged {
						if got := arrived.Get(name); got == values {
							assert.Fail(t, "what the stranger sent arrives", "%s: %s", name, got)
						}
					}
					proxy.Settle(t)
					sent, err := spans.Take()
					require.NoError(t, err)
					require.Len(t, sent, 3, "two spans of the gateway, one of the sidecar")
					require.Equal(t, "3 in a chain", shapes(sent))
				})

				t.Run("removed by a route they have been read, in "+format, func(t *testing.T) {
					ask(t, proxy.Addr("late "+format), map[string]string{
						"x-b3-traceid": stranger + stranger, "x-b3-spanid": stranger, "x-b3-sampled": "1",
						"traceparent": "00-" + stranger + stranger + "-" + stranger + "-01",
					})
					proxy.Settle(t)
					sent, err := spans.Take()
					require.NoError(t, err)
					require.NotEmpty(t, sent)
					for _, span := range sent {
						require.Equal(t, stranger+stranger, span.Trace)
					}
				})
			}
		})
	}
}

// ask returns the headers that the service gets of a request with those.
func ask(t *testing.T, addr string, header map[string]string) http.Header {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, nil)
	require.NoError(t, err)
	for name, value := range header {
		req.Header[name] = []string{value} // in the case that it is in
	}
	resp, err := (&http.Client{Timeout: patience}).Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	var arrived http.Header
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&arrived))
	return arrived
}

// gatewayPatch reads the EnvoyFilter: the fields that it merges into the HTTP
// connection manager, and the names that it removes.
func gatewayPatch(t *testing.T) (patch map[string]any, removed []string) {
	t.Helper()
	text, err := os.ReadFile("../deploy/istio/gateway.yaml")
	require.NoError(t, err)
	for documents := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc struct {
			Kind string
			Spec struct {
				ConfigPatches []struct {
					Patch struct {
						Value struct {
							TypedConfig map[string]any `yaml:"typed_config"`
						}
					}
				} `yaml:"configPatches"`
			}
		}
		err := documents.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if doc.Kind == "EnvoyFilter" {
			require.Len(t, doc.Spec.ConfigPatches, 1)
			patch = doc.Spec.ConfigPatches[0].Patch.Value.TypedConfig
		}
	}
	require.NotNil(t, patch, "no EnvoyFilter")
	delete(patch, "@type")
	extension := patch["early_header_mutation_extensions"].([]any)[0].(map[string]any)
	for _, m := range extension["typed_config"].(map[string]any)["mutations"].([]any) {
		if name, ok := m.(map[string]any)["remove"].(string); ok {
			removed = append(removed, name)
		}
	}
	return patch, removed
}
