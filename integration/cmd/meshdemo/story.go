package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/envoy"
	"github.com/tracebaton/tracebaton/integration/jaeger"
	"github.com/tracebaton/tracebaton/integration/mesh"
	"github.com/tracebaton/tracebaton/integration/process"
	"github.com/tracebaton/tracebaton/internal/paper"
)

const (
	patience = time.Minute // for spans and logs that must come
	tick     = 50 * time.Millisecond

	calls = 100 // of many
)

// whole is the trace of a request whose headers are relayed.
const whole = `
sleep.tracebaton: flaskapp:80/*, client
  flaskapp.tracebaton: flaskapp:80/*, server
    flaskapp.tracebaton: httpbin:8000/*, client
      httpbin.tracebaton: httpbin:8000/*, server
`

// story is what the demo tells. It fails where what it tells is not what
// happened.
type story struct {
	process.T
	paper.Paper
	server *jaeger.Server
	mesh   *mesh.Mesh
	pod    mesh.Pod // as all are
	binary envoy.Binary
	once   bool // it ends with the story: nobody can look at the UI or call

	rest string // ID of what breaks off a trace
}

func tell(t process.T, p paper.Paper, tracer envoy.Tracer, once bool) {
	jaeger.Need(t)
	s := &story{T: t, Paper: p, once: once, pod: mesh.Pod{Tracer: tracer}, binary: envoy.Need(t)}
	s.server = jaeger.Start(t, "")
	s.start()
	s.prologue()
	broken := s.breaks()
	s.holds()
	s.shows()
	s.repeats()
	s.adds()
	s.epilogue(broken)
}

// start starts the pods.
func (s *story) start() {
	s.mesh = mesh.Start(s, s.server, mesh.Config{Sleep: s.pod, Flaskapp: s.pod, HTTPBin: s.pod, Envoy: s.binary})
}

func (s *story) prologue() {
	s.Line("")
	s.Line("sleep calls flaskapp, and flaskapp calls httpbin, as in the Istio walkthrough.")
	s.Line("They make no spans. The Envoy beside each of them does (%s), for each way", s.binary.Version)
	s.Line("in and out, and one knows of another only what is in the request's headers:")
	s.Line("")
	s.Line("sleep > sleep-out > flaskapp-in > flaskapp > flaskapp-out > httpbin-in > httpbin")
	s.Line("")
	for _, sidecar := range s.mesh.Sidecars() {
		s.Line("%s  http://%s", s.Paint(paper.ColourOf(sidecar.Name), paper.Pad(sidecar.Name, len("flaskapp-out"))), sidecar.Addr)
	}
	if !s.once {
		s.Line("Jaeger UI     %s", s.Paint(paper.Bold, s.server.URL))
		s.Line("")
		s.Line("The commands are for another terminal, at the root of the repository.")
	}
}

// breaks returns the first of the two traces.
func (s *story) breaks() jaeger.Trace {
	s.Title("1  A service that does not relay the trace headers")
	url := s.mesh.URL("/fetch", "/headers")
	s.invite("", url)
	hops := s.hops(func() { s.mesh.Fetch(s, url) })
	require.Equal(s, hops[0].RequestID, hops[1].RequestID, "the request ID is that of sleep as far as flaskapp")
	require.NotEqual(s, hops[1].RequestID, hops[2].RequestID, "/fetch was to lose the request ID")
	require.Equal(s, hops[2].RequestID, hops[3].RequestID, "the request ID is another one from flaskapp on")
	first := s.await(hops[0].TraceID, `
sleep.tracebaton: flaskapp:80/*, client
  flaskapp.tracebaton: flaskapp:80/*, server
`)
	second := s.await(hops[2].TraceID, `
flaskapp.tracebaton: httpbin:8000/*, client
  httpbin.tracebaton: httpbin:8000/*, server
`)
	s.Line("/fetch calls httpbin without the headers that it was called with. To the")
	s.Line("sidecar on the way out that is a new request, and it starts a new trace:")
	s.Line("")
	s.waterfall(first, second)
	s.link(first)
	s.link(second)
	s.Line("request ID  %s up to flaskapp", hops[0].RequestID)
	s.Line("            %s from there on", hops[2].RequestID)
	s.rest = second.ID
	return first
}

func (s *story) holds() {
	s.Title("2  The same call, with the headers relayed")
	url := s.mesh.URL("/fetch_with_trace", "/headers")
	s.invite("", url)
	hops := s.hops(func() { s.mesh.Fetch(s, url) })
	for _, hop := range hops {
		require.Equal(s, hops[0].RequestID, hop.RequestID, "the request ID is not relayed")
		require.Equal(s, hops[0].TraceID, hop.TraceID, "the trace breaks")
	}
	trace := s.await(hops[0].TraceID, whole)
	s.Line("/fetch_with_trace relays them, and makes no span for it. One request, one")
	s.Line("trace, each span the child of the one before:")
	s.Line("")
	s.waterfall(trace)
	s.link(trace)
	s.Line("request ID  %s in all four access logs", hops[0].RequestID)
}

func (s *story) shows() {
	s.Title("3  What flaskapp gets, and what httpbin gets")
	url := s.mesh.URL("/fetch_with_header", "/headers")
	s.invite("-body ", url)
	var printed string
	hops := s.hops(func() { printed = s.mesh.Fetch(s, "-body", url) })
	var flaskapp map[string]string
	var httpbin struct{ Headers http.Header }
	answers := json.NewDecoder(strings.NewReader(printed))
	require.NoError(s, answers.Decode(&flaskapp), printed)
	require.NoError(s, answers.Decode(&httpbin), printed)

	for _, header := range s.headers(hops) {
		got, arrived := flaskapp[header.name], httpbin.Headers.Get(header.name)
		require.Equal(s, header.at1, got, "%s at flaskapp", header.name)
		require.Equal(s, header.at3, arrived, "%s at httpbin", header.name)
		s.Line("%s  %s", paper.Pad(strings.ToLower(header.name), len("x-request-id")), header.explanation)
		s.Line("  %s  %s", s.Paint(paper.ColourOf("flaskapp"), "flaskapp"), got)
		s.Line("  %s  %s", s.Paint(paper.ColourOf("httpbin"), "httpbin "), arrived)
	}
}

type header struct {
	name        string
	at1, at3    string // at flaskapp, at httpbin
	explanation string
}

// headers are those that flaskapp and httpbin must get of a request that passed
// the sidecars.
func (s *story) headers(hops []envoy.Hop) []header {
	const made, renewed = "made by sleep's Envoy, relayed", "made by flaskapp's Envoy, relayed; by httpbin's at httpbin"
	whole := s.await(hops[0].TraceID, whole)
	id, trace, at1, at3 := hops[0].RequestID, hops[0].TraceID, whole.Spans[1].ID, whole.Spans[3].ID
	headers := []header{{"X-Request-Id", id, id, made}}
	if s.pod.Tracer != envoy.OpenTelemetry {
		headers = append(headers,
			header{"X-B3-Traceid", trace, trace, made},
			header{"X-B3-Spanid", at1, at3, renewed},
			header{"X-B3-Parentspanid", whole.Spans[0].ID, whole.Spans[2].ID, "the span before"})
	}
	if s.pod.Tracer != envoy.Zipkin {
		headers = append(headers, header{"Traceparent", "00-" + trace + "-" + at1 + "-01", "00-" + trace + "-" + at3 + "-01", renewed})
	}
	return headers
}

func (s *story) repeats() {
	s.Title("4  Many calls at once")
	url := s.mesh.URL("/fetch_with_trace", "/ip")
	s.invite("-n 100 -c 8 ", url)
	before := len(s.mesh.HTTPBinIn.Hops())
	s.mesh.Fetch(s, "-n", "100", "-c", "8", url)
	require.EventuallyWithT(s, func(c *assert.CollectT) {
		for _, sidecar := range s.mesh.Sidecars() {
			assert.Len(c, sidecar.Hops(), before+calls, sidecar.Name)
		}
	}, patience, tick)
	requests := map[string]bool{}
	for _, hop := range s.mesh.HTTPBinIn.Hops()[before:] {
		s.await(hop.TraceID, whole)
		requests[hop.RequestID] = true
	}
	require.Len(s, requests, calls, "each call has a request ID of its own")
	s.Line("%d requests, %d whole traces.", calls, calls)
}

func (s *story) adds() {
	s.Title("5  Services that make spans, too")
	s.pod.SDK = true
	s.start()
	url := s.mesh.URL("/fetch_with_trace", "/headers")
	s.invite("", url)
	hops := s.hops(func() { s.mesh.Fetch(s, url) })
	both := s.await(hops[0].TraceID, `
sleep: GET, client
  sleep.tracebaton: flaskapp:80/*, client
    flaskapp.tracebaton: flaskapp:80/*, server
      flaskapp: GET /fetch_with_trace, server
        flaskapp: GET, client
          flaskapp.tracebaton: httpbin:8000/*, client
            httpbin.tracebaton: httpbin:8000/*, server
              httpbin: GET /headers, server
`)
	s.Line("With OTEL_TRACES_EXPORTER=otlp in place of none, the services' spans stand")
	s.Line("between the sidecars':")
	s.Line("")
	s.waterfall(both)
	s.link(both)
}

func (s *story) epilogue(broken jaeger.Trace) {
	s.Title("All of it was as it should be.")
	if s.once {
		return
	}
	s.Line("all traces         %s/search?service=sleep.tracebaton", s.server.URL)
	s.Line("/fetch's, compared %s/trace/%s...%s", s.server.URL, broken.ID, s.rest)
	s.Line("more               curl '%s'", s.mesh.URL("/fetch_with_trace", "/anything"))
	s.Line("")
	s.Line("Ctrl-C ends it.")
}

// invite says which URL sleep calls or, while the demo waits for Ctrl-C, how to
// have sleep fetch it in another terminal.
func (s *story) invite(flags, url string) {
	defer s.Line("")
	if s.once {
		s.Line("sleep calls %s", url)
		return
	}
	env := "OTEL_TRACES_EXPORTER=none"
	if s.pod.SDK {
		env = "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + s.server.OTLP
	}
	s.Command(env + " go run ./examples/sleep fetch " + flags + "'" + url + "'")
}

// hops makes a call and returns what the sidecars log of it, in the order in
// which it passes them.
func (s *story) hops(call func()) []envoy.Hop {
	before := map[*mesh.Sidecar]int{}
	for _, sidecar := range s.mesh.Sidecars() {
		before[sidecar] = len(sidecar.Hops())
	}
	call()
	var hops []envoy.Hop
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
		s.Line("trace       %s", trace.ID)
		return
	}
	s.Line("trace       %s/trace/%s", s.server.URL, trace.ID)
}
