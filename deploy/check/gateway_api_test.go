package check_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"istio.io/istio/pilot/pkg/model"
)

// outside is what istiod deploys for the Gateway outside, as far as the tests
// need it.
const outside = `
apiVersion: v1
kind: Service
metadata:
  name: outside-istio
  namespace: tracebaton
spec:
  selector: {gateway.networking.k8s.io/gateway-name: outside}
  ports:
    - {name: http, port: 80, appProtocol: http}
---
apiVersion: v1
kind: Pod
metadata:
  name: outside-istio-0
  namespace: tracebaton
  labels: {gateway.networking.k8s.io/gateway-name: outside}
spec: {}
`

// reachedFromOutside is istiod in a cluster that has deploy/gateway-api with its
// gateway, and that gateway.
func reachedFromOutside(t testing.TB, files ...string) (cluster, *model.Proxy) {
	t.Helper()
	objs := apply(t, build(t, "../gateway-api"), append(files, "../gateway-api/gateway.yaml")...)
	c := control(t, append(objs, parse(t, outside)...))
	return c, c.proxy(t, "outside-istio-0")
}

func TestRoutesOfTheGatewayAPI(t *testing.T) {
	const v1, v2 = "outbound|80||flaskapp-v1.tracebaton.svc.cluster.local", "outbound|80||flaskapp-v2.tracebaton.svc.cluster.local"
	for _, tt := range []struct {
		name, file string
		want       []string
	}{
		{"all calls reach v2", "", []string{"/ " + v2}},
		{"alice reaches v1 and others v2", "../gateway-api/route-by-user.yaml", []string{"/ end-user=alice " + v1, "/ " + v2}},
		{"half of the calls reach either", "../gateway-api/route-weights.yaml", []string{"/ 50% " + v1 + " 50% " + v2}},
		{"v1 gets a copy of all calls", "../gateway-api/route-mirror.yaml", []string{"/ " + v2 + " copied to " + v1 + " in 100% not sampled"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objs := build(t, "../gateway-api")
			if tt.file != "" {
				objs = apply(t, objs, tt.file)
			}
			c := control(t, objs)
			require.Equal(t, tt.want, c.routes(t, c.proxy(t, "sleep-v1-0"), "flaskapp"))
		})
	}
	t.Run("an HTTPRoute counts where there is a VirtualService, too, and nobody says so", func(t *testing.T) {
		before := build(t, "../istio")
		objs := slices.Concat(apply(t, build(t, "../gateway-api"), "../gateway-api/route-weights.yaml"), before.of("VirtualService"), before.of("DestinationRule"))
		require.Empty(t, findings(t, objs))
		c := control(t, objs)
		require.Equal(t, []string{"/ 50% " + v1 + " 50% " + v2}, c.routes(t, c.proxy(t, "sleep-v1-0"), "flaskapp"))
	})
	t.Run("from outside two paths are reached", func(t *testing.T) {
		c, gateway := reachedFromOutside(t)
		require.Equal(t, []string{"=/env/version " + v2 + " without end-user", "=/ " + v2 + " without end-user"},
			c.routes(t, gateway, "flaskapp.localhost"))
	})
}

// The spans' name is that of the Service that a route leads to, which is not the
// one that was called.
func TestSpansOfTheGatewayAPIAreNamedForTheVersion(t *testing.T) {
	for overlay, want := range map[string]string{
		"../istio":       "flaskapp.tracebaton.svc.cluster.local:80/*",
		"../gateway-api": "flaskapp-v2.tracebaton.svc.cluster.local:80/*",
	} {
		c := control(t, build(t, overlay))
		p := c.proxy(t, "sleep-v1-0")
		var names []string
		for _, config := range c.RoutesFromListeners(p, c.Listeners(p)) {
			for _, host := range config.GetVirtualHosts() {
				if slices.Contains(host.GetDomains(), "flaskapp") {
					names = append(names, host.GetRoutes()[0].GetDecorator().GetOperation())
				}
			}
		}
		require.Equal(t, []string{want}, names, overlay)
	}
}

func TestGatewayOfTheGatewayAPI(t *testing.T) {
	c, gateway := reachedFromOutside(t)
	managers := c.managers(t, gateway)
	t.Run("drops strangers' trace headers before it reads them", func(t *testing.T) {
		dropsStrangersHeaders(t, managers)
	})
	t.Run("keeps every trace, and sends it to Jaeger", func(t *testing.T) {
		for _, m := range managers {
			require.Equal(t, "outbound|9411||"+jaeger, collector(t, m))
			require.InDelta(t, 100, m.GetTracing().GetRandomSampling().GetValue(), 0)
		}
	})
	t.Run("is the only one whose headers are dropped", func(t *testing.T) {
		c := control(t, append(apply(t, build(t, "../gateway-api"), "../gateway-api/gateway.yaml"), others(t)...))
		for _, m := range c.managers(t, c.proxy(t, "istio-ingressgateway-0")) {
			require.Empty(t, m.GetEarlyHeaderMutationExtensions())
		}
		for _, m := range c.managers(t, c.proxy(t, "flaskapp-v1-0")) {
			require.Empty(t, m.GetEarlyHeaderMutationExtensions())
		}
	})
}

// others are what deploy/istio/gateway.yaml has but for its EnvoyFilter.
func others(t testing.TB) objects {
	t.Helper()
	all := apply(t, nil, "../istio/gateway.yaml")
	return append(all.of("Gateway"), all.of("VirtualService")...)
}
