package istio_test

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What is stored of the mesh's own traces names the service that loses them.
func TestAudit(t *testing.T) {
	// Built first: it asks for spans since so long before it begins.
	command := filepath.Join(t.TempDir(), "tracebaton")
	build := exec.Command("go", "build", "-o", command, ".")
	build.Dir = filepath.Join(root, "cmd", "tracebaton")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	restore(t)
	began := time.Now()
	fetch(t, "http://flaskapp/fetch?url="+fresh(), "-n 60 -interval 50ms")
	fetch(t, "http://flaskapp/fetch_with_trace?url="+fresh(), "-n 60 -interval 50ms")
	mark(t)
	cmd := exec.Command(command, "audit", "-since", (time.Since(began) + 10*time.Second).Round(time.Second).String(), jaegers(t).URL)
	out, err = cmd.CombinedOutput()
	require.Error(t, err, "a service drops the trace")
	require.Regexp(t, `(?m)^flaskapp\.trace\S+ +GET /fetch +\S+ to httpbin +drops the trace`, string(out))
	require.NotContains(t, string(out), "/fetch_with_trace")
	require.Contains(t, string(out), "1 service loses the trace")
}
