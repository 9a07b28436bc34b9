package istio_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The last of all tests: the sidecars that are there then have refused nothing.
func TestZNoProxyRefusedItsConfiguration(t *testing.T) {
	out := sh(t, "istioctl proxy-status")
	require.GreaterOrEqual(t, strings.Count(out, "CDS"), 8, out)
	for _, p := range pods(t, "-n tracebaton -l 'app in (sleep, flaskapp, httpbin)'") {
		out := sh(t, "kubectl exec "+p.Metadata.Name+" -c istio-proxy -- pilot-agent request GET 'stats?filter=update_rejected'")
		for line := range strings.Lines(out) {
			if strings.Contains(line, "update_rejected") {
				require.True(t, strings.HasSuffix(strings.TrimSpace(line), ": 0"), "%s: %s", p.Metadata.Name, line)
			}
		}
		require.Contains(t, out, "lds.update_rejected", p.Metadata.Name)
	}
}
