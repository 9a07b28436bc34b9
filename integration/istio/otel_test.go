package istio_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/jaeger"
)

// rolled waits until the pods of all Deployments are the new ones, and known.
func rolled(t *testing.T) {
	t.Helper()
	walk(t, "kubectl rollout status deployment --timeout=5m")
	known(t)
}

// relayed requires that a call that flaskapp relays is one whole trace.
func relayed(t *testing.T) {
	t.Helper()
	inner := fresh()
	outer := "http://flaskapp/fetch_with_trace?url=" + inner
	fetch(t, outer)
	traces(t, []string{whole}, outer, inner)
}

// whence are the services of the spans, the parent's before its child's.
func whence(trace jaeger.Trace) string {
	var all []string
	for span := range trace.Walk() {
		all = append(all, span.Service)
	}
	return strings.Join(all, " ")
}

// Sections 16 and 17.
func TestServicesWithSpans(t *testing.T) {
	restore(t)
	t.Cleanup(func() { restore(t) })
	const chain = "sleep sleep.tracebaton flaskapp.tracebaton flaskapp flaskapp flaskapp.tracebaton httpbin.tracebaton httpbin"

	trace := func(t *testing.T, what string) {
		inner := fresh()
		outer := "http://flaskapp/fetch_with_trace?url=" + inner
		fetch(t, outer)
		var all []jaeger.Trace
		eventually(t, func(c *assert.CollectT) {
			var err error
			all, err = stored(jaegers(c), outer, inner)
			require.NoError(c, err)
			require.Len(c, all, 1, what)
			require.Len(c, all[0].Spans, 8, what)
		})
		require.Equal(t, chain, whence(all[0]), what)
		parents := map[string]int{}
		for _, span := range all[0].Spans {
			parents[span.Parent]++
			require.Empty(t, span.Warnings)
		}
		require.Len(t, parents, 8, "each is the child of the one before: %s", what)
	}
	forwarded := func(t *testing.T) []string {
		out := fetch(t, "http://flaskapp/fetch_with_header?url="+fresh(), "-body")
		var flaskapp map[string]string
		var httpbin struct{ Headers map[string][]string }
		decode(t, out, &flaskapp, &httpbin)
		var names []string
		for name := range httpbin.Headers {
			if strings.HasPrefix(name, "X-B3-") || name == "Traceparent" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}

	t.Run("deploy/otel is one trace of eight, the services' and the sidecars' spans in turn", func(t *testing.T) {
		walk(t, "kubectl apply -k deploy/otel")
		rolled(t)
		walk(t, "kubectl exec deploy/sleep-v1 -- sleep fetch 'http://flaskapp/fetch_with_trace?url=http://httpbin:8000/headers'")
		trace(t, "B3")
	})

	t.Run("spans of spans being sent are not made", func(t *testing.T) {
		services, err := jaegers(t).Services()
		require.NoError(t, err)
		require.NotContains(t, services, "jaeger.tracebaton")
		for _, service := range []string{"sleep.tracebaton", "flaskapp.tracebaton"} {
			all, err := jaegers(t).Find(service)
			require.NoError(t, err)
			for _, trace := range all {
				for _, span := range trace.Spans {
					require.NotContains(t, span.Name, "jaeger")
				}
			}
		}
	})

	t.Run("deploy/otel-w3c is the same eight where the sidecars speak W3C", func(t *testing.T) {
		walk(t, "kubectl apply -f deploy/istio/telemetry-w3c.yaml")
		walk(t, "kubectl apply -k deploy/otel-w3c")
		rolled(t)
		trace(t, "W3C")
		require.Contains(t, forwarded(t), "Traceparent")
	})

	t.Run("with the other format first, as deploy/otel has it, it is one trace of eight all the same", func(t *testing.T) {
		walk(t, "kubectl apply -k deploy/otel")
		rolled(t)
		trace(t, "the services begin in B3, the sidecars speak W3C")
	})

	t.Run("services that only relay do not mind the format", func(t *testing.T) {
		sh(t, "kubectl apply -k deploy/istio")
		rolled(t)
		relayed(t)
		require.Equal(t, []string{"Traceparent"}, forwarded(t))
	})

	t.Run("the other way round, pods that are new speak B3 from the first call", func(t *testing.T) {
		walk(t, "kubectl delete -f deploy/istio/telemetry-w3c.yaml")
		sh(t, "kubectl rollout restart deployment -n tracebaton")
		rolled(t)
		relayed(t)
		require.Equal(t, []string{"X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Spanid", "X-B3-Traceid"}, forwarded(t))
	})
}

// What docs/headers.md says of a yes in traceparent: it needs Envoy's own.
func TestW3CAtZeroPerCent(t *testing.T) {
	restore(t)
	t.Cleanup(func() { restore(t) })
	sh(t, "kubectl apply -f deploy/istio/telemetry-w3c.yaml && kubectl rollout restart deployment -n tracebaton")
	rolled(t)
	sample(t, "0")
	for id, flags := range map[string]string{"": "00", "254b0a8b-89aa-9864-83ee-9c06f412bcd4": "01"} {
		args := []string{"-body", "-H 'traceparent: 00-463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-01'"}
		if id != "" {
			args = append(args, "-H 'x-request-id: "+id+"'")
		}
		var httpbin struct{ Headers map[string][]string }
		decode(t, fetch(t, "http://httpbin:8000/headers", args...), &httpbin)
		got := strings.Join(httpbin.Headers["Traceparent"], "")
		require.Equal(t, "00-463ac35c9f6413ad48485a3953bb6124-", got[:min(len(got), 36)])
		require.Equal(t, flags, got[len(got)-2:], fmt.Sprintf("request ID %q: %s", id, got))
	}
}
