package check_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"istio.io/istio/pkg/config/mesh"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// references finds names that lead nowhere. The API server accepts them: what
// they name might come later.
func references(t testing.TB, objs objects) (found []string) {
	t.Helper()
	var pods []corev1.Pod
	for _, o := range objs {
		if pod, ok := podOf(t, o); ok {
			pods = append(pods, pod)
			found = append(found, podReferences(objs, pod)...)
		}
	}
	for _, o := range objs.of("Service") {
		var s corev1.Service
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &s); err != nil {
			found = append(found, fmt.Sprintf("references: %s: %v", key(o), err))
			continue
		}
		for _, port := range s.Spec.Ports {
			ok := slices.ContainsFunc(pods, func(p corev1.Pod) bool {
				return labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(p.Labels)) && hasPort(p, port.TargetPort)
			})
			if !ok {
				found = append(found, fmt.Sprintf("references: %s: no pod has the port %s", key(o), port.TargetPort.String()))
			}
		}
	}
	for _, o := range objs.of("PodDisruptionBudget") {
		selector, _, _ := unstructured.NestedStringMap(o.Object, "spec", "selector", "matchLabels")
		if !slices.ContainsFunc(pods, func(p corev1.Pod) bool {
			return labels.SelectorFromSet(selector).Matches(labels.Set(p.Labels))
		}) {
			found = append(found, fmt.Sprintf("references: %s: selects no pod", key(o)))
		}
	}
	for _, o := range objs.of("HorizontalPodAutoscaler") {
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "kind")
		name, _, _ := unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "name")
		if !objs.has(kind, name) {
			found = append(found, fmt.Sprintf("references: %s: there is no %s %s", key(o), kind, name))
		}
	}
	for _, o := range objs.of("HTTPRoute") {
		found = append(found, routeReferences(t, objs, o)...)
	}
	return found
}

// routeReferences finds parents and backends of a Gateway API route that are not
// there, of which the API server and istioctl say nothing.
func routeReferences(t testing.TB, objs objects, o *unstructured.Unstructured) (found []string) {
	t.Helper()
	type reference struct{ Kind, Name string }
	var route struct {
		Spec struct {
			ParentRefs []reference
			Rules      []struct {
				BackendRefs []reference
				Filters     []struct {
					RequestMirror struct{ BackendRef reference }
				}
			}
		}
	}
	text, err := o.MarshalJSON()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &route))
	needs := func(kind string, r reference) {
		if kind = cmp.Or(r.Kind, kind); !objs.has(kind, r.Name) {
			found = append(found, fmt.Sprintf("references: %s: there is no %s %s", key(o), kind, r.Name))
		}
	}
	for _, r := range route.Spec.ParentRefs {
		needs("Gateway", r)
	}
	for _, rule := range route.Spec.Rules {
		for _, r := range rule.BackendRefs {
			needs("Service", r)
		}
		for _, f := range rule.Filters {
			if r := f.RequestMirror.BackendRef; r.Name != "" {
				needs("Service", r)
			}
		}
	}
	return found
}

func podReferences(objs objects, p corev1.Pod) (found []string) {
	missing := func(format string, args ...any) {
		found = append(found, fmt.Sprintf("references: pod %s: ", p.Name)+fmt.Sprintf(format, args...))
	}
	needs := func(kind, name string) {
		if !objs.has(kind, name) {
			missing("there is no %s %s", kind, name)
		}
	}
	if p.Spec.ServiceAccountName != "" {
		needs("ServiceAccount", p.Spec.ServiceAccountName)
	}
	for _, v := range p.Spec.Volumes {
		if v.ConfigMap != nil {
			needs("ConfigMap", v.ConfigMap.Name)
		}
		if v.PersistentVolumeClaim != nil {
			needs("PersistentVolumeClaim", v.PersistentVolumeClaim.ClaimName)
		}
	}
	for _, c := range p.Spec.Containers {
		for _, from := range c.EnvFrom {
			if from.ConfigMapRef != nil {
				needs("ConfigMap", from.ConfigMapRef.Name)
			}
		}
		for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
			if probe != nil && probe.HTTPGet != nil && !hasPort(p, probe.HTTPGet.Port) {
				missing("a probe asks at port %s, which no container has", probe.HTTPGet.Port.String())
			}
		}
		if c.ReadinessProbe == nil || c.LivenessProbe == nil {
			missing("container %s has not both probes", c.Name)
		}
		for _, of := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if c.Resources.Requests.Name(of, "").IsZero() || c.Resources.Limits.Name(of, "").IsZero() {
				missing("container %s has no request and limit of %s", c.Name, of)
			}
		}
	}
	return found
}

func hasPort(p corev1.Pod, port intstr.IntOrString) bool {
	return slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Ports, func(cp corev1.ContainerPort) bool {
			return port.Type == intstr.String && cp.Name == port.StrVal ||
				port.Type == intstr.Int && cp.ContainerPort == port.IntVal
		})
	})
}

func (objs objects) has(kind, name string) bool {
	return slices.ContainsFunc(objs.of(kind), func(o *unstructured.Unstructured) bool { return o.GetName() == name })
}

// tracing finds spans that would be lost without a word: istiod serves no
// tracing at all for a provider that the mesh configuration lacks, and sidecars
// drop what they cannot send; and traces that fall in two, because services and
// sidecars speak different formats.
func tracing(t testing.TB, objs objects) (found []string) {
	t.Helper()
	telemetries := objs.of("Telemetry")
	if len(telemetries) == 0 {
		return nil
	}
	config, err := mesh.ApplyMeshConfigDefaults(installation(t).mesh)
	require.NoError(t, err)
	type provider struct{ address, format string }
	known := make(map[string]provider)
	for _, p := range config.GetExtensionProviders() {
		if z := p.GetZipkin(); z != nil {
			known[p.GetName()] = provider{fmt.Sprintf("%s:%d", z.GetService(), z.GetPort()), "B3"}
		}
		if o := p.GetOpentelemetry(); o != nil {
			known[p.GetName()] = provider{fmt.Sprintf("%s:%d", o.GetService(), o.GetPort()), "W3C"}
		}
	}
	addresses := make(map[string]bool)
	for _, s := range objs.of("Service") {
		ports, _, _ := unstructured.NestedSlice(s.Object, "spec", "ports")
		for _, port := range ports {
			addresses[fmt.Sprintf("%s.%s.svc.cluster.local:%v", s.GetName(), s.GetNamespace(), port.(map[string]any)["port"])] = true
		}
	}
	check := func(where, name string) {
		p, ok := known[name]
		if !ok {
			found = append(found, fmt.Sprintf("tracing: %s: the mesh configuration has no tracing provider %q", where, name))
		} else if !addresses[p.address] {
			found = append(found, fmt.Sprintf("tracing: %s: provider %q sends to %s, which is no Service", where, name, p.address))
		}
	}
	defaults := config.GetDefaultProviders().GetTracing()
	var named []string
	for _, o := range telemetries {
		entries, _, _ := unstructured.NestedSlice(o.Object, "spec", "tracing")
		for _, entry := range entries {
			providers, _, _ := unstructured.NestedSlice(entry.(map[string]any), "providers")
			if len(providers) == 0 && len(defaults) == 0 {
				found = append(found, fmt.Sprintf("tracing: %s: names no provider, and the mesh configuration has no default", key(o)))
			}
			for _, p := range providers {
				name := p.(map[string]any)["name"].(string)
				check(key(o), name)
				named = append(named, name)
			}
			for _, name := range defaults {
				if len(providers) == 0 {
					check(strings.Join([]string{key(o), "by default"}, " "), name)
				}
			}
		}
	}
	if len(named) == 0 {
		named = defaults
	}
	for _, o := range objs.of("Deployment") {
		begun := begins(t, objs, o)
		for _, name := range named {
			if p, ok := known[name]; ok && begun != "" && begun != p.format {
				found = append(found, fmt.Sprintf("tracing: %s: begins traces in %s, but the sidecars of provider %q speak %s", key(o), begun, name, p.format))
			}
		}
	}
	return found
}

// begins returns the format in which the services of a Deployment begin
// traces, as examples/internal/telemetry reads it from the environment, or "" if
// they begin none.
func begins(t testing.TB, objs objects, deployment *unstructured.Unstructured) string {
	t.Helper()
	pod, _ := podOf(t, deployment)
	for _, c := range pod.Spec.Containers {
		for _, from := range c.EnvFrom {
			for _, o := range objs.of("ConfigMap") {
				data, _, _ := unstructured.NestedStringMap(o.Object, "data")
				if from.ConfigMapRef == nil || from.ConfigMapRef.Name != o.GetName() || data["OTEL_TRACES_EXPORTER"] == "none" {
					continue
				}
				if first, _, _ := strings.Cut(data["OTEL_PROPAGATORS"], ","); first == "tracecontext" {
					return "W3C"
				}
				return "B3"
			}
		}
	}
	return ""
}
