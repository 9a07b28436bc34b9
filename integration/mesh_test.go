package integration_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/envoy"
	"github.com/tracebaton/tracebaton/integration/jaeger"
	"github.com/tracebaton/tracebaton/integration/mesh"
)

const wholeMesh = `
sleep.tracebaton: flaskapp:80/*, client
  flaskapp.tracebaton: flaskapp:80/*, server
    flaskapp.tracebaton: httpbin:8000/*, client
      httpbin.tracebaton: httpbin:8000/*, server
`

// The two traces that one becomes where flaskapp relays nothing.
const (
	meshBeforeFlaskapp = `
sleep.tracebaton: flaskapp:80/*, client
  flaskapp.tracebaton: flaskapp:80/*, server
`
	meshAfterFlaskapp = `
flaskapp.tracebaton: httpbin:8000/*, client
  httpbin.tracebaton: httpbin:8000/*, server
`
)

// sidecarsRequestID is where Envoy's spans say which request they belong to.
const sidecarsRequestID = "guid:x-request-id"

// formats are those that all sidecars of a mesh can be set to.
var formats = map[string]envoy.Tracer{
	"B3":         envoy.Zipkin,
	"W3C":        envoy.OpenTelemetry,
	"B3 and W3C": envoy.ZipkinW3C,
}

// all is a mesh whose pods are alike.
func all(pod mesh.Pod) mesh.Config { return mesh.Config{Sleep: pod, Flaskapp: pod, HTTPBin: pod} }

func TestMeshOfServicesWithoutSpans(t *testing.T) {
	jaeger.Need(t)
	envoy.Need(t)

	for format, tracer := range formats {
		t.Run("a fetch that relays is one trace of all sidecars and one request, in "+format, func(t *testing.T) {
			server := jaeger.Start(t, "")
			m := mesh.Start(t, server, all(mesh.Pod{Tracer: tracer}))
			arrived := echo(t, m, "/fetch_with_trace")
			m.Stop(t)

			trace := one(t, everything(t, server))
			require.Equal(t, wholeMesh, "\n"+trace.Tree())
			id := arrived.Get("X-Request-Id")
			require.Equal(t, "9", id[14:15], "a request ID that says that the trace is kept: %s", id)
			for i, s := range m.Sidecars() {
				require.Len(t, s.Hops(), 1, s.Name)
				span, hop := trace.Spans[i], s.Hops()[0]
				assert.Equal(t, id, hop.RequestID, s.Name)
				assert.Equal(t, trace.ID, hop.TraceID, s.Name)
				assert.Equal(t, http.StatusOK, hop.Status, s.Name)
				assert.Equal(t, id, span.Tags[sidecarsRequestID], span)
				assert.Empty(t, span.Warnings, span)
			}
			last := trace.Spans[3]
			if tracer != envoy.OpenTelemetry {
				assert.Equal(t, trace.ID, arrived.Get("X-B3-Traceid"))
				assert.Equal(t, last.ID, arrived.Get("X-B3-Spanid"))
				assert.Equal(t, last.Parent, arrived.Get("X-B3-Parentspanid"))
			}
			if tracer != envoy.Zipkin {
				assert.Equal(t, "00-"+trace.ID+"-"+last.ID+"-01", arrived.Get("Traceparent"))
			}
		})

		t.Run("a fetch that does not relay breaks at flaskapp, in "+format, func(t *testing.T) {
			server := jaeger.Start(t, "")
			m := mesh.Start(t, server, all(mesh.Pod{Tracer: tracer}))
			echo(t, m, "/fetch")
			m.Stop(t)

			before, after := pieces(t, everything(t, server))
			require.Equal(t, meshBeforeFlaskapp, "\n"+before.Tree())
			require.Equal(t, meshAfterFlaskapp, "\n"+after.Tree())
			ids := map[string][]string{}
			for _, s := range m.Sidecars() {
				require.Len(t, s.Hops(), 1, s.Name)
				ids[s.Hops()[0].RequestID] = append(ids[s.Hops()[0].RequestID], s.Name)
			}
			require.Len(t, ids, 2, "the request ID breaks where the trace does: %v", ids)
			require.Contains(t, ids, before.Spans[1].Tags[sidecarsRequestID])
			require.Contains(t, ids, after.Spans[1].Tags[sidecarsRequestID])
		})

		t.Run("where half of the traces are kept each is kept whole, in "+format, func(t *testing.T) {
			server := jaeger.Start(t, "")
			m := mesh.Start(t, server, all(mesh.Pod{Tracer: tracer, Sampling: "50"}))
			m.Fetch(t, "-n", "40", "-c", "8", m.URL("/fetch_with_trace", "/ip"))
			m.Stop(t)

			kept := map[any]bool{}
			for _, hop := range m.HTTPBinIn.Hops() {
				if hop.RequestID[14] == '9' {
					kept[hop.RequestID] = true
				}
			}
			require.NotEmpty(t, kept)
			require.Less(t, len(kept), 40)
			for _, trace := range everything(t, server) {
				require.Equal(t, wholeMesh, "\n"+trace.Tree())
				require.True(t, kept[trace.Spans[0].Tags[sidecarsRequestID]], "a trace whose request ID says that it is not kept")
				delete(kept, trace.Spans[0].Tags[sidecarsRequestID])
			}
			require.Empty(t, kept, "traces whose request IDs say that they are kept")
		})
	}

	t.Run("an answer with a request's own headers names its trace", func(t *testing.T) {
		server := jaeger.Start(t, "")
		m := mesh.Start(t, server, mesh.Config{})
		printed := m.Fetch(t, "-body", "-H", "x-request-id: walkthrough-1", "-H", "x-b3-sampled: 1", m.URL("/fetch_with_header", "/ip"))
		m.Stop(t)

		var seen map[string]string
		require.NoError(t, json.NewDecoder(strings.NewReader(printed)).Decode(&seen), printed)
		trace := one(t, everything(t, server))
		require.Equal(t, wholeMesh, "\n"+trace.Tree())
		require.Equal(t, trace.ID, seen["X-B3-Traceid"])
		require.Equal(t, trace.Spans[1].ID, seen["X-B3-Spanid"], "of flaskapp-in")
		require.Equal(t, trace.Spans[1].Parent, seen["X-B3-Parentspanid"], "of sleep-out")
		require.Equal(t, "walkthrough-1", seen["X-Request-Id"])
		for _, span := range trace.Spans {
			require.Equal(t, "walkthrough-1", span.Tags[sidecarsRequestID], span)
		}
	})

	t.Run("a client's b3 is one trace, a chain since Envoy 1.40 and flat before", func(t *testing.T) {
		for _, binary := range envoy.NeedAll(t) {
			server := jaeger.Start(t, "")
			m := mesh.Start(t, server, mesh.Config{Envoy: binary})
			m.Fetch(t, "-H", "b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1", m.URL("/fetch_with_trace", "/ip"))
			m.Stop(t)

			want := strings.Replace(wholeMesh, "client\n", "client, parent missing\n", 1)
			if !binary.AtLeast("1.40") {
				want = `
sleep.tracebaton: flaskapp:80/*, client, parent missing
flaskapp.tracebaton: flaskapp:80/*, server, parent missing
flaskapp.tracebaton: httpbin:8000/*, client, parent missing
httpbin.tracebaton: httpbin:8000/*, server, parent missing
`
			}
			require.Equal(t, want, "\n"+one(t, everything(t, server)).Tree(), binary.Version)
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

// What becomes of a trace where pods' sidecars speak different formats is
// documented in docs/headers.md.
func TestMeshWhoseSidecarsSpeakDifferentFormats(t *testing.T) {
	jaeger.Need(t)
	envoy.Need(t)

	const (
		b3, w3c, both = envoy.Zipkin, envoy.OpenTelemetry, envoy.ZipkinW3C

		pastFlaskapp = `
sleep.tracebaton: flaskapp:80/*, client
  httpbin.tracebaton: httpbin:8000/*, server
`
		flaskapps = `
flaskapp.tracebaton: flaskapp:80/*, server
  flaskapp.tracebaton: httpbin:8000/*, client
`
	)
	for _, tt := range []struct {
		name                     string
		sleep, flaskapp, httpbin envoy.Tracer
		want                     []string
	}{
		{"both in the middle and B3 around it, one trace", b3, both, b3, []string{wholeMesh}},
		{"both in the middle and W3C around it, one trace", w3c, both, w3c, []string{wholeMesh}},
		{"B3 in the middle and both around it, one trace", both, b3, both, []string{wholeMesh}},
		{"W3C in the middle and both around it, one trace in which httpbin hangs from sleep", both, w3c, both, []string{`
sleep.tracebaton: flaskapp:80/*, client
  flaskapp.tracebaton: flaskapp:80/*, server
    flaskapp.tracebaton: httpbin:8000/*, client
  httpbin.tracebaton: httpbin:8000/*, server
`}},
		{"W3C in the middle and B3 around it, two traces, of which one passes flaskapp by", b3, w3c, b3, []string{pastFlaskapp, flaskapps}},
		{"B3 in the middle and W3C around it, two traces, of which one passes flaskapp by", w3c, b3, w3c, []string{pastFlaskapp, flaskapps}},
		{"B3 up to flaskapp and W3C at httpbin, two traces", b3, b3, w3c, []string{`
sleep.tracebaton: flaskapp:80/*, client
  flaskapp.tracebaton: flaskapp:80/*, server
    flaskapp.tracebaton: httpbin:8000/*, client
`, `
httpbin.tracebaton: httpbin:8000/*, server
`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := jaeger.Start(t, "")
			m := mesh.Start(t, server, mesh.Config{
				Sleep:    mesh.Pod{Tracer: tt.sleep},
				Flaskapp: mesh.Pod{Tracer: tt.flaskapp},
				HTTPBin:  mesh.Pod{Tracer: tt.httpbin},
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
	envoy.Need(t)

	const both = `
sleep: GET, client
  sleep.tracebaton: flaskapp:80/*, client
    flaskapp.tracebaton: flaskapp:80/*, server
      flaskapp: GET /fetch_with_trace, server
        flaskapp: GET, client
          flaskapp.tracebaton: httpbin:8000/*, client
            httpbin.tracebaton: httpbin:8000/*, server
              httpbin: GET /headers, server
`
	for format, tracer := range formats {
		t.Run("services and sidecars that speak "+format+" are one trace", func(t *testing.T) {
			server := jaeger.Start(t, "")
			m := mesh.Start(t, server, all(mesh.Pod{Tracer: tracer, SDK: true}))
			arrived := echo(t, m, "/fetch_with_trace")
			m.Stop(t)

			trace := one(t, everything(t, server))
			require.Equal(t, both, "\n"+trace.Tree(), "each span is the child of the one before")
			id := arrived.Get("X-Request-Id")
			require.NotEmpty(t, id)
			for _, span := range trace.Spans {
				if _, ok := span.Tags[sidecarsRequestID]; ok {
					assert.Equal(t, id, span.Tags[sidecarsRequestID], span)
				} else if span.Service != "sleep" { // which calls before there is any
					assert.Equal(t, `["`+id+`"]`, span.Tags[requestID], span)
				}
				assert.Empty(t, span.Warnings, span)
			}
		})

		t.Run("a service that keeps none of its spans does not break the trace of sidecars that speak "+format, func(t *testing.T) {
			server := jaeger.Start(t, "")
			m := mesh.Start(t, server, mesh.Config{
				Sleep:    mesh.Pod{Tracer: tracer},
				Flaskapp: mesh.Pod{Tracer: tracer, SDK: true, Env: []string{"OTEL_TRACES_SAMPLER=always_off"}},
				HTTPBin:  mesh.Pod{Tracer: tracer, SDK: true},
			})
			echo(t, m, "/fetch_with_trace")
			m.Stop(t)

			require.Equal(t, wholeMesh+"        httpbin: GET /headers, server\n", "\n"+one(t, everything(t, server)).Tree())
		})
	}

	t.Run("a fetch that does not relay breaks within flaskapp", func(t *testing.T) {
		server := jaeger.Start(t, "")
		m := mesh.Start(t, server, all(mesh.Pod{SDK: true}))
		echo(t, m, "/fetch")
		m.Stop(t)

		before, after := pieces(t, everything(t, server))
		require.Equal(t, `
sleep: GET, client
  sleep.tracebaton: flaskapp:80/*, client
    flaskapp.tracebaton: flaskapp:80/*, server
      flaskapp: GET /fetch, server
`, "\n"+before.Tree())
		require.Equal(t, `
flaskapp: GET, client
  flaskapp.tracebaton: httpbin:8000/*, client
    httpbin.tracebaton: httpbin:8000/*, server
      httpbin: GET /headers, server
`, "\n"+after.Tree())
	})
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
	var found []jaeger.Trace
	known := map[string]bool{}
	for _, service := range services {
		traces, err := server.Find(service)
		require.NoError(t, err)
		for _, trace := range traces {
			if service != jaeger.Settled && !known[trace.ID] {
				known[trace.ID] = true
				found = append(found, trace)
			}
		}
	}
	return found
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
