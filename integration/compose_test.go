package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/tracebaton/tracebaton/integration/envoy"
	"github.com/tracebaton/tracebaton/integration/process"
)

// composed are the Envoys of deploy/compose.yaml: the same configuration as the
// tests', at compose's addresses.
var composed = []envoy.Config{
	{Service: "sleep", Listeners: []envoy.Listener{
		{Name: "sleep-out", Addr: "0.0.0.0:8080", Upstream: "flaskapp-envoy:15006", Operation: "flaskapp:8080/*"},
	}},
	{Service: "flaskapp", Listeners: []envoy.Listener{
		{Name: "flaskapp-in", Addr: "0.0.0.0:15006", Upstream: "flaskapp:8080", Inbound: true, Operation: "flaskapp:8080/*"},
		{Name: "flaskapp-out", Addr: "0.0.0.0:8000", Upstream: "httpbin-envoy:15006", Operation: "httpbin:8000/*"},
	}},
	{Service: "httpbin", Listeners: []envoy.Listener{
		{Name: "httpbin-in", Addr: "0.0.0.0:15006", Upstream: "httpbin:8000", Inbound: true, Operation: "httpbin:8000/*"},
	}},
}

func TestComposeRunsTheEnvoysThatAreTested(t *testing.T) {
	for _, c := range composed {
		t.Run(c.Service, func(t *testing.T) {
			c.Admin, c.Zipkin = "127.0.0.1:9901", "jaeger:9411"
			want, err := c.YAML()
			require.NoError(t, err)
			want = append([]byte("# Written by integration/compose_test.go: go test -run TestCompose -update .\n"), want...)
			file := filepath.Join("..", "deploy", "envoy", c.Service+".yaml")
			if *update {
				require.NoError(t, os.WriteFile(file, want, 0o644)) // #nosec G306 -- a container of another user reads it
			}
			got, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got), "run go test -run TestCompose -update . in integration")
			for _, binary := range envoy.NeedAll(t) {
				out, err := exec.Command(binary.Path, "--mode", "validate", "--config-path", file, "--log-level", "error").CombinedOutput()
				require.NoError(t, err, "%s: %s", binary.Version, out)
			}
		})
	}
}

func TestComposesEnvoy(t *testing.T) {
	text, err := os.ReadFile("../deploy/compose.yaml")
	require.NoError(t, err)
	var compose struct {
		Envoy struct {
			Image       string
			HealthCheck struct{ Test []string }
		} `yaml:"x-envoy"`
	}
	require.NoError(t, yaml.Unmarshal(text, &compose))

	t.Run("is the newest of those that are tested", func(t *testing.T) {
		versions := envoy.Versions()
		require.Equal(t, "envoyproxy/envoy:v"+versions[len(versions)-1], compose.Envoy.Image)
	})

	t.Run("is healthy once it is ready", func(t *testing.T) {
		if _, err := exec.LookPath("bash"); err != nil {
			t.Skip("no bash here, which the image has")
		}
		config := composed[0]
		config.Listeners = slices.Clone(config.Listeners)
		config.Admin, config.Zipkin, config.Listeners[0].Addr = process.FreeAddr(t), "127.0.0.1:9", process.FreeAddr(t)
		healthy := func() error {
			_, port, _ := strings.Cut(config.Admin, ":")
			test := compose.Envoy.HealthCheck.Test
			require.Equal(t, []string{"CMD", "bash", "-c"}, test[:3])
			return exec.Command("bash", "-c", strings.Replace(test[3], "9901", port, 1)).Run() // #nosec G204 -- the file's own
		}
		require.Error(t, healthy(), "before it runs")
		envoy.Start(t, envoy.Need(t), config)
		require.NoError(t, healthy())
	})
}
