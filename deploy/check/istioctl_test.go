package check_test

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"istio.io/istio/istioctl/cmd"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/log"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	podsecurity "k8s.io/pod-security-admission/api"
	podsecuritypolicy "k8s.io/pod-security-admission/policy"
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

	template, values string // what kube-inject needs beside that
}

var installed struct {
	sync.Once
	istio
}

func installation(t testing.TB) istio {
	t.Helper()
	installed.Do(func() { installed.istio = install(t, "../istio/install.yaml") })
	require.NotEmpty(t, installed.mesh, "the installation failed before")
	return installed.istio
}

func install(t testing.TB, files ...string) istio {
	t.Helper()
	args := []string{"manifest", "generate"}
	for _, file := range files {
		args = append(args, "-f", file)
	}
	out, warnings, err := istioctl(t, args...)
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
			i.template, i.values = data["config"], data["values"]
		}
	}
	return i
}

// inject returns the objects as istioctl kube-inject writes them.
func inject(t testing.TB, objs objects) objects {
	t.Helper()
	return installation(t).inject(t, objs)
}

func (i istio) inject(t testing.TB, objs objects) objects {
	t.Helper()
	out, warnings, err := istioctl(t, "kube-inject", "--revision", "default", "-f", write(t, objs.yaml(t)),
		"--injectConfigFile", write(t, i.template), "--meshConfigFile", write(t, i.mesh), "--valuesFile", write(t, i.values))
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
				require.Greater(t, *pod.Spec.TerminationGracePeriodSeconds, int64(30), "or it is killed while it drains")
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

// A gateway has a grace period of 30 s: a drain as long would end in a kill, so
// it is for the pods that need it, and not for the mesh.
func TestDrainIsSetForEachPod(t *testing.T) {
	config, err := mesh.ApplyMeshConfigDefaults(installation(t).mesh)
	require.NoError(t, err)
	require.Less(t, config.GetDefaultConfig().GetTerminationDrainDuration().AsDuration(), 30*time.Second)
}

// With istio-init a namespace that enforces a Pod Security level admits no pod
// that has a sidecar.
func TestPodSecurity(t *testing.T) {
	evaluator, err := podsecuritypolicy.NewEvaluator(podsecuritypolicy.DefaultChecks(), nil)
	require.NoError(t, err)
	admitted := func(t *testing.T, i istio, level podsecurity.Level) (refused []string) {
		t.Helper()
		for _, d := range i.inject(t, build(t, "../istio").of("Deployment")) {
			pod, _ := podOf(t, d)
			result := podsecuritypolicy.AggregateCheckResults(evaluator.EvaluatePod(
				podsecurity.LevelVersion{Level: level, Version: podsecurity.LatestVersion()}, &pod.ObjectMeta, &pod.Spec))
			if !result.Allowed {
				refused = append(refused, d.GetName()+": "+result.ForbiddenDetail())
			}
		}
		return refused
	}
	t.Run("install.yaml alone", func(t *testing.T) {
		refused := admitted(t, installation(t), podsecurity.LevelBaseline)
		require.Len(t, refused, 5, "if it no longer refuses any, docs/walkthrough.md has more to say than it must")
		require.Contains(t, refused[0], "NET_ADMIN")
	})
	t.Run("install-cni.yaml on top of it", func(t *testing.T) {
		require.Empty(t, admitted(t, install(t, "../istio/install.yaml", "../istio/install-cni.yaml"), podsecurity.LevelRestricted))
	})
}
