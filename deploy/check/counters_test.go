package check_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/stretchr/testify/require"
	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/bootstrap"
	"istio.io/istio/pkg/config/mesh"
)

// counters are what docs/istio.md tells to look at.
var counters = []string{
	"http.outbound_0.0.0.0_80;.tracing.random_sampling",
	"http.outbound_0.0.0.0_80;.tracing.not_traceable",
	"tracing.zipkin.spans_sent",
	"tracing.zipkin.reports_dropped",
	"tracing.opentelemetry.spans_sent",
}

// A sidecar of Istio's counts nothing about tracing, unless its pod says so.
func TestSidecarsCountWhatTheirPodSays(t *testing.T) {
	page := texts(t)["docs/istio.md"]
	m := regexp.MustCompile(`"proxy\.istio\.io/config":"([^"]+)"`).FindStringSubmatch(page)
	require.NotNil(t, m, "the page names no annotation")
	asked, err := mesh.MergeProxyConfig(m[1], mesh.DefaultProxyConfig())
	require.NoError(t, err)
	for _, name := range counters {
		require.False(t, counts(t, mesh.DefaultProxyConfig(), name), name)
		require.True(t, counts(t, asked, name), name)
	}
}

// counts reports whether the sidecar of a pod with that configuration has a
// counter, by the bootstrap that Istio's agent writes for its Envoy.
func counts(t testing.TB, config *meshconfig.ProxyConfig, counter string) bool {
	t.Helper()
	dir, err := moduleDir("istio.io/istio")
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, bootstrap.New(bootstrap.Config{Node: &model.Node{
		Locality: &core.Locality{},
		ID:       "sidecar~10.244.0.1~flaskapp.tracebaton~tracebaton.svc.cluster.local",
		Metadata: &model.BootstrapNodeMetadata{
			NodeMetadata: model.NodeMetadata{Namespace: namespace, ProxyConfig: (*model.NodeMetaProxyConfig)(config)},
		},
	}}).WriteTo(filepath.Join(dir, "tools", "packaging", "common", "envoy_bootstrap.json"), &b))
	var written struct {
		StatsConfig struct {
			StatsMatcher struct {
				InclusionList struct {
					Patterns []struct {
						Prefix, Suffix string
						SafeRegex      struct{ Regex string } `json:"safe_regex"`
					}
				} `json:"inclusion_list"`
			} `json:"stats_matcher"`
		} `json:"stats_config"`
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &written))
	patterns := written.StatsConfig.StatsMatcher.InclusionList.Patterns
	require.NotEmpty(t, patterns)
	for _, p := range patterns {
		if p.Prefix != "" && strings.HasPrefix(counter, p.Prefix) || p.Suffix != "" && strings.HasSuffix(counter, p.Suffix) ||
			p.SafeRegex.Regex != "" && regexp.MustCompile("^(?:"+p.SafeRegex.Regex+")$").MatchString(counter) {
			return true
		}
	}
	return false
}
