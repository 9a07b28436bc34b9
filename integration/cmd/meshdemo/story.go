package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/jaeger"
	"github.com/tracebaton/tracebaton/integration/mesh"
	"github.com/tracebaton/tracebaton/integration/process"
)

const (
	patience = time.Minute // for spans and logs that must come
	tick     = 50 * time.Millisecond

	calls = 100 // of many
)

// story is what the demo tells. It fails where what it tells is not what
// happened.
type story struct {
	process.T
	paper
	server *jaeger.Server
	mesh   *mesh.Mesh
	once   bool // nobody will look at the UI

	rest string // ID of what breaks off a trace
}

func tell(t process.T, p paper, once bool) {
	jaeger.Need(t)
	mesh.Need(t)
	s := &story{T: t, paper: p, once: once}
	s.server = jaeger.Start(t, "")
	s.mesh = mesh.Start(t, s.server, mesh.Config{})
	s.prologue()
	broken := s.breaks()
	s.holds()
	s.shows()
	s.repeats()
	s.adds()
	s.epilogue(broken)
}

func (s *story) prologue() {
	s.line("")
	s.line("sleep calls flaskapp, and flaskapp calls httpbin, as in the Istio walkthrough.")
	s.line("They make no spans. The sidecars do, that stand at each way in and out, and")
	s.line("that know nothing of each other but the headers of the requests:")
	s.line("")
	s.line("sleep > sleep-out > flaskapp-in > flaskapp > flaskapp-out > httpbin-in > httpbin")
	s.line("")
	for _, sidecar := range s.mesh.Sidecars() {
		s.line("%s  http://%s", s.paint(colourOf(sidecar.Name), pad(sidecar.Name, len("flaskapp-out"))), sidecar.Addr)
	}
	if !s.once {
		s.line("Jaeger UI     %s", s.paint(bold, s.server.URL))
	}
}

// breaks returns the first of the two traces.
func (s *story) breaks() jaeger.Trace {
	s.title("1  A service that does not relay the trace headers")
	url := s.mesh.URL("/fetch", "/headers")
	s.command("sleep fetch '" + url + "'")
	hops := s.hops(func() { s.mesh.Fetch(s, url) })
	require.Equal(s, hops[0].RequestID, hops[1].RequestID, "the request ID is that of sleep as far as flaskapp")
	require.NotEqual(s, hops[1].RequestID, hops[2].RequestID, "/fetch was to lose the request ID")
	require.Equal(s, hops[2].RequestID, hops[3].RequestID, "the request ID is another one from flaskapp on")
	first := s.await(hops[0].TraceID, `
sleep-out: GET, server
  flaskapp-in: GET, server
`)
	second := s.await(hops[2].TraceID, `
flaskapp-out: GET, server
  httpbin-in: GET, server
`)
	s.line("/fetch calls httpbin without the headers that it was called with. To the")
	s.line("sidecar on the way out that is a new request, and it starts a new trace:")
	s.line("")
	s.waterfall(first, second)
	s.link(first)
	s.link(second)
	s.line("request ID  %s up to flaskapp", hops[0].RequestID)
	s.line("            %s from there on", hops[2].RequestID)
	s.rest = second.ID
	return first
}

func (s *story) holds() {
	s.title("2  The same call, with the headers relayed")
	url := s.mesh.URL("/fetch_with_trace", "/headers")
	s.command("sleep fetch '" + url + "'")
	hops := s.hops(func() { s.mesh.Fetch(s, url) })
	for _, hop := range hops {
		require.Equal(s, hops[0].RequestID, hop.RequestID, "the request ID is not relayed")
		require.Equal(s, hops[0].TraceID, hop.TraceID, "the trace breaks")
	}
	whole := s.await(hops[0].TraceID, `
sleep-out: GET, server
  flaskapp-in: GET, server
    flaskapp-out: GET, server
      httpbin-in: GET, server
`)
	s.line("/fetch_with_trace hands them on, and makes no span for it. One request, one")
	s.line("trace, each sidecar's span the child of the one before:")
	s.line("")
	s.waterfall(whole)
	s.link(whole)
	s.line("request ID  %s in all four access logs", hops[0].RequestID)
}

func (s *story) shows() {
	s.title("3  What flaskapp gets, and what httpbin gets")
	url := s.mesh.URL("/fetch_with_header", "/headers")
	s.command("sleep fetch -body '" + url + "'")
	var printed string
	hops := s.hops(func() { printed = s.mesh.Fetch(s, "-body", url) })
	var flaskapp map[string]string
	var httpbin struct{ Headers http.Header }
	answers := json.NewDecoder(strings.NewReader(printed))
	require.NoError(s, answers.Decode(&flaskapp), printed)
	require.NoError(s, answers.Decode(&httpbin), printed)

	for _, header := range []struct {
		name        string
		at1, at3    string
		explanation string
	}{
		{"X-Request-Id", hops[0].RequestID, hops[0].RequestID, "made by sleep-out, relayed"},
		{"X-B3-Traceid", hops[0].TraceID, hops[0].TraceID, "made by sleep-out, relayed"},
		{"X-B3-Spanid", hops[1].SpanID, hops[3].SpanID, "made by flaskapp-in, relayed; of httpbin-in at httpbin"},
	} {
		got, arrived := flaskapp[header.name], httpbin.Headers.Get(header.name)
		require.Equal(s, header.at1, got, "%s at flaskapp", header.name)
		require.Equal(s, header.at3, arrived, "%s at httpbin", header.name)
		s.line("%s  %s", pad(strings.ToLower(header.name), len("x-request-id")), header.explanation)
		s.line("  %s  %s", s.paint(colours["flaskapp"], "flaskapp"), got)
		s.line("  %s  %s", s.paint(colours["httpbin"], "httpbin "), arrived)
	}
}

func (s *story) repeats() {
	s.title("4  Many calls at once")
	url := s.mesh.URL("/fetch_with_trace", "/ip")
	s.command("sleep fetch -n 100 -c 8 '" + url + "'")
	before := len(s.mesh.HTTPBinIn.Hops())
	s.mesh.Fetch(s, "-n", "100", "-c", "8", url)
	require.EventuallyWithT(s, func(c *assert.CollectT) {
		for _, sidecar := range s.mesh.Sidecars() {
			assert.Len(c, sidecar.Hops(), before+calls, sidecar.Name)
		}
	}, patience, tick)
	requests := map[string]bool{}
	for _, hop := range s.mesh.HTTPBinIn.Hops()[before:] {
		s.await(hop.TraceID, `
sleep-out: GET, server
  flaskapp-in: GET, server
    flaskapp-out: GET, server
      httpbin-in: GET, server
`)
		requests[hop.RequestID] = true
	}
	require.Len(s, requests, calls, "each call has a request ID of its own")
	s.line("%d requests, %d whole traces.", calls, calls)
}

func (s *story) adds() {
	s.title("5  Services that make spans, too")
	pod := mesh.Pod{SDK: true}
	s.mesh = mesh.Start(s, s.server, mesh.Config{Sleep: pod, Flaskapp: pod, HTTPBin: pod})
	url := s.mesh.URL("/fetch_with_trace", "/headers")
	s.command("sleep fetch '" + url + "'")
	hops := s.hops(func() { s.mesh.Fetch(s, url) })
	both := s.await(hops[0].TraceID, `
sleep: GET, client
  sleep-out: GET, server
    flaskapp-in: GET, server
      flaskapp: GET /fetch_with_trace, server
        flaskapp: GET, client
          flaskapp-out: GET, server
            httpbin-in: GET, server
              httpbin: GET /headers, server
`)
	s.line("With OTEL_TRACES_EXPORTER=otlp in place of none, the services' spans stand")
	s.line("between the sidecars':")
	s.line("")
	s.waterfall(both)
	s.link(both)
}

func (s *story) epilogue(broken jaeger.Trace) {
	s.title("All of it was as it should be.")
	if s.once {
		return
	}
	s.line("all traces         %s/search?service=sleep-out", s.server.URL)
	s.line("/fetch's, compared %s/trace/%s...%s", s.server.URL, broken.ID, s.rest)
	s.line("more               curl '%s'", s.mesh.URL("/fetch_with_trace", "/anything"))
	s.line("")
	s.line("Ctrl-C ends it.")
}

// hops makes a call and returns what the sidecars log of it, in the order in
// which it passes them.
func (s *story) hops(call func()) []mesh.Hop {
	before := map[*mesh.Sidecar]int{}
	for _, sidecar := range s.mesh.Sidecars() {
		before[sidecar] = len(sidecar.Hops())
	}
	call()
	var hops []mesh.Hop
	require.EventuallyWithT(s, func(c *assert.CollectT) {
		hops = nil
		for _, sidecar := range s.mesh.Sidecars() {
			if logged := sidecar.Hops(); assert.Len(c, logged, before[sidecar]+1, sidecar.Name) {
				hops = append(hops, logged[len(logged)-1])
			}
		}
	}, patience, tick, "the call does not pass each sidecar once")
	return hops
}

// await waits until Jaeger has the trace with the ID, and it is this one.
func (s *story) await(id, tree string) jaeger.Trace {
	var trace jaeger.Trace
	require.EventuallyWithT(s, func(c *assert.CollectT) {
		var err error
		trace, _, err = s.server.Trace(id)
		assert.NoError(c, err)
		assert.Equal(c, tree, "\n"+trace.Tree())
	}, patience, tick)
	return trace
}

// link says where the trace is to be found.
func (s *story) link(trace jaeger.Trace) {
	if s.once {
		s.line("trace       %s", trace.ID)
		return
	}
	s.line("trace       %s/trace/%s", s.server.URL, trace.ID)
}
