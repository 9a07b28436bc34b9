package check_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"istio.io/istio/manifests"
	"istio.io/istio/pkg/config/analysis/analyzers"
	"istio.io/istio/pkg/config/analysis/local"
	"istio.io/istio/pkg/config/crd"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/autoscaling"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	autoscalingvalidation "k8s.io/kubernetes/pkg/apis/autoscaling/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	podsecurity "k8s.io/pod-security-admission/api"
	podsecuritypolicy "k8s.io/pod-security-admission/policy"
)

// findings returns all that is wrong with the manifests of a set.
func findings(t testing.TB, objs objects) (found []string) {
	t.Helper()
	for _, o := range objs {
		found = append(found, kubernetes(t, o)...)
	}
	if len(found) > 0 {
		return found // the cluster never gets to see the rest
	}
	for _, o := range objs {
		found = append(found, podSecurity(t, o)...)
	}
	found = append(found, schemas(t, objs)...)
	found = append(found, validate(t, objs)...)
	found = append(found, references(t, objs)...)
	found = append(found, tracing(t, objs)...)
	return append(found, analyze(t, objs)...)
}

func istios(o *unstructured.Unstructured) bool {
	return strings.HasSuffix(o.GroupVersionKind().Group, ".istio.io")
}

func gatewayAPIs(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().Group == "gateway.networking.k8s.io"
}

var strict = serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDecoder()

// kubernetes finds what Kubernetes' API server would refuse or warn of:
// unknown fields, and all that its validation looks at.
func kubernetes(t testing.TB, o *unstructured.Unstructured) []string {
	t.Helper()
	if istios(o) || gatewayAPIs(o) {
		return nil
	}
	text, err := json.Marshal(o.Object)
	require.NoError(t, err)
	decoded, _, err := strict.Decode(text, nil, nil)
	if err != nil {
		return []string{fmt.Sprintf("kubernetes: %s: %v", key(o), err)}
	}
	var errs field.ErrorList
	switch obj := decoded.(type) {
	case *core.Namespace:
		errs = corevalidation.ValidateNamespace(obj)
	case *core.ServiceAccount:
		errs = corevalidation.ValidateServiceAccount(obj)
	case *core.ConfigMap:
		errs = corevalidation.ValidateConfigMap(obj)
	case *core.Service:
		errs = corevalidation.ValidateServiceCreate(obj)
	case *core.PersistentVolumeClaim:
		errs = corevalidation.ValidatePersistentVolumeClaim(obj, corevalidation.ValidationOptionsForPersistentVolumeClaimCreate())
	case *core.Pod:
		errs = corevalidation.ValidatePodCreate(obj, podutil.GetValidationOptionsFromPodSpecAndMeta(&obj.Spec, nil, &obj.ObjectMeta, nil))
	case *apps.Deployment:
		errs = appsvalidation.ValidateDeployment(obj, podutil.GetValidationOptionsFromPodTemplate(&obj.Spec.Template, nil))
	case *policy.PodDisruptionBudget:
		errs = policyvalidation.ValidatePodDisruptionBudget(obj, policyvalidation.PodDisruptionBudgetValidationOptions{})
	case *autoscaling.HorizontalPodAutoscaler:
		errs = autoscalingvalidation.ValidateHorizontalPodAutoscaler(obj, autoscalingvalidation.HorizontalPodAutoscalerSpecValidationOptions{})
	case *networking.NetworkPolicy:
		errs = networkingvalidation.ValidateNetworkPolicy(obj, networkingvalidation.NetworkPolicyValidationOptions{})
	default:
		return []string{fmt.Sprintf("kubernetes: %s: this check does not know the kind; teach it", key(o))}
	}
	var found []string
	for _, err := range errs {
		found = append(found, fmt.Sprintf("kubernetes: %s: %v", key(o), err))
	}
	return found
}

// podSecurity finds pods that a namespace with Kubernetes' strictest Pod
// Security Standard would not admit.
func podSecurity(t testing.TB, o *unstructured.Unstructured) []string {
	t.Helper()
	pod, ok := podOf(t, o)
	if !ok {
		return nil
	}
	evaluator, err := podsecuritypolicy.NewEvaluator(podsecuritypolicy.DefaultChecks(), nil)
	require.NoError(t, err)
	restricted := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	result := podsecuritypolicy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec))
	if result.Allowed {
		return nil
	}
	return []string{fmt.Sprintf("pod security: %s: %s", key(o), result.ForbiddenDetail())}
}

// podOf returns the pod that the Deployment o makes, if it is one.
func podOf(t testing.TB, o *unstructured.Unstructured) (corev1.Pod, bool) {
	t.Helper()
	template, ok, err := unstructured.NestedMap(o.Object, "spec", "template")
	if o.GetKind() != "Deployment" || !ok || err != nil {
		return corev1.Pod{}, false
	}
	var pod corev1.Pod
	// Unknown fields are found elsewhere.
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(template, &pod))
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	pod.Name, pod.Namespace = o.GetName()+"-0", o.GetNamespace()
	return pod, true
}

// validator knows Istio's custom resources, and those of the Gateway API's
// standard channel.
var validator = sync.OnceValues(func() (*crd.Validator, error) {
	text, err := fs.ReadFile(manifests.FS, "charts/base/files/crd-all.gen.yaml")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "crds")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "crds.yaml")
	err = os.WriteFile(file, text, 0o600)
	var v *crd.Validator
	if err == nil {
		var files []string
		files, err = gatewayAPICRDs()
		if err == nil {
			v, err = crd.NewValidatorFromFiles(append(files, file)...)
		}
	}
	return v, errors.Join(err, os.RemoveAll(dir))
})

func gatewayAPICRDs() ([]string, error) {
	dir, err := moduleDir("sigs.k8s.io/gateway-api")
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "config", "crd", "standard", "gateway.networking.k8s.io_*.yaml"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s has no custom resource definitions", dir)
	}
	return files, err
}

// moduleDir returns where the source of a module is that this one requires.
func moduleDir(path string) (string, error) {
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", path) // #nosec G204 -- the tests' own
	cmd.Env = append(os.Environ(), "GOWORK=off")                    // of this module
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find the source of %s: %w", path, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// schemas finds what the API server would refuse once it knows the custom
// resources.
func schemas(t testing.TB, objs objects) (found []string) {
	t.Helper()
	v, err := validator()
	require.NoError(t, err)
	for _, o := range objs {
		if !istios(o) && !gatewayAPIs(o) {
			continue
		}
		if err := v.ValidateCustomResource(o.DeepCopy()); err != nil {
			found = append(found, fmt.Sprintf("schema: %v", err))
		}
	}
	return found
}

// validate finds what istioctl validate does.
func validate(t testing.TB, objs objects) (found []string) {
	t.Helper()
	for _, o := range objs {
		file := write(t, objects{o}.yaml(t))
		out, warnings, err := istioctl(t, "validate", "-f", file)
		if err != nil {
			found = append(found, fmt.Sprintf("istioctl validate: %v", err))
		} else if out = acceptEnvoyFilters(out); out != fmt.Sprintf("%q is valid\n", file) || warnings != "" {
			found = append(found, fmt.Sprintf("istioctl validate: %s: %s%s", key(o), out, warnings))
		}
	}
	return found
}

// everyEnvoyFilter is what Istio has to say about each EnvoyFilter, whatever
// is in it.
const everyEnvoyFilter = "EnvoyFilter exposes internal implementation details that may change at any time."

// acceptEnvoyFilters takes that out of what istioctl validate prints, whose
// warnings are one a line.
func acceptEnvoyFilters(out string) string {
	verdict, warnings, ok := strings.Cut(out, " has warnings: \n")
	if !ok {
		return out
	}
	rest := slices.DeleteFunc(strings.Split(strings.TrimSpace(warnings), "\n"), func(line string) bool {
		return strings.Contains(line, everyEnvoyFilter)
	})
	if len(rest) > 0 {
		return strings.Join(rest, "\n")
	}
	return verdict + " is valid\n"
}

// analyze finds what istioctl analyze would in a cluster in which the set and
// Istio are installed and all pods run.
func analyze(t testing.TB, objs objects) (found []string) {
	t.Helper()
	analyzer := local.NewSourceAnalyzer(analyzers.AllCombined(), "", "istio-system", nil)
	require.NoError(t, analyzer.AddTestReaderKubeSource([]local.ReaderSource{
		{Name: "cluster.yaml", Reader: strings.NewReader(inCluster(t, objs).yaml(t))},
	}))
	require.NoError(t, analyzer.AddFileKubeMeshConfig(write(t, installation(t).mesh)))
	require.NoError(t, analyzer.AddDefaultResources())
	stop := make(chan struct{})
	defer close(stop)
	result, err := analyzer.Analyze(stop)
	require.NoError(t, err)
	require.Len(t, result.ExecutedAnalyzers, len(analyzers.All()))
	require.Empty(t, result.SkippedAnalyzers)
	for _, m := range result.Messages {
		if !strings.Contains(m.String(), everyEnvoyFilter) {
			found = append(found, fmt.Sprintf("istioctl analyze: %v", m.String()))
		}
	}
	return found
}

// inCluster returns all that a cluster holds in which the objects and Istio are
// installed: sidecars where a namespace wants them, and a pod of each
// Deployment.
func inCluster(t testing.TB, objs objects) objects {
	t.Helper()
	all := slices.Clone(objs)
	if len(objs.of("Namespace")) == 0 {
		all = append(all, parse(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+namespace+", labels: {istio-injection: enabled}}}")...)
	}
	injected := make(map[string]bool)
	for _, ns := range all.of("Namespace") {
		injected[ns.GetName()] = ns.GetLabels()["istio-injection"] == "enabled"
	}
	all = append(all, installation(t).manifests...)
	for _, d := range all.of("Deployment") {
		if injected[d.GetNamespace()] {
			d = inject(t, objects{d})[0]
		}
		pod, _ := podOf(t, d)
		pod.Status.Phase = corev1.PodRunning
		o, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&pod)
		require.NoError(t, err)
		all = append(all, &unstructured.Unstructured{Object: o})
	}
	return all
}

func write(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}
