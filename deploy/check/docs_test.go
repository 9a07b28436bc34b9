package check_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	rbac "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"istio.io/istio/pilot/test/xdstest"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// texts are what a reader copies from: the pages, and the files of deploy.
func texts(t testing.TB) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, dir := range []string{"docs", "deploy"} {
		require.NoError(t, fs.WalkDir(os.DirFS("../.."), dir, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (name == "deploy/check" || d.Name() == "bin"):
				return fs.SkipDir
			case strings.HasSuffix(name, ".md"), strings.HasSuffix(name, ".yaml"), strings.Contains(name, "Dockerfile"):
				text, err := os.ReadFile(filepath.Join("../..", name))
				found[name] = string(text)
				return err
			}
			return nil
		}))
	}
	require.Greater(t, len(found), 40)
	return found
}

func walkthrough(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/walkthrough.md")
	require.NoError(t, err)
	return string(text)
}

func TestFilesThatAreNamedExist(t *testing.T) {
	path := regexp.MustCompile(`\bdeploy/[\w./-]*\w`)
	for name, text := range texts(t) {
		for _, file := range path.FindAllString(text, -1) {
			// What is built, and what kubectl calls a Deployment.
			if !strings.Contains(file, "/bin") && !strings.HasPrefix(file, "deploy/sleep-v1") {
				_, err := os.Stat(filepath.Join("../..", file))
				assert.NoError(t, err, "%s names it", name)
			}
		}
	}
}

// The server that the tests run is the image that users run: releases of
// Jaeger v2 are also modules v1.x, 63 minor versions ahead.
func TestJaegerHasOneVersion(t *testing.T) {
	text, err := os.ReadFile("../jaeger/go.mod")
	require.NoError(t, err)
	pin := regexp.MustCompile(`github.com/jaegertracing/jaeger (v1\.(\d+)\.(\d+))`).FindStringSubmatch(string(text))
	require.NotNil(t, pin)
	var minor int
	_, err = fmt.Sscan(pin[2], &minor)
	require.NoError(t, err)
	want := fmt.Sprintf("2.%d.%s", minor-63, pin[3])

	image := regexp.MustCompile(`jaegertracing/jaeger:(\d+\.\d+\.\d+)`)
	count := 0
	for name, text := range texts(t) {
		for _, m := range image.FindAllStringSubmatch(text, -1) {
			count++
			assert.Equal(t, want, m[1], name)
		}
		if name == "docs/jaeger.md" {
			assert.Contains(t, text, pin[1]+" is "+want)
		}
	}
	require.GreaterOrEqual(t, count, 3, "compose, Kubernetes, docs/jaeger.md")
}

// A node keeps the image that it has of a tag: one that moves would leave old
// pods behind, and nothing would say so.
func TestImagesHaveTagsThatStay(t *testing.T) {
	version := regexp.MustCompile(`:v?\d+\.\d+\.\d+$`)
	text := walkthrough(t)
	for _, overlay := range []string{"../kubernetes", "../istio", "../otel", "../otel-w3c"} {
		for _, d := range build(t, overlay).of("Deployment") {
			pod, _ := podOf(t, d)
			for _, c := range pod.Spec.Containers {
				assert.Regexp(t, version, c.Image, d.GetName())
				if strings.HasPrefix(c.Image, "localhost/") {
					assert.Contains(t, text, c.Image, "what the walkthrough builds is what runs")
				}
			}
		}
	}
}

// Who follows the walkthrough has a terminal for each port-forward, and others
// for services.
func TestPortsOfTheWalkthroughAreFree(t *testing.T) {
	text := walkthrough(t)
	used := map[string]string{}
	for _, m := range regexp.MustCompile(`port-forward (?:-n \S+ )?\S+ (\d+)(?::\d+)?`).FindAllStringSubmatch(text, -1) {
		if other := used[m[1]]; other != "" && other != m[0] && !strings.Contains(m[0], "service/jaeger 16686") {
			assert.Fail(t, "two port-forwards at one port", "%s and %s", other, m[0])
		}
		used[m[1]] = m[0]
	}
	require.Len(t, used, 2)
	for _, m := range regexp.MustCompile(`-addr 127\.0\.0\.1:(\d+)`).FindAllStringSubmatch(text, -1) {
		assert.Empty(t, used[m[1]], "a service and a port-forward at one port: %s", m[1])
	}
}

// addon returns a file of the samples of the Istio that the manifests are
// checked with.
func addon(t testing.TB, name string) string {
	t.Helper()
	dir, err := moduleDir("istio.io/istio")
	require.NoError(t, err)
	return filepath.Join(dir, "samples", "addons", name)
}

func TestKialiReadsTracesAfterTheWalkthroughsCommand(t *testing.T) {
	command, _, ok := strings.Cut(regexp.MustCompile(`(?m)^sed .*kiali\.yaml \|.*$`).FindString(walkthrough(t)), " | kubectl")
	require.True(t, ok, "no such command")
	command = strings.Replace(command, "../istio-1.31.1/samples/addons/kiali.yaml", addon(t, "kiali.yaml"), 1)
	cmd := exec.Command("sh", "-c", command) // #nosec G204 -- the page's own
	cmd.Dir = "../.."
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)

	var config struct {
		ExternalServices struct {
			Prometheus struct{ Enabled bool }
			Tracing    map[string]any
		} `json:"external_services"`
	}
	for _, o := range parse(t, string(out)).of("ConfigMap") {
		data, _, err := unstructured.NestedStringMap(o.Object, "data")
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal([]byte(data["config.yaml"]), &config))
	}
	require.Equal(t, map[string]any{
		"enabled": true, "internal_url": "http://jaeger.tracebaton:16686", "external_url": "http://localhost:16686", "use_grpc": false,
	}, config.ExternalServices.Tracing)
	require.True(t, config.ExternalServices.Prometheus.Enabled, "the rest stays")
}

func TestKialiAndGrafanaMayReadTraces(t *testing.T) {
	require.Empty(t, findings(t, apply(t, build(t, "../istio"), "../addons/jaeger-readers.yaml")))
	text, err := os.ReadFile("../addons/jaeger-readers.yaml")
	require.NoError(t, err)
	var policy networkingv1.NetworkPolicy
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(parse(t, string(text))[0].Object, &policy))
	who, err := metav1.LabelSelectorAsSelector(policy.Spec.Ingress[0].From[0].PodSelector)
	require.NoError(t, err)
	for name, want := range map[string]bool{"kiali": true, "grafana": true, "loki": false, "prometheus": false} {
		text, err := os.ReadFile(addon(t, name+".yaml"))
		require.NoError(t, err)
		var pods int
		for _, o := range append(parse(t, string(text)).of("Deployment"), parse(t, string(text)).of("StatefulSet")...) {
			pods++
			l, _, err := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
			require.NoError(t, err)
			require.Equal(t, want, who.Matches(labels.Set(l)), name)
		}
		require.NotZero(t, pods, name)
	}
}

func TestGrafanasSourceIsNotInTheSample(t *testing.T) {
	text, err := os.ReadFile("../addons/grafana-jaeger.json")
	require.NoError(t, err)
	var source struct{ Name, UID, Type, URL string }
	require.NoError(t, json.Unmarshal(text, &source))
	sample, err := os.ReadFile(addon(t, "grafana.yaml"))
	require.NoError(t, err)
	require.NotContains(t, string(sample), "type: "+source.Type, "the walkthrough says that there is none")
	require.Contains(t, walkthrough(t), "datasourceUid: "+source.UID)
}

// samples are the dashboards' Services in the samples.
func samples(t testing.TB, names ...string) (services objects) {
	t.Helper()
	for _, name := range names {
		text, err := os.ReadFile(addon(t, name+".yaml"))
		require.NoError(t, err)
		for _, o := range parse(t, string(text)).of("Service") {
			if o.GetName() == name {
				services = append(services, o)
			}
		}
	}
	require.Len(t, services, len(names))
	return services
}

func TestDashboardsAreReachedByThoseWhoForwardAPort(t *testing.T) {
	objs := apply(t, build(t, "../istio"), "../addons/dashboards.yaml")
	require.Empty(t, schemas(t, objs))
	require.Empty(t, validate(t, objs))
	objs = append(objs, samples(t, "grafana", "kiali", "prometheus")...)
	require.Empty(t, slices.DeleteFunc(analyze(t, objs), func(s string) bool {
		return strings.Contains(s, "Port name service") // the sample's own
	}))

	c := control(t, objs)
	gateway := c.proxy(t, "istio-ingressgateway-0")
	var denied []string
	for _, m := range c.managers(t, gateway) {
		for _, f := range m.GetHttpFilters() {
			if f.GetName() == "envoy.filters.http.rbac" {
				denied = append(denied, prototext.Format(xdstest.UnmarshalAny[rbac.RBAC](t, f.GetTypedConfig()).GetRules()))
			}
		}
	}
	require.Len(t, denied, 1)
	require.Contains(t, denied[0], "DENY")
	require.Contains(t, denied[0], "127.0.0.1")
	for _, l := range c.Listeners(gateway) {
		if port := l.GetAddress().GetSocketAddress().GetPortValue(); port < 15000 {
			require.Regexp(t, fmt.Sprintf(`destination_port: *%d`, port), denied[0])
		}
	}
	for domain, want := range map[string]string{
		"grafana.localhost":    "outbound|3000||grafana.istio-system.svc.cluster.local",
		"kiali.localhost":      "outbound|20001||kiali.istio-system.svc.cluster.local",
		"prometheus.localhost": "outbound|9090||prometheus.istio-system.svc.cluster.local",
		"jaeger.localhost":     "outbound|16686||" + jaeger,
	} {
		require.Equal(t, []string{"/ " + want}, c.routes(t, gateway, domain))
		require.Contains(t, denied[0], `"`+domain+`"`)
	}
	text, err := os.ReadFile(addon(t, "grafana.yaml"))
	require.NoError(t, err)
	require.Regexp(t, `GF_AUTH_ANONYMOUS_ORG_ROLE"\s+value: "Admin"`, string(text), "what the file warns of")
}

// The kinds that are installed are those that the manifests are checked with.
func TestGatewayAPIHasOneVersion(t *testing.T) {
	dir, err := moduleDir("sigs.k8s.io/gateway-api")
	require.NoError(t, err)
	_, want, ok := strings.Cut(filepath.Base(dir), "@")
	require.True(t, ok, dir)
	count := 0
	for name, text := range texts(t) {
		for _, m := range regexp.MustCompile(`gateway-api/releases/download/(v[\d.]+)/`).FindAllStringSubmatch(text, -1) {
			count++
			assert.Equal(t, want, m[1], name)
		}
	}
	require.NotZero(t, count)
}
