package check_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// What a cluster runs just as well without, so that no other check would miss it.
func TestWorkloads(t *testing.T) {
	deployments := build(t, "../kubernetes").of("Deployment")
	require.Len(t, deployments, 6)
	for _, tt := range []struct {
		name   string
		jaeger bool // too
		ok     func(corev1.Pod) bool
	}{
		{"nothing is written to the image", true, func(p corev1.Pod) bool {
			return !slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool {
				return c.SecurityContext == nil || !isTrue(c.SecurityContext.ReadOnlyRootFilesystem)
			})
		}},
		{"no pod may call the API server", true, func(p corev1.Pod) bool {
			return p.Spec.AutomountServiceAccountToken != nil && !*p.Spec.AutomountServiceAccountToken
		}},
		{"each service is known by an account of its own", false, func(p corev1.Pod) bool {
			return p.Spec.ServiceAccountName == p.Labels["app"]
		}},
		{"the pods of each version of a service are spread over nodes and zones", false, func(p corev1.Pod) bool {
			var over []string
			for _, c := range p.Spec.TopologySpreadConstraints {
				s, err := metav1.LabelSelectorAsSelector(c.LabelSelector)
				if err == nil && s.Matches(labels.Set(p.Labels)) && slices.Contains(c.MatchLabelKeys, "version") {
					over = append(over, c.TopologyKey)
				}
			}
			return slices.Equal(over, []string{corev1.LabelHostname, corev1.LabelTopologyZone})
		}},
		{"each service knows its version", false, func(p corev1.Pod) bool {
			return slices.ContainsFunc(p.Spec.Containers[0].Env, func(e corev1.EnvVar) bool {
				return e.Name == "version" && e.ValueFrom != nil && e.ValueFrom.FieldRef != nil &&
					e.ValueFrom.FieldRef.FieldPath == "metadata.labels['version']"
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, d := range deployments {
				if pod, _ := podOf(t, d); d.GetName() != "jaeger" || tt.jaeger {
					assert.True(t, tt.ok(pod), d.GetName())
				}
			}
		})
	}
}

func isTrue(b *bool) bool { return b != nil && *b }

func TestCompanionsOfTheWorkloads(t *testing.T) {
	objs := build(t, "../kubernetes")
	for _, tt := range []struct {
		name, kind string
		want       []string
	}{
		{"each service has an account", "ServiceAccount", []string{"flaskapp", "httpbin", "sleep"}},
		{"each version of flaskapp scales by itself", "HorizontalPodAutoscaler", []string{"flaskapp-v1", "flaskapp-v2"}},
		{"flaskapp outlives the drain of a node", "PodDisruptionBudget", []string{"flaskapp"}},
		{"not everybody reaches Jaeger", "NetworkPolicy", []string{"jaeger"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, o := range objs.of(tt.kind) {
				got = append(got, o.GetName())
			}
			require.ElementsMatch(t, tt.want, got)
		})
	}
}

func TestJaegerIsReadByItsNamespaceAlone(t *testing.T) {
	policies := build(t, "../kubernetes").of("NetworkPolicy")
	require.Len(t, policies, 1)
	var policy networkingv1.NetworkPolicy
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(policies[0].Object, &policy))
	require.Equal(t, map[string]string{"app": "jaeger"}, policy.Spec.PodSelector.MatchLabels)
	require.Contains(t, policy.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
	for _, rule := range policy.Spec.Ingress {
		require.NotEmpty(t, rule.From, "nobody named is everybody")
		require.NotEmpty(t, rule.Ports, "no port named is every port")
		for _, port := range rule.Ports {
			for _, from := range rule.From {
				if from.NamespaceSelector == nil && from.IPBlock == nil {
					continue // of this namespace
				}
				require.NotNil(t, port.Port, "every port")
				require.Contains(t, []string{"http-otlp", "grpc-otlp", "http-zipkin", "http-thrift"}, port.Port.String())
				require.Nil(t, port.EndPort)
			}
		}
	}
}
