package check_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/util/protomarshal"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// namespace is where deploy/istio puts everything.
const namespace = "tracebaton"

func TestManifests(t *testing.T) {
	onVolume := withBadger(t)
	for _, tt := range []struct {
		name  string
		build string   // with kustomize
		files []string // applied on top
	}{
		{name: "the services without a mesh", build: "../kubernetes"},
		{name: "Jaeger alone", build: "../kubernetes/jaeger"},
		{name: "the services with Jaeger's traces on a volume", build: filepath.Join(onVolume, "kubernetes")},
		{name: "the mesh with Jaeger's traces on a volume", build: filepath.Join(onVolume, "istio")},
		{name: "the mesh", build: "../istio"},
		{name: "the mesh routed by user", build: "../istio", files: []string{"../istio/route-by-user.yaml"}},
		{name: "the mesh routed by weights", build: "../istio", files: []string{"../istio/route-weights.yaml"}},
		{name: "the mesh with a delay", build: "../istio", files: []string{"../istio/route-delay.yaml"}},
		{name: "the mesh with calls that fail", build: "../istio", files: []string{"../istio/route-abort.yaml"}},
		{name: "the mesh with a mirror", build: "../istio", files: []string{"../istio/route-mirror.yaml"}},
		{name: "the mesh reached from outside", build: "../istio", files: []string{"../istio/gateway.yaml"}},
		{name: "the mesh whose gateway keeps all traces", build: "../istio", files: []string{"../istio/gateway.yaml", "../istio/gateway-sampling.yaml"}},
		{name: "the mesh that speaks W3C", build: "../istio", files: []string{"../istio/gateway.yaml", "../istio/telemetry-w3c.yaml"}},
		{name: "the mesh with routes of the Gateway API", build: "../gateway-api"},
		{name: "the mesh routed by user with the Gateway API", build: "../gateway-api", files: []string{"../gateway-api/route-by-user.yaml"}},
		{name: "the mesh routed by weights with the Gateway API", build: "../gateway-api", files: []string{"../gateway-api/route-weights.yaml"}},
		{name: "the mesh with a mirror of the Gateway API", build: "../gateway-api", files: []string{"../gateway-api/route-mirror.yaml"}},
		{name: "the mesh reached from outside with the Gateway API", build: "../gateway-api", files: []string{"../gateway-api/gateway.yaml"}},
		{name: "the services' own spans", build: "../otel"},
		{name: "the services' own spans in a mesh that speaks W3C", build: "../otel-w3c", files: []string{"../istio/gateway.yaml", "../istio/telemetry-w3c.yaml"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Empty(t, findings(t, apply(t, build(t, tt.build), tt.files...)))
		})
	}
}

// withBadger returns a copy of deploy whose Jaeger has the component that keeps
// its traces on a volume.
func withBadger(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"kubernetes", "istio", "otel", "otel-w3c"} {
		require.NoError(t, os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join("..", name))))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "jaeger"), 0o750))
	for _, name := range []string{"kustomization.yaml", "config.yaml", "badger.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "jaeger", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "jaeger", name), text, 0o600))
	}
	file, err := os.OpenFile(filepath.Join(dir, "kubernetes", "kustomization.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString("components:\n  - badger\n")
	require.NoError(t, errors.Join(err, file.Close()))
	return dir
}

// No overlay that is applied later puts the Jaeger in memory back.
func TestTracesStayOnTheVolume(t *testing.T) {
	dir := withBadger(t)
	for _, overlay := range []string{"kubernetes", "istio", "otel", "otel-w3c"} {
		objs := build(t, filepath.Join(dir, overlay))
		require.Len(t, objs.of("PersistentVolumeClaim"), 1, overlay)
		for _, d := range objs.of("Deployment") {
			if pod, _ := podOf(t, d); d.GetName() == "jaeger" {
				require.Contains(t, pod.Spec.Containers[0].Args, "--config=/etc/jaeger/badger.yaml", overlay)
			}
		}
	}
}

// TestManifests would not notice a file that nobody names.
func TestEveryFileIsChecked(t *testing.T) {
	for dir, listed := range map[string]string{
		"../istio": "kustomization.yaml namespace.yaml destinationrule.yaml virtualservice.yaml telemetry.yaml " +
			"install.yaml install-cni.yaml gateway.yaml gateway-sampling.yaml telemetry-w3c.yaml " +
			"route-by-user.yaml route-weights.yaml route-delay.yaml route-abort.yaml route-mirror.yaml",
		"../gateway-api": "kustomization.yaml services.yaml httproute.yaml gateway.yaml " +
			"route-by-user.yaml route-weights.yaml route-mirror.yaml",
		"../addons": "alloy.alloy dashboards.yaml grafana-jaeger.json jaeger-readers.yaml kiali-tracing.yaml",
	} {
		files, err := filepath.Glob(dir + "/*")
		require.NoError(t, err)
		var names []string
		for _, file := range files {
			names = append(names, filepath.Base(file))
		}
		require.ElementsMatch(t, strings.Fields(listed), names, dir)
	}
}

// Each folder of testdata/broken spoils one thing, and says in its first line
// what is to be found then.
func TestBrokenManifestsAreCaught(t *testing.T) {
	dirs, err := filepath.Glob("testdata/broken/*")
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
			require.NoError(t, err)
			first, _, _ := strings.Cut(string(text), "\n")
			want, ok := strings.CutPrefix(first, "# finds: ")
			require.True(t, ok, "the first line must be # finds: and a part of the finding")

			got := findings(t, build(t, dir))
			require.True(t, slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }),
				"want a finding that contains %q, got %q", want, got)
		})
	}
}

func TestInstallations(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"../istio/install.yaml", ""},
		{"../istio/install-cni.yaml", ""},
		{"testdata/install/unknown-field.yaml", `unknown field "extensionProvider"`},
		{"testdata/install/unknown-profile.yaml", "no-such-profile"},
	} {
		t.Run(tt.file, func(t *testing.T) {
			err := checkInstallation(t, tt.file)
			if tt.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.want)
			}
		})
	}
}

func checkInstallation(t testing.TB, file string) error {
	t.Helper()
	out, warnings, err := istioctl(t, "validate", "-f", file)
	if err != nil {
		return err
	}
	if want := fmt.Sprintf("%q is valid\n", file); out+warnings != want {
		return errors.New(out + warnings)
	}
	// Istioctl drops what it does not know of the mesh configuration.
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	section, _, err := unstructured.NestedMap(parse(t, string(text))[0].Object, "spec", "meshConfig")
	require.NoError(t, err)
	config := []byte("{}")
	if section != nil {
		config, err = json.Marshal(section)
		require.NoError(t, err)
	}
	if err := protomarshal.ApplyJSONStrict(string(config), mesh.DefaultMeshConfig()); err != nil {
		return err
	}
	if _, err := mesh.ApplyMeshConfigDefaults(string(config)); err != nil {
		return err
	}
	_, warnings, err = istioctl(t, "manifest", "generate", "-f", file)
	if err == nil && warnings != "" {
		err = errors.New(warnings)
	}
	return err
}

// objects are the manifests of a set, in the order in which they are applied.
type objects []*unstructured.Unstructured

// build returns what kustomize makes of a folder, all of it in a namespace.
func build(t testing.TB, dir string) objects {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	require.NoError(t, err)
	text, err := resources.AsYaml()
	require.NoError(t, err)
	objs := parse(t, string(text))
	for _, o := range objs {
		if o.GetNamespace() == "" && o.GetKind() != "Namespace" {
			o.SetNamespace(namespace)
		}
	}
	return objs
}

// apply puts the objects of files on top, as kubectl apply does.
func apply(t testing.TB, objs objects, files ...string) objects {
	t.Helper()
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, o := range parse(t, string(text)) {
			objs = slices.DeleteFunc(objs, func(other *unstructured.Unstructured) bool {
				return key(other) == key(o)
			})
			objs = append(objs, o)
		}
	}
	return objs
}

func key(o *unstructured.Unstructured) string {
	return strings.Join([]string{o.GroupVersionKind().Group, o.GetKind(), o.GetNamespace(), o.GetName()}, "/")
}

func parse(t testing.TB, text string) (objs objects) {
	t.Helper()
	for doc := range strings.SplitSeq("\n"+text, "\n---\n") {
		var o unstructured.Unstructured
		// Whole numbers are int64 then, which rules of CEL ask for.
		require.NoError(t, utilyaml.Unmarshal([]byte(doc), &o.Object))
		if len(o.Object) > 0 {
			objs = append(objs, &o)
		}
	}
	return objs
}

// yaml returns the objects as one file.
func (objs objects) yaml(t testing.TB) string {
	t.Helper()
	var docs []string
	for _, o := range objs {
		text, err := yaml.Marshal(o.Object)
		require.NoError(t, err)
		docs = append(docs, string(text))
	}
	return strings.Join(docs, "---\n")
}

// of returns the objects of a kind.
func (objs objects) of(kind string) (found objects) {
	for _, o := range objs {
		if o.GetKind() == kind {
			found = append(found, o)
		}
	}
	return found
}
