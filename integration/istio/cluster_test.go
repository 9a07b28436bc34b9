package istio_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The script that a workflow runs in kind does its work here as well, but for
// what only Istio's own Envoy has.
func TestScriptOfTheClusterJob(t *testing.T) {
	if _, err := exec.LookPath("jq"); err != nil && os.Getenv("CI") == "" {
		t.Skip("there is no jq")
	}
	restore(t)
	minor := sidecarEnvoy(t).Version
	minor = minor[:strings.LastIndex(minor, ".")]
	out := sh(t, "STOCK_ENVOY=1 ENVOY="+minor+" bash deploy/check/cluster.sh")
	require.Contains(t, out, "ok: /fetch is two traces of two spans")
	require.Contains(t, out, "ok: each of them is the child of the one before")

	_, err := try("STOCK_ENVOY=1 ENVOY=1.0 bash deploy/check/cluster.sh")
	require.Error(t, err, "another Envoy is refused")
}
