package istio_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Sections 5 and 6.
func TestServices(t *testing.T) {
	restore(t)

	t.Run("istioctl finds nothing wrong with the manifests, without the cluster and in it", func(t *testing.T) {
		require.Contains(t, sh(t, "kubectl kustomize deploy/istio | istioctl validate -f -"), "validation succeed")
		require.Contains(t, sh(t, "kubectl kustomize deploy/istio | istioctl analyze --use-kube=false -"), "No validation issues")
		require.Contains(t, sh(t, "istioctl analyze -n tracebaton"), "No validation issues")
		require.Contains(t, walk(t, "istioctl experimental precheck"), "No issues found")
	})

	t.Run("each pod has its sidecar, a native one, and Jaeger has none", func(t *testing.T) {
		eventually(t, func(c *assert.CollectT) { // the autoscalers look every 15 s
			got := map[string]int{}
			for _, p := range pods(c, "") {
				app := p.Metadata.Labels["app"] + "-" + p.Metadata.Labels["version"]
				got[app]++
				for _, condition := range p.Status.Conditions {
					assert.Equal(c, "True", condition.Status, "%s: %s", p.Metadata.Name, condition.Type)
				}
				native := false
				for _, i := range p.Spec.InitContainers {
					native = native || i.Name == "istio-proxy" && i.RestartPolicy == "Always"
				}
				assert.Equal(c, app != "jaeger-v2", native, p.Metadata.Name)
				assert.Len(c, p.Spec.Containers, 1, p.Metadata.Name)
			}
			require.Equal(c, map[string]int{"flaskapp-v1": 2, "flaskapp-v2": 2, "httpbin-v1": 1, "jaeger-v2": 1, "sleep-v1": 1, "sleep-v2": 1}, got,
				"flaskapp's autoscalers have two each as their minimum")
		})
	})

	t.Run("the sidecars trace, with Zipkin's tracer and no other", func(t *testing.T) {
		out := walk(t, "istioctl proxy-config listener deployment/sleep-v1 -o json | grep -o 'envoy.tracers.[a-z]*' | sort | uniq -c")
		require.Len(t, count(out), 1, out)
		require.Contains(t, out, "envoy.tracers.zipkin")
	})

	t.Run("a call within the mesh is by mutual TLS", func(t *testing.T) {
		var echo struct{ Headers map[string][]string }
		decode(t, fetch(t, "http://httpbin:8000/headers", "-body"), &echo)
		require.Contains(t, strings.Join(echo.Headers["X-Forwarded-Client-Cert"], ""), "spiffe://cluster.local/ns/tracebaton/sa/sleep")
	})

	t.Run("kubectl's ways into a pod are those of a cluster", func(t *testing.T) {
		require.Contains(t, walk(t, "kubectl exec deploy/sleep-v1 -- sleep fetch -h"), "Usage")
		require.Contains(t, walk(t, "kubectl exec deploy/sleep-v1 -- sleep fetch -v http://flaskapp/"), "200 OK")
		out := walk(t, "kubectl exec deploy/sleep-v1 -- sleep fetch -n 100 -c 8 'http://flaskapp/fetch_with_trace?url=http://httpbin:8000/ip'")
		require.Contains(t, out, "100 × 200 OK")
		_, err := try("kubectl exec deploy/sleep-v1 -- sleep fetch http://flaskapp/nope")
		require.Error(t, err, "an exit status is told")
		require.Contains(t, sh(t, "kubectl logs deploy/httpbin -c httpbin"), `"msg":"listening"`)
	})
}

// Section 7.
func TestTwoVersions(t *testing.T) {
	restore(t)
	t.Cleanup(func() { restore(t) })
	sh(t, "kubectl run plain --image=localhost/tracebaton/sleep:0.1.0 --labels=sidecar.istio.io/inject=false && kubectl wait --for=condition=Ready pod/plain --timeout=1m")

	const ask = "kubectl exec deploy/sleep-v1 -- sleep fetch -body -n 10 http://flaskapp/env/version"
	t.Run("all calls are answered by v2", func(t *testing.T) {
		require.Contains(t, walk(t, ask), strings.Repeat("v2\n", 10))
	})
	t.Run("a caller without a sidecar reaches both", func(t *testing.T) {
		got := count(sh(t, "kubectl exec plain -- sleep fetch -body -n 60 http://flaskapp/env/version"))
		require.Equal(t, 60, got["v1"]+got["v2"])
		require.NotZero(t, got["v1"])
		require.NotZero(t, got["v2"])
	})
	t.Run("without the VirtualService both answer, mixed", func(t *testing.T) {
		walk(t, "kubectl delete virtualservice flaskapp")
		eventually(t, func(c *assert.CollectT) {
			got := count(fetch(c, "http://flaskapp/env/version", "-body -n 40"))
			assert.NotZero(c, got["v1"])
			assert.NotZero(c, got["v2"])
		})
	})
	t.Run("with it again, v2 alone", func(t *testing.T) {
		walk(t, "kubectl apply -f deploy/istio/virtualservice.yaml")
		eventually(t, func(c *assert.CollectT) { assert.Equal(c, 10, count(sh(c, ask))["v2"]) })
		require.Contains(t, walk(t, ask), strings.Repeat("v2\n", 10))
	})
}

// Sections 9 to 11.
func TestFetch(t *testing.T) {
	restore(t)

	t.Run("/fetch is two traces of two spans, and two request IDs", func(t *testing.T) {
		inner := fresh()
		outer := "http://flaskapp/fetch?url=" + inner
		walk(t, "kubectl exec deploy/sleep-v1 -- sleep fetch 'http://flaskapp/fetch?url=http://httpbin:8000/headers'")
		fetch(t, outer)
		got := traces(t, []string{before, after}, outer, inner)
		require.NotEqual(t, got[0].Spans[0].Tags["guid:x-request-id"], got[1].Spans[0].Tags["guid:x-request-id"])
	})

	t.Run("/fetch_with_header shows one request and one trace, and each sidecar's own span", func(t *testing.T) {
		out := walk(t, "kubectl exec deploy/sleep-v1 -- sleep fetch -body 'http://flaskapp/fetch_with_header?url=http://httpbin:8000/headers'")
		var flaskapp map[string]string
		var httpbin struct{ Headers map[string][]string }
		decode(t, out, &flaskapp, &httpbin)
		arrived := func(name string) string { return strings.Join(httpbin.Headers[name], ", ") }
		require.Equal(t, flaskapp["X-Request-Id"], arrived("X-Request-Id"))
		require.Equal(t, flaskapp["X-B3-Traceid"], arrived("X-B3-Traceid"))
		require.NotEqual(t, flaskapp["X-B3-Spanid"], arrived("X-B3-Spanid"))
		require.Equal(t, "1", arrived("X-B3-Sampled"))

		server := jaegers(t)
		eventually(t, func(c *assert.CollectT) {
			trace, ok, err := server.Trace(flaskapp["X-B3-Traceid"])
			require.NoError(c, err)
			require.True(c, ok)
			require.Equal(c, whole, "\n"+trace.Tree())
			assert.Equal(c, flaskapp["X-B3-Spanid"], trace.Spans[1].ID, "flaskapp's sidecar on the way in")
			assert.Equal(c, flaskapp["X-B3-Parentspanid"], trace.Spans[1].Parent)
			assert.Equal(c, arrived("X-B3-Spanid"), trace.Spans[3].ID, "httpbin's")
			assert.Equal(c, arrived("X-B3-Parentspanid"), trace.Spans[3].Parent)
			for _, span := range trace.Spans {
				assert.Equal(c, flaskapp["X-Request-Id"], span.Tags["guid:x-request-id"])
			}
		})
	})

	t.Run("/fetch_with_trace is one trace of four spans, each the child of the one before", func(t *testing.T) {
		inner := fresh()
		outer := "http://flaskapp/fetch_with_trace?url=" + inner
		walk(t, "kubectl exec deploy/sleep-v1 -- sleep fetch 'http://flaskapp/fetch_with_trace?url=http://httpbin:8000/headers'")
		fetch(t, outer)
		for _, span := range traces(t, []string{whole}, outer, inner)[0].Spans {
			require.Empty(t, span.Warnings, span)
		}
	})

	t.Run("both in one are two traces, the second whole from where it begins", func(t *testing.T) {
		walk(t, "kubectl exec deploy/sleep-v1 -- sleep fetch 'http://flaskapp/fetch?url=http://flaskapp/fetch_with_trace?url=http://httpbin:8000/ip'")
		inner := fresh()
		middle := "http://flaskapp/fetch_with_trace?url=" + inner
		outer := "http://flaskapp/fetch?url=" + middle
		fetch(t, outer)
		traces(t, []string{before, strings.Replace(whole, "sleep.tracebaton", "flaskapp.tracebaton", 1)}, outer, middle, inner)
	})

	t.Run("one ID is in four sidecars' and two services' lines, and /fetch has two IDs", func(t *testing.T) {
		lines := func(url string) (n int) {
			out := fetch(t, "http://flaskapp/fetch_with_header?url="+url, "-body")
			var flaskapp map[string]string
			decode(t, out, &flaskapp)
			id := flaskapp["X-Request-Id"]
			command := `kubectl logs -l 'app in (sleep,flaskapp,httpbin)' --all-containers --tail=-1 --prefix | grep "$ID"`
			onPage(t, command)
			eventually(t, func(c *assert.CollectT) {
				out, _ := try("ID=" + id + "; " + command)
				n = strings.Count(out, "\n")
				assert.GreaterOrEqual(c, n, 6)
			})
			return n
		}
		require.Equal(t, 6, lines(fresh()))

		inner := fresh()
		fetch(t, "http://flaskapp/fetch?url="+inner)
		eventually(t, func(c *assert.CollectT) {
			out, _ := try("kubectl logs -l 'app in (sleep,flaskapp,httpbin)' -c istio-proxy --tail=-1 | grep -F " + inner[len("http://httpbin:8000"):])
			ids := map[string]int{}
			for line := range strings.Lines(out) {
				var entry struct {
					RequestID string `json:"request_id"`
				}
				decode(c, line, &entry)
				ids[entry.RequestID]++
			}
			require.Len(c, ids, 2)
			for _, n := range ids {
				assert.Equal(c, 2, n)
			}
		})
	})
}

// Section 12.
func TestRouting(t *testing.T) {
	restore(t)
	t.Cleanup(func() { restore(t) })

	t.Run("by user, as far as the header is relayed", func(t *testing.T) {
		walk(t, "kubectl apply -f deploy/istio/route-by-user.yaml")
		direct := "kubectl exec deploy/sleep-v1 -- sleep fetch -body -H 'end-user: alice' http://flaskapp/env/version"
		eventually(t, func(c *assert.CollectT) { assert.Contains(c, sh(c, direct), "v1\n") })
		require.Contains(t, walk(t, direct), "v1\n")
		require.Contains(t, walk(t, "kubectl exec deploy/sleep-v1 -- sleep fetch -body -H 'end-user: alice' 'http://flaskapp/fetch_with_trace?url=http://flaskapp/env/version'"), "v1\n")
		require.Contains(t, walk(t, "kubectl exec deploy/sleep-v1 -- sleep fetch -body -H 'end-user: alice' 'http://flaskapp/fetch?url=http://flaskapp/env/version'"), "v2\n")
		require.Contains(t, fetch(t, "http://flaskapp/env/version", "-body -H 'end-user: bob'"), "v2\n")
		require.Contains(t, fetch(t, "http://flaskapp/env/version", "-body"), "v2\n")
	})

	t.Run("by weight, and nobody stays", func(t *testing.T) {
		walk(t, "kubectl apply -f deploy/istio/route-weights.yaml")
		eventually(t, func(c *assert.CollectT) {
			assert.NotZero(c, count(fetch(c, "http://flaskapp/env/version", "-body -n 20"))["v1"])
		})
		for _, flags := range []string{"", "-H 'x-request-id: 254b0a8b-89aa-4864-83ee-9c06f412bcd4'"} {
			got := count(fetch(t, "http://flaskapp/env/version", "-body -n 200", flags))
			require.Equal(t, 200, got["v1"]+got["v2"])
			require.InDelta(t, 100, got["v1"], 45, "beyond six standard deviations, and more")
		}
	})

	t.Run("a fault delays half of the calls, in the caller's sidecar", func(t *testing.T) {
		walk(t, "kubectl apply -f deploy/istio/route-delay.yaml")
		eventually(t, func(c *assert.CollectT) {
			assert.Regexp(c, `max 2(\.\d+)?s`, fetch(c, "http://flaskapp/env/version", "-n 8 -c 8"))
		})
		inner := "http://flaskapp/env/version?" + fresh()
		fetch(t, inner, "-n 40 -c 20")
		server := jaegers(t)
		eventually(t, func(c *assert.CollectT) {
			all, err := stored(server, inner)
			require.NoError(c, err)
			require.Len(c, all, 40)
			delayed := 0
			for _, trace := range all {
				require.Equal(c, before, "\n"+trace.Tree())
				if trace.Spans[0].Duration.Seconds() > 1.9 {
					delayed++
					assert.Less(c, trace.Spans[1].Duration.Seconds(), 1.0, "flaskapp's is as short as ever")
					assert.Equal(c, "DI", trace.Spans[0].Tags["response_flags"])
				}
			}
			assert.InDelta(c, 20, delayed, 18, "never all and never none of 40")
		})
		require.Contains(t, sh(t, "kubectl logs deploy/sleep-v1 -c istio-proxy --tail=40"), `"response_flags":"DI"`)
	})

	t.Run("an abort answers half of the calls, in the caller's sidecar", func(t *testing.T) {
		walk(t, "kubectl apply -f deploy/istio/route-abort.yaml")
		command := "kubectl exec -n tracebaton deploy/sleep-v1 -- sleep fetch -n 20 http://flaskapp/env/version"
		onPage(t, command)
		eventually(t, func(c *assert.CollectT) {
			out, err := try(command)
			assert.Error(c, err, "a call that fails is told")
			assert.Contains(c, out, "503 Service Unavailable")
			assert.Contains(c, out, "200 OK")
		})
		inner := "http://flaskapp/env/version?" + fresh()
		_, _ = try("kubectl exec deploy/sleep-v1 -- sleep fetch -n 40 '" + inner + "'")
		server := jaegers(t)
		eventually(t, func(c *assert.CollectT) {
			all, err := stored(server, inner)
			require.NoError(c, err)
			require.Len(c, all, 40)
			aborted := 0
			for _, trace := range all {
				if len(trace.Spans) == 1 {
					aborted++
					assert.Equal(c, "FI", trace.Spans[0].Tags["response_flags"])
					continue
				}
				require.Equal(c, before, "\n"+trace.Tree())
			}
			assert.InDelta(c, 20, aborted, 18, "never all and never none of 40")
		})
		eventually(t, func(c *assert.CollectT) { // Envoy writes the log when it has enough, or after a while
			_, err := try(`kubectl logs deploy/sleep-v1 -c istio-proxy --tail=-1 | grep -q '"response_flags":"FI"'`)
			assert.NoError(c, err, "no line of the access log says fault injected")
		})
		walk(t, "kubectl apply -n tracebaton -f deploy/istio/virtualservice.yaml")
	})

	t.Run("a mirror gets a copy, which the trace does not", func(t *testing.T) {
		walk(t, "kubectl apply -f deploy/istio/route-mirror.yaml")
		walk(t, "kubectl exec deploy/sleep-v1 -- sleep fetch 'http://flaskapp/fetch_with_trace?url=http://httpbin:8000/ip'")
		var inner string
		eventually(t, func(c *assert.CollectT) {
			inner = fresh()
			fetch(c, "http://flaskapp/fetch_with_trace?url="+inner)
			out, _ := try("kubectl logs deploy/httpbin -c httpbin --tail=-1 | grep -cF " + inner[len("http://httpbin:8000"):])
			assert.Equal(c, "2\n", out, "httpbin is called twice")
		})
		got := traces(t, []string{whole}, "http://flaskapp/fetch_with_trace?url="+inner, inner)
		id, _ := got[0].Spans[0].Tags["guid:x-request-id"].(string)
		eventually(t, func(c *assert.CollectT) {
			out, _ := try("kubectl logs -l app=flaskapp,version=v1 --tail=-1 | grep -c " + id)
			assert.Equal(c, "1\n", out)
		})
		require.Contains(t, walk(t, "kubectl logs -l app=flaskapp,version=v1 --tail=3"), "/fetch_with_trace")
	})
}

func eventually(t require.TestingT, condition func(c *assert.CollectT)) {
	require.EventuallyWithT(t, condition, patience, tick)
}
