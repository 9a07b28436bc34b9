package istio_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Section 3.
func TestInjectionByHand(t *testing.T) {
	dir := t.TempDir()
	there := func(command string) {
		onPage(t, command)
		sh(t, strings.ReplaceAll(command, "/tmp/", dir+"/"))
	}
	there("kubectl kustomize deploy/kubernetes > /tmp/services.yaml")
	there("kubectl -n istio-system get configmap istio -o jsonpath='{.data.mesh}' > /tmp/mesh-config.yaml")
	there("kubectl -n istio-system get configmap istio-sidecar-injector -o jsonpath='{.data.config}' > /tmp/inject-config.yaml")
	there("kubectl -n istio-system get configmap istio-sidecar-injector -o jsonpath='{.data.values}' > /tmp/inject-values.yaml")
	there("istioctl kube-inject --revision default -f /tmp/services.yaml -o /tmp/injected.yaml \\\n" +
		"    --meshConfigFile /tmp/mesh-config.yaml --injectConfigFile /tmp/inject-config.yaml --valuesFile /tmp/inject-values.yaml")
	n := 0
	for objects := json.NewDecoder(strings.NewReader(sh(t, "kubectl create --dry-run=client -o json -f "+dir+"/injected.yaml"))); objects.More(); {
		var d struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     struct {
				Template struct {
					Spec struct{ InitContainers, Containers []struct{ Name string } }
				}
			}
		}
		require.NoError(t, objects.Decode(&d))
		if d.Kind != "Deployment" {
			continue
		}
		line := d.Metadata.Name + ":"
		for _, c := range append(d.Spec.Template.Spec.InitContainers, d.Spec.Template.Spec.Containers...) {
			line += " " + c.Name
		}
		onPage(t, "\n"+line)
		n++
	}
	require.Equal(t, 6, n)
}

// Section 4.
func TestWhoInjects(t *testing.T) {
	sh(t, "istioctl install -y -f deploy/istio/install.yaml -f integration/istio/stock-envoy.yaml --set profile=minimal --set revision=canary")
	t.Cleanup(func() { sh(t, "istioctl uninstall -y --revision canary") })

	// injector is the revision that injects the pod, "no" for none.
	injector := func(t *testing.T, namespace string, metadata, spec map[string]any) string {
		metadata["name"] = "probe"
		spec["containers"] = []any{map[string]any{"name": "probe", "image": "localhost/tracebaton/httpbin:0.1.0"}}
		text, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
		require.NoError(t, err)
		var created struct {
			Metadata struct{ Annotations map[string]string }
		}
		eventually(t, func(c *assert.CollectT) { // its account takes a moment
			cmd := exec.Command("kubectl", "create", "--dry-run=server", "-o", "json", "-n", namespace, "-f", "-")
			cmd.Stdin = strings.NewReader(string(text))
			out, err := cmd.Output()
			require.NoError(c, err)
			require.NoError(c, json.Unmarshal(out, &created))
		})
		var status struct{ Revision string }
		if s := created.Metadata.Annotations["sidecar.istio.io/status"]; s != "" {
			require.NoError(t, json.Unmarshal([]byte(s), &status))
			return status.Revision
		}
		return "no"
	}
	label := func(text string) map[string]string {
		labels := map[string]string{}
		for _, m := range regexp.MustCompile("`([a-z./-]+)(?:=|: )\"?([a-z]+)\"?`").FindAllStringSubmatch(text, -1) {
			labels[m[1]] = m[2]
		}
		return labels
	}
	var namespaces []string
	t.Cleanup(func() { sh(t, "kubectl delete namespace --ignore-not-found "+strings.Join(namespaces, " ")) })
	namespace := func(t *testing.T, labels map[string]string) string {
		name := fmt.Sprintf("who-%d", len(namespaces))
		namespaces = append(namespaces, name)
		command := "kubectl create namespace " + name
		for key, value := range labels {
			command += fmt.Sprintf(" && kubectl label namespace %s %s=%s", name, key, value)
		}
		sh(t, command)
		return name
	}

	_, table, ok := strings.Cut(walkthrough, "| namespace \\ pod |")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "\n\n")
	lines := strings.Split(table, "\n")
	columns := strings.Split(strings.Trim(lines[0], "| "), " | ")
	cells := 0
	for _, line := range lines[2:] {
		row := strings.Split(strings.Trim(line, "| "), " | ")
		name := namespace(t, label(row[0]))
		for i, want := range row[1:] {
			cells++
			labels := map[string]string{"app": "probe"}
			for key, value := range label(columns[i]) {
				labels[key] = value
			}
			got := injector(t, name, map[string]any{"labels": labels}, map[string]any{})
			assert.Equal(t, strings.Trim(want, "*"), got, "namespace: %s, pod: %s", row[0], columns[i])
		}
	}
	require.Equal(t, 24, cells)

	annotated := func(value string) map[string]any {
		return map[string]any{"annotations": map[string]string{"sidecar.istio.io/inject": value}}
	}
	plain, enabled := namespace(t, nil), namespace(t, map[string]string{"istio-injection": "enabled"})
	require.Equal(t, "no", injector(t, plain, annotated("true"), map[string]any{}), "the webhook is not called")
	require.Equal(t, "no", injector(t, enabled, annotated("false"), map[string]any{}))
	require.Equal(t, "no", injector(t, enabled, map[string]any{}, map[string]any{"hostNetwork": true}))
	for _, system := range []string{"kube-system", "kube-public", "kube-node-lease"} {
		require.Equal(t, "no", injector(t, system, map[string]any{"labels": map[string]string{"sidecar.istio.io/inject": "true"}}, map[string]any{}), system)
	}
}

// Section 4, the commands.
func TestAutomaticInjection(t *testing.T) {
	t.Cleanup(func() {
		sh(t, "istioctl admin log --log-reset")
		sh(t, "kubectl delete namespace --ignore-not-found auto plain")
	})
	walk(t, "kubectl create namespace auto")
	walk(t, "kubectl label namespace auto istio-injection=enabled")
	walk(t, "kubectl create namespace plain")
	walk(t, "kubectl create deployment probe --image=localhost/tracebaton/httpbin:0.1.0 -n auto")
	walk(t, "kubectl create deployment probe --image=localhost/tracebaton/httpbin:0.1.0 -n plain")
	eventually(t, func(c *assert.CollectT) {
		out := walk(c, "kubectl get pods -A -l app=probe")
		assert.Regexp(c, `(?m)^auto +probe\S+ +2/2 +Running`, out)
		assert.Regexp(c, `(?m)^plain +probe\S+ +1/1 +Running`, out)
	})
	require.Contains(t, walk(t, "istioctl experimental check-inject deployment/probe -n plain"), "No matching namespace labels")
	walk(t, "istioctl admin log --level default:debug")
	walk(t, "kubectl rollout restart deployment probe -n auto")
	eventually(t, func(c *assert.CollectT) {
		out, _ := try("kubectl logs -n istio-system deployment/istiod --tail=-1 | grep 'Sidecar injection policy'")
		assert.Contains(c, out, "required:true")
	})
	onPage(t, "kubectl logs -n istio-system deployment/istiod | grep 'Sidecar injection policy'")
}
