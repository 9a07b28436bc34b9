package integration_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/jaeger"
	"github.com/tracebaton/tracebaton/integration/mesh"
)

const wholeMesh = `
sleep-out: GET, server
  flaskapp-in: GET, server
    flaskapp-out: GET, server
      httpbin-in: GET, server
`

// sidecarsRequestID is where a sidecar's span, like Envoy's, says which request
// it belongs to.
const sidecarsRequestID = "guid:x-request-id"

func TestMeshOfServicesWithoutSpans(t *testing.T) {
	jaeger.Need(t)
	mesh.Need(t)

	t.Run("a fetch that relays is one trace of all sidecars and one request", func(t *testing.T) {
		server := jaeger.Start(t, "")
		m := mesh.Start(t, server, mesh.Config{})
		arrived := echo(t, m, "/fetch_with_trace")
		m.Stop(t)

		trace := one(t, everything(t, server))
		require.Equal(t, wholeMesh, "\n"+trace.Tree())
		id := arrived.Get("X-Request-Id")
		require.NotEmpty(t, id, "the first sidecar makes one")
		for i, s := range m.Sidecars() {
			require.Len(t, s.Hops(), 1, s.Name)
			span := trace.Spans[i]
			assert.Equal(t, mesh.Hop{RequestID: id, TraceID: trace.ID, SpanID: span.ID, Status: http.StatusOK}, s.Hops()[0], s.Name)
			assert.Equal(t, id, span.Tags[sidecarsRequestID], span)
			assert.Empty(t, span.Warnings, span)
		}
		assert.Equal(t, trace.ID, arrived.Get("X-B3-Traceid"))
		assert.Equal(t, trace.Spans[3].ID, arrived.Get("X-B3-Spanid"))
	})

	t.Run("a fetch that does not relay breaks at flaskapp", func(t *testing.T) {
		server := jaeger.Start(t, "")
		m := mesh.Start(t, server, mesh.Config{})
		echo(t, m, "/fetch")
		m.Stop(t)

		before, after := pieces(t, everything(t, server))
		require.Equal(t, `
sleep-out: GET, server
  flaskapp-in: GET, server
`, "\n"+before.Tree())
		require.Equal(t, `
flaskapp-out: GET, server
  httpbin-in: GET, server
`, "\n"+after.Tree())
		ids := map[string][]string{}
		for _, s := range m.Sidecars() {
			require.Len(t, s.Hops(), 1, s.Name)
			ids[s.Hops()[0].RequestID] = append(ids[s.Hops()[0].RequestID], s.Name)
		}
		require.Len(t, ids, 2, "the request ID breaks where the trace does: %v", ids)
		require.Contains(t, ids, before.Spans[1].Tags[sidecarsRequestID])
		require.Contains(t, ids, after.Spans[1].Tags[sidecarsRequestID])
	})

	t.Run("an answer with a request's own headers names its trace", func(t *testing.T) {
		server := jaeger.Start(t, "")
		m := mesh.Start(t, server, mesh.Config{})
		printed := m.Fetch(t, "-body", "-H", "x-request-id: walkthrough-1", m.URL("/fetch_with_header", "/ip"))
		m.Stop(t)

		var seen map[string]string
		require.NoError(t, json.NewDecoder(strings.NewReader(printed)).Decode(&seen), printed)
		trace := one(t, everything(t, server))
		require.Equal(t, wholeMesh, "\n"+trace.Tree())
		require.Equal(t, trace.ID, seen["X-B3-Traceid"])
		require.Equal(t, trace.Spans[1].ID, seen["X-B3-Spanid"], "of flaskapp-in")
		require.Equal(t, "walkthrough-1", seen["X-Request-Id"])
		for _, span := range trace.Spans {
			require.Equal(t, "walkthrough-1", span.Tags[sidecarsRequestID], span)
		}
	})

	t.Run("500 calls, 16 at a time, are 500 whole traces", func(t *testing.T) {
		server := jaeger.Start(t, "")
		m := mesh.Start(t, server, mesh.Config{})
		m.Fetch(t, "-n", "500", "-c", "16", m.URL("/fetch_with_trace", "/ip"))
		m.Stop(t)

		traces := everything(t, server)
		require.Len(t, traces, 500)
		requests := map[any]bool{}
		for _, trace := range traces {
			require.Equal(t, wholeMesh, "\n"+trace.Tree())
			id := trace.Spans[0].Tags[sidecarsRequestID]
			require.NotEmpty(t, id)
			requests[id] = true
			for _, span := range trace.Spans {
				require.Equal(t, id, span.Tags[sidecarsRequestID], span)
			}
		}
		require.Len(t, requests, 500, "each call has a request ID of its own")
	})
}

// What becomes of a trace when pods have sidecars that speak different formats
// is documented in deploy/sidecar/README.md.
func TestMeshWhoseSidecarsSpeak(t *testing.T) {
	jaeger.Need(t)
	mesh.Need(t)

	// A sidecar renews the formats that it writes, and passes on the rest as it
	// came: what then is believed may name a span further up.
	const (
		flat = `
sleep-out: GET, server
  flaskapp-in: GET, server
  flaskapp-out: GET, server
  httpbin-in: GET, server
`
		flaskappPassedBy = `
sleep-out: GET, server
  flaskapp-in: GET, server
    flaskapp-out: GET, server
  httpbin-in: GET, server
`
	)
	for _, tt := range []struct {
		name                     string
		sleep, flaskapp, httpbin string
		want                     []string
	}{
		{"B3 in several headers, one trace", "b3multi", "b3multi", "b3multi", []string{wholeMesh}},
		{"B3 in one header, one trace", "b3", "b3", "b3", []string{wholeMesh}},
		{"W3C, one trace", "tracecontext", "tracecontext", "tracecontext", []string{wholeMesh}},
		{"both, one trace", "b3multi,tracecontext", "b3multi,tracecontext", "b3multi,tracecontext", []string{wholeMesh}},
		{"both in the middle and B3 around it, one trace", "b3multi", "b3multi,tracecontext", "b3multi", []string{wholeMesh}},
		{"both in the middle and W3C around it, one trace", "tracecontext", "tracecontext,b3multi", "tracecontext", []string{wholeMesh}},
		{"B3 in the middle and both around it, what is shared last, one trace", "tracecontext,b3multi", "b3multi", "tracecontext,b3multi", []string{wholeMesh}},
		{"B3 in the middle and both around it, what is shared first, one trace that passes flaskapp by", "b3multi,tracecontext", "b3multi", "b3multi,tracecontext", []string{flaskappPassedBy}},
		{"B3 in one header in the middle and in several around it, one trace", "b3multi", "b3", "b3multi", []string{wholeMesh}},
		{"B3 in several headers in the middle and in one around it, one trace whose spans are all the first one's children", "b3", "b3multi", "b3", []string{flat}},
		{"W3C in the middle and B3 around it, two traces", "b3multi", "tracecontext", "b3multi", []string{`
sleep-out: GET, server
  httpbin-in: GET, server
`, `
flaskapp-in: GET, server
  flaskapp-out: GET, server
`}},
		{"B3 up to flaskapp and W3C at httpbin, two traces", "b3multi", "b3multi", "tracecontext", []string{`
sleep-out: GET, server
  flaskapp-in: GET, server
    flaskapp-out: GET, server
`, `
httpbin-in: GET, server
`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := jaeger.Start(t, "")
			m := mesh.Start(t, server, mesh.Config{
				Sleep:    mesh.Pod{Propagators: tt.sleep},
				Flaskapp: mesh.Pod{Propagators: tt.flaskapp},
				HTTPBin:  mesh.Pod{Propagators: tt.httpbin},
			})
			arrived := echo(t, m, "/fetch_with_trace")
			m.Stop(t)

			var got []string
			for _, trace := range everything(t, server) {
				got = append(got, "\n"+trace.Tree())
			}
			require.ElementsMatch(t, tt.want, got)
			for _, s := range m.Sidecars() {
				require.Len(t, s.Hops(), 1, s.Name)
				require.Equal(t, arrived.Get("X-Request-Id"), s.Hops()[0].RequestID, "%s: where the trace breaks, the request ID does not", s.Name)
			}
		})
	}
}

func TestMeshOfServicesWithSpans(t *testing.T) {
	jaeger.Need(t)
	mesh.Need(t)

	const both = `
sleep: GET, client
  sleep-out: GET, server
    flaskapp-in: GET, server
      flaskapp: GET /fetch_with_trace, server
        flaskapp: GET, client
          flaskapp-out: GET, server
            httpbin-in: GET, server
              httpbin: GET /headers, server
`
	for name, propagators := range map[string]string{
		"B3 in several headers": "b3multi",
		"B3 in one header":      "b3",
		"W3C":                   "tracecontext",
		"B3 and W3C":            "b3multi,tracecontext",
	} {
		t.Run("services and sidecars that speak "+name+" are one trace", func(t *testing.T) {
			server := jaeger.Start(t, "")
			pod := mesh.Pod{Propagators: propagators, SDK: true}
			m := mesh.Start(t, server, mesh.Config{Sleep: pod, Flaskapp: pod, HTTPBin: pod})
			arrived := echo(t, m, "/fetch_with_trace")
			m.Stop(t)

			trace := one(t, everything(t, server))
			require.Equal(t, both, "\n"+trace.Tree(), "each span is the child of the one before")
			id := arrived.Get("X-Request-Id")
			require.NotEmpty(t, id)
			for _, span := range trace.Spans {
				if _, ok := span.Tags[sidecarsRequestID]; ok {
					assert.Equal(t, id, span.Tags[sidecarsRequestID], span)
				} else {
					assert.Equal(t, `["`+id+`"]`, span.Tags[requestID], span)
				}
				assert.Empty(t, span.Warnings, span)
			}
		})
	}

	t.Run("a fetch that does not relay breaks within flaskapp", func(t *testing.T) {
		server := jaeger.Start(t, "")
		pod := mesh.Pod{SDK: true}
		m := mesh.Start(t, server, mesh.Config{Sleep: pod, Flaskapp: pod, HTTPBin: pod})
		echo(t, m, "/fetch")
		m.Stop(t)

		before, after := pieces(t, everything(t, server))
		require.Equal(t, `
sleep: GET, client
  sleep-out: GET, server
    flaskapp-in: GET, server
      flaskapp: GET /fetch, server
`, "\n"+before.Tree())
		require.Equal(t, `
flaskapp: GET, client
  flaskapp-out: GET, server
    httpbin-in: GET, server
      httpbin: GET /headers, server
`, "\n"+after.Tree())
	})

	for name, propagators := range map[string]string{"B3": "b3multi", "W3C": "tracecontext"} {
		t.Run("a service that keeps none of its spans does not break the trace of sidecars that speak "+name, func(t *testing.T) {
			server := jaeger.Start(t, "")
			silent := mesh.Pod{Propagators: propagators, SDK: true, Env: []string{"OTEL_TRACES_SAMPLER=always_off"}}
			m := mesh.Start(t, server, mesh.Config{
				Sleep:    mesh.Pod{Propagators: propagators},
				Flaskapp: silent,
				HTTPBin:  mesh.Pod{Propagators: propagators, SDK: true},
			})
			echo(t, m, "/fetch_with_trace")
			m.Stop(t)

			require.Equal(t, wholeMesh+"        httpbin: GET /headers, server\n", "\n"+one(t, everything(t, server)).Tree())
		})
	}
}

// echo calls httpbin through the route of flaskapp, and returns the headers
// that httpbin got.
func echo(t testing.TB, m *mesh.Mesh, route string) http.Header {
	t.Helper()
	printed := m.Fetch(t, "-body", m.URL(route, "/headers"))
	var got struct{ Headers http.Header }
	require.NoError(t, json.Unmarshal([]byte(printed), &got), printed)
	return got.Headers
}

// everything returns all traces that the server has, whosoever spans they are
// of. All that sends any has been stopped.
func everything(t testing.TB, server *jaeger.Server) []jaeger.Trace {
	t.Helper()
	server.Settle(t)
	services, err := server.Services()
	require.NoError(t, err)
	var all []jaeger.Trace
	known := map[string]bool{}
	for _, service := range services {
		traces, err := server.Find(service)
		require.NoError(t, err)
		for _, trace := range traces {
			if service != jaeger.Settled && !known[trace.ID] {
				known[trace.ID] = true
				all = append(all, trace)
			}
		}
	}
	return all
}

// pieces returns the two traces that one has broken into, in the order of their
// start.
func pieces(t testing.TB, traces []jaeger.Trace) (before, after jaeger.Trace) {
	t.Helper()
	require.Len(t, traces, 2)
	if traces[0].Spans[0].Start > traces[1].Spans[0].Start {
		return traces[1], traces[0]
	}
	return traces[0], traces[1]
}
