package check_test

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"istio.io/istio/istioctl/cmd"
	"istio.io/istio/pkg/log"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Istio's own log would bury what the tests have to say.
func TestMain(m *testing.M) {
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.NoneLevel)
	}
	os.Exit(m.Run())
}

// istioctl runs istioctl, which reaches no cluster, and returns what it
// prints to standard output and to standard error.
func istioctl(t testing.TB, args ...string) (out, warnings string, err error) {
	t.Helper()
	t.Setenv("KUBECONFIG", "/nonexistent")
	var stdout, stderr bytes.Buffer
	root := cmd.GetRootCmd(append(args, "--log_output_level=all:none"))
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SilenceUsage = true
	root.SilenceErrors = true
	err = root.Execute()
	return stdout.String(), stderr.String(), err
}

// istio is what install.yaml installs.
type istio struct {
	manifests objects
	mesh      string // the mesh configuration

	// What kube-inject needs, as files.
	meshFile, injectFile, valuesFile string
}

var installed struct {
	sync.Once
	istio
}

func installation(t testing.TB) istio {
	t.Helper()
	installed.Do(func() { installed.istio = install(t, "../istio/install.yaml") })
	i := installed.istio
	require.NotEmpty(t, i.mesh, "the installation failed before")
	i.meshFile, i.injectFile, i.valuesFile = write(t, i.mesh), write(t, i.injectFile), write(t, i.valuesFile)
	return i
}

func install(t testing.TB, file string) istio {
	t.Helper()
	out, warnings, err := istioctl(t, "manifest", "generate", "-f", file)
	require.NoError(t, err)
	require.Empty(t, warnings)
	i := istio{manifests: parse(t, out)}
	for _, o := range i.manifests.of("ConfigMap") {
		data, _, err := unstructured.NestedStringMap(o.Object, "data")
		require.NoError(t, err)
		switch o.GetName() {
		case "istio":
			i.mesh = data["mesh"]
		case "istio-sidecar-injector":
			i.injectFile, i.valuesFile = data["config"], data["values"]
		}
	}
	return i
}

// inject returns the objects as istioctl kube-inject writes them.
func inject(t testing.TB, objs objects) objects {
	t.Helper()
	i := installation(t)
	out, warnings, err := istioctl(t, "kube-inject", "--revision", "default", "-f", write(t, objs.yaml(t)),
		"--injectConfigFile", i.injectFile, "--meshConfigFile", i.meshFile, "--valuesFile", i.valuesFile)
	require.NoError(t, err)
	for line := range strings.SplitSeq(strings.TrimSpace(warnings), "\n") {
		if line != "" {
			require.Contains(t, line, `"`+namespace+`/jaeger" has sidecar injection disabled`)
		}
	}
	return parse(t, out)
}

func TestSidecarsAreInjected(t *testing.T) {
	for _, tt := range []struct {
		name     string
		build    string
		excluded string // port that goes past the sidecar
	}{
		{name: "into the services as they are", build: "../kubernetes"},
		{name: "into those of the mesh", build: "../istio"},
		{name: "past which services send their own spans", build: "../otel", excluded: "4318"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := build(t, tt.build).of("Deployment")
			require.Len(t, before, 6)
			after := inject(t, before)
			require.Len(t, after, 6)
			for _, d := range after {
				pod, _ := podOf(t, d)
				args := make(map[string]string)
				var config string // of the sidecar
				for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
					args[c.Name] = strings.Join(c.Args, " ")
					for _, e := range c.Env {
						if e.Name == "PROXY_CONFIG" {
							config = e.Value
						}
					}
				}
				if d.GetName() == "jaeger" {
					require.NotContains(t, args, "istio-proxy", "what collects the traces makes none")
					continue
				}
				require.Contains(t, args, "istio-proxy", d.GetName())
				require.Contains(t, args, "istio-init", d.GetName())
				if tt.excluded != "" {
					require.Regexp(t, `-o (\S+,)?`+tt.excluded+`\b`, args["istio-init"])
				}
				require.Contains(t, config, `"terminationDrainDuration":"30s"`, "the sidecar must outlive the service")
				require.Greater(t, *pod.Spec.TerminationGracePeriodSeconds, int64(30))
				// Probes go through the sidecar's agent, or strict mTLS would
				// refuse the kubelet.
				require.Contains(t, d.Object["spec"], "template")
				for _, c := range pod.Spec.Containers {
					if c.Name != "istio-proxy" {
						require.Contains(t, c.ReadinessProbe.HTTPGet.Path, "/app-health/", c.Name)
					}
				}
			}
		})
	}
}
