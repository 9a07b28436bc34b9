package istio_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sample has the namespace's sidecars sample that percentage, and returns once
// all do.
func sample(t *testing.T, percentage string) {
	t.Helper()
	sh(t, `kubectl patch telemetry tracing --type=merge -p '{"spec":{"tracing":[{"randomSamplingPercentage":`+percentage+`}]}}'`)
	for _, p := range pods(t, "-n tracebaton -l 'app in (sleep, flaskapp, httpbin)'") {
		awaitSampling(t, p.Metadata.Name, percentage)
	}
}

// awaitSampling waits until the sidecar's listeners sample that percentage.
func awaitSampling(t *testing.T, workload, percentage string) {
	t.Helper()
	eventually(t, func(c *assert.CollectT) {
		require.Equal(c, map[string]int{percentage: 1}, unique(samplings(workload)))
	})
}

// samplings are the percentages of all the listeners of a workload's sidecar.
func samplings(workload string) []string {
	out, _ := try("istioctl proxy-config listener " + workload + ` -o json | grep -A1 '"randomSampling"' | grep -o '"value": [0-9.]*\|"randomSampling": {}'`)
	var all []string
	for line := range strings.Lines(out) {
		value := strings.TrimPrefix(strings.TrimSpace(line), `"value": `)
		if strings.HasPrefix(value, `"randomSampling"`) {
			value = "0"
		}
		all = append(all, value)
	}
	return all
}

func unique(values []string) map[string]int {
	n := map[string]int{}
	for _, v := range values {
		n[v] = 1
	}
	return n
}

// Section 16.
func TestSampling(t *testing.T) {
	restore(t)
	t.Cleanup(func() { restore(t) })

	t.Run("a trace is whole or not there at all, and /fetch decides twice", func(t *testing.T) {
		for _, percentage := range []string{"0", "50"} {
			sample(t, percentage)
			inner, broken := fresh(), fresh()
			fetch(t, "http://flaskapp/fetch_with_trace?url="+inner, "-n 100 -c 4")
			fetch(t, "http://flaskapp/fetch?url="+broken, "-n 100 -c 4")
			mark(t)
			eventually(t, func(c *assert.CollectT) {
				relayed, err := stored(jaegers(c), "http://flaskapp/fetch_with_trace?url="+inner, inner)
				require.NoError(c, err)
				for _, trace := range relayed {
					require.Equal(c, whole, "\n"+trace.Tree())
				}
				first, err := stored(jaegers(c), "http://flaskapp/fetch?url="+broken)
				require.NoError(c, err)
				second, err := stored(jaegers(c), broken)
				require.NoError(c, err)
				if percentage == "0" {
					require.Equal(c, []int{0, 0, 0}, []int{len(relayed), len(first), len(second)})
					return
				}
				for _, n := range []int{len(relayed), len(first), len(second)} {
					require.InDelta(c, 50, n, 30, "six standard deviations")
				}
			})
		}
	})

	t.Run("at ten per cent a call with x-b3-sampled is kept all the same", func(t *testing.T) {
		walk(t, `kubectl patch telemetry tracing --type=merge -p '{"spec":{"tracing":[{"randomSamplingPercentage":10}]}}'`)
		awaitSampling(t, "deploy/sleep-v1", "10")
		walk(t, "kubectl exec deploy/sleep-v1 -- sleep fetch -n 100 'http://flaskapp/fetch_with_trace?url=http://httpbin:8000/ip'")
		walk(t, "kubectl exec deploy/sleep-v1 -- sleep fetch -H 'x-b3-sampled: 1' 'http://flaskapp/fetch_with_trace?url=http://httpbin:8000/anything'")
		inner := fresh()
		fetch(t, "http://flaskapp/fetch_with_trace?url="+inner, "-H 'x-b3-sampled: 1'")
		traces(t, []string{whole}, "http://flaskapp/fetch_with_trace?url="+inner, inner)
	})

	t.Run("a decision that came in the headers is not in the request ID, which says what the percentage would have", func(t *testing.T) {
		for _, row := range []struct {
			percentage, sampled, reason string
			next                        bool // whether a call with that ID alone is traced
		}{
			{"0", "1", "4", false},
			{"100", "0", "9", true},
		} {
			sample(t, row.percentage)
			var id string
			// Between sidecars, connections of before keep the old percentage for
			// as long as they last: drainDuration, 45 s.
			eventually(t, func(c *assert.CollectT) {
				var flaskapp map[string]string
				decode(c, fetch(c, "http://flaskapp/fetch_with_header?url="+fresh(), "-body", "-H 'x-b3-sampled: "+row.sampled+"'"), &flaskapp)
				id = flaskapp["X-Request-Id"]
				require.Equal(c, row.reason, id[14:15], id)
			})
			inner := fresh()
			fetch(t, inner, "-H 'x-request-id: "+id+"'")
			mark(t)
			all, err := stored(jaegers(t), inner)
			require.NoError(t, err)
			require.Equal(t, row.next, len(all) == 1, "%d traces at %s %%", len(all), row.percentage)
		}
	})

	t.Run("x-envoy-force-trace forces nothing at a sidecar, and x-client-trace-id does", func(t *testing.T) {
		sample(t, "0")
		for header, reason := range map[string]string{"x-envoy-force-trace: true": "4", "x-client-trace-id: 1": "b"} {
			eventually(t, func(c *assert.CollectT) { // as above
				var flaskapp map[string]string
				decode(c, fetch(c, "http://flaskapp/fetch_with_header?url="+fresh(), "-body", "-H '"+header+"'"), &flaskapp)
				require.Equal(c, reason, flaskapp["X-Request-Id"][14:15], header)
			})
		}
	})

	t.Run("the narrowest Telemetry wins: the workload's, the namespace's, the root's, and then 1", func(t *testing.T) {
		telemetry := func(name, namespace, selector string, percentage int) {
			spec := map[string]any{"tracing": []any{map[string]any{"randomSamplingPercentage": percentage}}}
			if selector != "" {
				spec["selector"] = map[string]any{"matchLabels": map[string]any{"app": selector}}
			}
			text, err := json.Marshal(map[string]any{
				"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry",
				"metadata": map[string]any{"name": name, "namespace": namespace}, "spec": spec,
			})
			require.NoError(t, err)
			apply(t, string(text))
		}
		telemetry("mesh-default", "istio-system", "", 20)
		telemetry("tracing", "tracebaton", "", 30)
		telemetry("own", "tracebaton", "sleep", 40)
		awaitSampling(t, "deploy/sleep-v1", "40")
		awaitSampling(t, "deploy/httpbin", "30")
		for _, step := range []struct{ remove, percentage string }{
			{"-n tracebaton own", "30"}, {"-n tracebaton tracing", "20"}, {"-n istio-system mesh-default", "1"},
		} {
			sh(t, "kubectl delete telemetry "+step.remove)
			awaitSampling(t, "deploy/sleep-v1", step.percentage)
		}
	})
}
