package check_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	trace "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	fault "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	mutation "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pilot/test/xdstest"
	"istio.io/istio/pkg/config/mesh"
	istiokube "istio.io/istio/pkg/kube"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

const jaeger = "jaeger.tracebaton.svc.cluster.local"

// gatewayName is the label of pods that istiod makes of a Gateway of the Gateway
// API.
const gatewayName = "gateway.networking.k8s.io/gateway-name"

// What the manifests are for: that spans reach Jaeger. Istiod itself says what
// it would have the sidecars do.
func TestEverySidecarTracesToJaeger(t *testing.T) {
	for _, tt := range []struct {
		name    string
		build   string
		files   []string
		want    string // tracer and where it sends to
		percent float64
	}{
		{name: "in B3 by default", build: "../istio", want: "envoy.tracers.zipkin to outbound|9411||" + jaeger, percent: 100},
		{name: "in B3 beside the services' own spans", build: "../otel", want: "envoy.tracers.zipkin to outbound|9411||" + jaeger, percent: 100},
		{
			name: "in W3C where that is asked for", build: "../istio", files: []string{"../istio/gateway.yaml", "../istio/gateway-sampling.yaml", "../istio/telemetry-w3c.yaml"},
			want: "envoy.tracers.opentelemetry to outbound|4317||" + jaeger, percent: 100,
		},
		{
			name: "in W3C beside the services' own spans", build: "../otel-w3c", files: []string{"../istio/gateway.yaml", "../istio/gateway-sampling.yaml", "../istio/telemetry-w3c.yaml"},
			want: "envoy.tracers.opentelemetry to outbound|4317||" + jaeger, percent: 100,
		},
		// What the check of the providers' names is there for.
		{name: "nowhere if the provider's name is wrong", build: "testdata/broken/unknown-provider", want: ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := control(t, apply(t, build(t, tt.build), tt.files...))
			pods := []string{"flaskapp-v1-0", "flaskapp-v2-0", "sleep-v1-0", "sleep-v2-0", "httpbin-0"}
			if slices.Contains(tt.files, "../istio/gateway.yaml") {
				pods = append(pods, "istio-ingressgateway-0")
			}
			for _, pod := range pods {
				managers := c.managers(t, c.proxy(t, pod))
				require.NotEmpty(t, managers, pod)
				for _, m := range managers {
					got := ""
					if provider := m.GetTracing().GetProvider(); provider != nil {
						got = provider.GetName() + " to " + collector(t, m)
						require.InDelta(t, tt.percent, m.GetTracing().GetRandomSampling().GetValue(), 0, pod)
					}
					require.Equal(t, tt.want, got, "%s: %s", pod, m.GetStatPrefix())
				}
			}
		})
	}
}

// What docs/istio.md tells those who call by the gateway's name.
func TestCallsByTheGatewaysNameCanStayInside(t *testing.T) {
	objs := apply(t, build(t, "../istio"), "../istio/gateway.yaml")
	sleeps := func() []string {
		c := control(t, objs)
		return c.routes(t, c.proxy(t, "sleep-v1-0"), "flaskapp.localhost")
	}
	require.Empty(t, sleeps(), "the call leaves, and comes back through the gateway")
	for _, o := range objs.of("VirtualService") {
		if o.GetName() == "flaskapp-outside" {
			require.NoError(t, unstructured.SetNestedStringSlice(o.Object, []string{"flaskapp", "mesh"}, "spec", "gateways"))
		}
	}
	const v2 = "outbound|80|v2|flaskapp.tracebaton.svc.cluster.local"
	require.Equal(t, []string{"=/ " + v2 + " without end-user", "=/env/version " + v2 + " without end-user"}, sleeps())
}

func TestGatewaysDropTraceHeadersBeforeTheyReadThem(t *testing.T) {
	for _, tt := range []struct {
		name, namespace string
		labels          map[string]string
	}{
		{"of istioctl's profiles", "istio-system", map[string]string{"istio": "ingressgateway"}},
		{"of the Helm chart", "istio-ingress", map[string]string{"istio": "ingress"}},
		{"of the Gateway API", "tracebaton", map[string]string{gatewayName: "outside"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objs := apply(t, build(t, "../istio"), "../istio/gateway.yaml")
			for _, g := range objs.of("Gateway") {
				require.NoError(t, unstructured.SetNestedStringMap(g.Object, tt.labels, "spec", "selector"))
			}
			c := control(t, objs)
			dropsStrangersHeaders(t, c.managers(t, c.gateway(tt.namespace, tt.labels)))
			for _, m := range c.managers(t, c.proxy(t, "flaskapp-v1-0")) {
				require.Empty(t, m.GetEarlyHeaderMutationExtensions(), "sidecars must read what comes in")
				require.Equal(t, core.HttpProtocolOptions_ALLOW, m.GetCommonHttpProtocolOptions().GetHeadersWithUnderscoresAction())
			}
		})
	}
}

// dropsStrangersHeaders checks the list of headers, which is as long as that of the
// library's Edge.
func dropsStrangersHeaders(t testing.TB, managers []*hcm.HttpConnectionManager) {
	t.Helper()
	require.NotEmpty(t, managers)
	for _, m := range managers {
		extensions := m.GetEarlyHeaderMutationExtensions()
		require.Len(t, extensions, 1)
		var dropped, prefixes []string
		for _, mutation := range xdstest.UnmarshalAny[mutation.HeaderMutation](t.(*testing.T), extensions[0].GetTypedConfig()).GetMutations() {
			if prefix := mutation.GetRemoveOnMatch().GetKeyMatcher().GetPrefix(); prefix != "" {
				prefixes = append(prefixes, prefix)
			} else {
				dropped = append(dropped, mutation.GetRemove())
			}
		}
		assert.ElementsMatch(t, strangers(t), dropped)
		assert.ElementsMatch(t, []string{"uberctx-", "ot-baggage-"}, prefixes)
		assert.Equal(t, core.HttpProtocolOptions_DROP_HEADER, m.GetCommonHttpProtocolOptions().GetHeadersWithUnderscoresAction())
	}
}

// Without these no Prometheus, Grafana or Kiali shows anything.
func TestEverySidecarMakesMetrics(t *testing.T) {
	c := control(t, build(t, "../istio"))
	for _, m := range c.managers(t, c.proxy(t, "flaskapp-v1-0")) {
		require.True(t, slices.ContainsFunc(m.GetHttpFilters(), func(f *hcm.HttpFilter) bool { return f.GetName() == "istio.stats" }), m.GetStatPrefix())
	}
}

// strangers returns the headers that the library's Edge does not take from
// strangers: those of all families, and others that it knows.
func strangers(t testing.TB) (names []string) {
	t.Helper()
	for _, file := range []string{"propagation/family.go", "middleware/edge.go"} {
		source, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../..", filepath.FromSlash(file)), nil, 0)
		require.NoError(t, err)
		ast.Inspect(source, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.Ident); !ok || !slices.Contains([]string{"newFamily", "newPrivateFamily", "append"}, f.Name) {
				return true
			}
			for _, arg := range call.Args {
				if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					name, err := strconv.Unquote(lit.Value)
					require.NoError(t, err)
					if name == strings.ToLower(name) { // and not a family's own name
						names = append(names, name)
					}
				}
			}
			return true
		})
	}
	require.Contains(t, names, "x-b3-traceid")
	require.Contains(t, names, "ot-tracer-traceid")
	return names
}

func TestRoutes(t *testing.T) {
	const v1, v2 = "outbound|80|v1|flaskapp.tracebaton.svc.cluster.local", "outbound|80|v2|flaskapp.tracebaton.svc.cluster.local"
	for _, tt := range []struct {
		name, file, pod, domain string
		want                    []string
	}{
		{"all calls reach v2", "", "sleep-v1-0", "flaskapp", []string{"/ " + v2}},
		{"alice reaches v1 and others v2", "../istio/route-by-user.yaml", "sleep-v1-0", "flaskapp", []string{"/ end-user=alice " + v1, "/ " + v2}},
		{"half of the calls reach either", "../istio/route-weights.yaml", "sleep-v1-0", "flaskapp", []string{"/ 50% " + v1 + " 50% " + v2}},
		{"half of the calls wait", "../istio/route-delay.yaml", "sleep-v1-0", "flaskapp", []string{"/ " + v2 + " waits 2s in 50%"}},
		{"half of the calls are answered by the caller's sidecar", "../istio/route-abort.yaml", "sleep-v1-0", "flaskapp", []string{"/ " + v2 + " is answered with 503 in 50%"}},
		{"v1 gets a copy of all calls", "../istio/route-mirror.yaml", "sleep-v1-0", "flaskapp", []string{"/ " + v2 + " copied to " + v1 + " in 100% not sampled"}},
		{"from outside two paths are reached", "../istio/gateway.yaml", "istio-ingressgateway-0", "flaskapp.localhost", []string{
			"=/ " + v2 + " without end-user", "=/env/version " + v2 + " without end-user",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objs := build(t, "../istio")
			if tt.file != "" {
				objs = apply(t, objs, tt.file)
			}
			c := control(t, objs)
			require.Equal(t, tt.want, c.routes(t, c.proxy(t, tt.pod), tt.domain))
		})
	}
}

// routes describes what the proxy does with requests for the domain.
func (c cluster) routes(t testing.TB, p *model.Proxy, domain string) (found []string) {
	t.Helper()
	for _, config := range c.RoutesFromListeners(p, c.Listeners(p)) {
		for _, host := range config.GetVirtualHosts() {
			if slices.Contains(host.GetDomains(), domain) {
				for _, r := range host.GetRoutes() {
					found = append(found, describe(t, r))
				}
			}
		}
	}
	return found
}

func describe(t testing.TB, r *route.Route) string {
	t.Helper()
	match := r.GetMatch().GetPrefix()
	if path := r.GetMatch().GetPath(); path != "" {
		match = "=" + path
	}
	words := []string{match}
	for _, h := range r.GetMatch().GetHeaders() {
		words = append(words, h.GetName()+"="+h.GetStringMatch().GetExact())
	}
	action := r.GetRoute()
	if action.GetCluster() != "" {
		words = append(words, action.GetCluster())
	}
	for _, c := range action.GetWeightedClusters().GetClusters() {
		words = append(words, fmt.Sprintf("%d%% %s", c.GetWeight().GetValue(), c.GetName()))
	}
	for _, m := range action.GetRequestMirrorPolicies() {
		words = append(words, fmt.Sprintf("copied to %s in %d%%", m.GetCluster(), percent(m.GetRuntimeFraction().GetDefaultValue())))
		if sampled := m.GetTraceSampled(); sampled != nil && !sampled.GetValue() {
			words = append(words, "not sampled")
		}
	}
	for name, config := range r.GetTypedPerFilterConfig() {
		if name == "envoy.filters.http.fault" {
			fault := xdstest.UnmarshalAny[fault.HTTPFault](t.(*testing.T), config)
			if delay := fault.GetDelay(); delay != nil {
				words = append(words, fmt.Sprintf("waits %v in %d%%", delay.GetFixedDelay().AsDuration(), percent(delay.GetPercentage())))
			}
			if abort := fault.GetAbort(); abort != nil {
				words = append(words, fmt.Sprintf("is answered with %d in %d%%", abort.GetHttpStatus(), percent(abort.GetPercentage())))
			}
		}
	}
	if remove := r.GetRequestHeadersToRemove(); len(remove) > 0 {
		words = append(words, "without", strings.Join(remove, ","))
	}
	return strings.Join(words, " ")
}

func percent(f *typev3.FractionalPercent) uint32 {
	if f.GetDenominator() == typev3.FractionalPercent_MILLION {
		return f.GetNumerator() / 10000
	}
	return f.GetNumerator()
}

// cluster is istiod in a cluster in which a set of manifests and Istio are
// installed and all pods run.
type cluster struct {
	*xds.FakeDiscoveryServer
	pods map[string]*corev1.Pod
}

func control(t testing.TB, objs objects) cluster {
	t.Helper()
	config, err := mesh.ApplyMeshConfigDefaults(installation(t).mesh)
	require.NoError(t, err)
	pods := make(map[string]*corev1.Pod)
	var kube []runtime.Object
	var istio objects
	address := 0
	for _, o := range inCluster(t, objs) {
		if istios(o) {
			istio = append(istio, o)
			continue
		}
		if !gatewayAPIs(o) && !slices.Contains([]string{"Namespace", "Service", "Pod"}, o.GetKind()) {
			continue
		}
		if gatewayAPIs(o) {
			v, err := validator()
			require.NoError(t, err)
			// Which fills in the defaults, as the API server does.
			require.NoError(t, v.ValidateCustomResource(o))
		}
		obj, err := istiokube.IstioScheme.New(o.GroupVersionKind())
		require.NoError(t, err)
		require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, obj))
		address++
		switch obj := obj.(type) {
		case *corev1.Service:
			obj.Spec.ClusterIP = fmt.Sprintf("10.96.0.%d", address)
		case *corev1.Pod:
			obj.Status.PodIP = fmt.Sprintf("10.244.0.%d", address)
			pods[obj.Name] = obj
		}
		kube = append(kube, obj)
	}
	configs, _, err := crd.ParseInputs(istio.yaml(t))
	require.NoError(t, err)
	for i := range configs {
		configs[i].Domain = "cluster.local"
	}
	return cluster{
		pods: pods,
		FakeDiscoveryServer: xds.NewFakeDiscoveryServer(t.(*testing.T), xds.FakeOptions{
			KubernetesObjects: kube, Configs: configs, MeshConfig: config,
		}),
	}
}

// proxy returns the proxy in a pod.
func (c cluster) proxy(t testing.TB, name string) *model.Proxy {
	t.Helper()
	pod := c.pods[name]
	require.NotNil(t, pod, name)
	kind := model.SidecarProxy
	if pod.Namespace == "istio-system" || pod.Labels[gatewayName] != "" {
		kind = model.Router
	}
	return c.SetupProxy(&model.Proxy{
		Type: kind, ID: pod.Name + "." + pod.Namespace, ConfigNamespace: pod.Namespace,
		IPAddresses: []string{pod.Status.PodIP}, Labels: pod.Labels,
		Metadata: &model.NodeMetadata{Namespace: pod.Namespace, Labels: pod.Labels, IstioVersion: "1.31.1"},
	})
}

// gateway returns a gateway with those labels.
func (c cluster) gateway(namespace string, labels map[string]string) *model.Proxy {
	return c.SetupProxy(&model.Proxy{
		Type: model.Router, ID: "gateway." + namespace, ConfigNamespace: namespace,
		IPAddresses: []string{"10.244.1.1"}, Labels: labels,
		Metadata: &model.NodeMetadata{Namespace: namespace, Labels: labels, IstioVersion: "1.31.1"},
	})
}

// managers returns all that the proxy handles HTTP with, in and out.
func (c cluster) managers(t testing.TB, p *model.Proxy) (found []*hcm.HttpConnectionManager) {
	t.Helper()
	for _, l := range c.Listeners(p) {
		chains := l.GetFilterChains()
		if l.GetDefaultFilterChain() != nil {
			chains = append(chains, l.GetDefaultFilterChain())
		}
		for _, chain := range chains {
			for _, f := range chain.GetFilters() {
				if f.GetName() == "envoy.filters.network.http_connection_manager" {
					found = append(found, xdstest.UnmarshalAny[hcm.HttpConnectionManager](t.(*testing.T), f.GetTypedConfig()))
				}
			}
		}
	}
	return found
}

// collector returns the cluster that the spans are sent to.
func collector(t testing.TB, m *hcm.HttpConnectionManager) string {
	t.Helper()
	config := m.GetTracing().GetProvider().GetTypedConfig()
	if strings.HasSuffix(config.GetTypeUrl(), ".ZipkinConfig") {
		return xdstest.UnmarshalAny[trace.ZipkinConfig](t.(*testing.T), config).GetCollectorService().GetHttpUri().GetCluster()
	}
	return xdstest.UnmarshalAny[trace.OpenTelemetryConfig](t.(*testing.T), config).GetGrpcService().GetEnvoyGrpc().GetClusterName()
}
