package istio_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
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

// Which of the broken manifests of deploy/check a cluster itself refuses, with
// Istio's webhooks. It takes all others as they are: those are what deploy/check
// is for.
func TestBrokenManifestsThatAClusterRefuses(t *testing.T) {
	restore(t)
	installGatewayAPI(t)
	refused := map[string]string{
		"autoscaler-turned-round":   "must be greater than or equal to `minReplicas`",
		"impossible-percentage":     "percentage",
		"no-version-label":          "field is immutable",
		"selector-of-other-pods":    "`selector` does not match template `labels`",
		"unknown-field":             "unknown field",
		"unknown-gateway-api-field": "unknown field",
		"unknown-istio-field":       "unknown field",
		"wrong-type":                "unrecognized type",
	}
	dirs, err := filepath.Glob(filepath.Join(root, "deploy", "check", "testdata", "broken", "*"))
	require.NoError(t, err)
	require.Greater(t, len(dirs), len(refused))
	for _, dir := range dirs {
		name := filepath.Base(dir)
		out, err := try("kubectl kustomize " + dir + " | kubectl apply --dry-run=server -f -")
		if why, ok := refused[name]; ok {
			assert.Error(t, err, name)
			assert.Contains(t, out, why, name)
		} else {
			assert.NoError(t, err, "%s: %s", name, out)
		}
		delete(refused, name)
	}
	require.Empty(t, refused)
}
