package integration_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/envoy"
	"github.com/tracebaton/tracebaton/integration/process"
)

// What docs/headers.md says of calls that are more than a request and an answer.
// A caller's sidecar stands before the server's.
func TestCalls(t *testing.T) {
	for _, binary := range envoy.NeedAll(t) {
		for format, tracer := range formats {
			t.Run(binary.Version+" in "+format, func(t *testing.T) {
				t.Run("Envoy's retries are spans of the server's side by side below one of the caller's", func(t *testing.T) {
					var tries atomic.Int32
					ids := make(chan string, 3)
					p := newPath(t, binary, tracer, envoy.Listener{Retries: 2}, func(w http.ResponseWriter, r *http.Request) {
						ids <- r.Header.Get("X-Request-Id")
						if tries.Add(1) < 3 {
							w.WriteHeader(http.StatusServiceUnavailable)
						}
					})
					require.Equal(t, http.StatusOK, p.get(t).StatusCode)
					spans := p.spans(t)
					require.Equal(t, "4, 3 of them side by side", shapes(spans))
					require.Equal(t, map[string]int{"client": 1, "server": 3}, kinds(spans))
					first := <-ids
					require.NotEmpty(t, first)
					require.Equal(t, []string{first, first}, []string{<-ids, <-ids}, "one request ID")
				})

				t.Run("a call that Envoy gives up has both spans", func(t *testing.T) {
					done := make(chan struct{})
					p := newPath(t, binary, tracer, envoy.Listener{Timeout: "0.1s"}, func(_ http.ResponseWriter, r *http.Request) {
						<-r.Context().Done()
						close(done)
					})
					require.Equal(t, http.StatusGatewayTimeout, p.get(t).StatusCode)
					<-done
					require.Equal(t, "2 in a chain", shapes(p.spans(t)))
				})

				t.Run("a WebSocket's handshake carries the headers", func(t *testing.T) {
					arrived := make(chan http.Header, 1)
					p := newPath(t, binary, tracer, envoy.Listener{}, func(w http.ResponseWriter, r *http.Request) {
						arrived <- r.Header
						conn, _, err := w.(http.Hijacker).Hijack()
						if assert.NoError(t, err) {
							_, err = fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
							assert.NoError(t, err)
							assert.NoError(t, conn.Close())
						}
					})
					require.Equal(t, "HTTP/1.1 101 Switching Protocols", p.upgrade(t))
					h := <-arrived
					require.NotEmpty(t, h.Get("X-Request-Id"))
					require.NotEmpty(t, h.Get("X-B3-Traceid")+h.Get("Traceparent"))
					require.Equal(t, "2 in a chain", shapes(p.spans(t)))
				})

				t.Run("a route takes the request ID away, and not the trace headers, which are written after it", func(t *testing.T) {
					arrived := make(chan http.Header, 1)
					p := newPath(t, binary, tracer, envoy.Listener{LateRemove: []string{"x-request-id", "x-b3-traceid", "traceparent"}}, func(_ http.ResponseWriter, r *http.Request) {
						arrived <- r.Header
					})
					require.Equal(t, http.StatusOK, p.get(t).StatusCode)
					h := <-arrived
					require.Empty(t, h.Get("X-Request-Id"))
					require.NotEmpty(t, h.Get("X-B3-Traceid")+h.Get("Traceparent"))
					require.Equal(t, "2 in a chain", shapes(p.spans(t)))
				})

				t.Run("a call that the server's sidecar refuses has both spans", func(t *testing.T) {
					p := newPath(t, binary, tracer, envoy.Listener{Inbound: true, Filters: []map[string]any{refuse}}, func(http.ResponseWriter, *http.Request) {
						assert.Fail(t, "the server is called")
					})
					require.Equal(t, http.StatusForbidden, p.get(t).StatusCode)
					require.Equal(t, "2 in a chain", shapes(p.spans(t)))
				})

				t.Run("a call that the caller's sidecar aborts has the caller's span alone", func(t *testing.T) {
					p := newPath(t, binary, tracer, envoy.Listener{Filters: []map[string]any{abort}}, func(http.ResponseWriter, *http.Request) {
						assert.Fail(t, "the server is called")
					})
					require.Equal(t, http.StatusServiceUnavailable, p.get(t).StatusCode)
					require.Equal(t, map[string]int{"client": 1}, kinds(p.spans(t)))
				})

				t.Run("without context propagation a route takes away what the caller sent", func(t *testing.T) {
					arrived := make(chan http.Header, 1)
					p := newPath(t, binary, tracer, envoy.Listener{
						NoContextPropagation: true, LateRemove: []string{"x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "traceparent", "tracestate"},
					}, func(_ http.ResponseWriter, r *http.Request) {
						arrived <- r.Header
					})
					require.Equal(t, http.StatusOK, p.get(t,
						"x-b3-traceid: T", "x-b3-spanid: S", "x-b3-sampled: 1", "traceparent: 00-T-S-01", "tracestate: a=1").StatusCode)
					for name := range <-arrived {
						require.NotRegexp(t, `(?i)^(x-b3-.*|trace.*|x-request-id)$`, name)
					}
					traces := map[string]string{}
					for _, s := range p.spans(t) {
						traces[s.Kind] = s.Trace
					}
					require.Equal(t, symbols["T"], traces["client"], "its own span is in the caller's trace all the same")
					require.NotEqual(t, symbols["T"], traces["server"])
				})

				t.Run("without context propagation each span is a trace, and the request ID travels", func(t *testing.T) {
					arrived := make(chan http.Header, 1)
					p := newPath(t, binary, tracer, envoy.Listener{NoContextPropagation: true}, func(_ http.ResponseWriter, r *http.Request) {
						arrived <- r.Header
					})
					require.Equal(t, http.StatusOK, p.get(t).StatusCode)
					h := <-arrived
					require.NotEmpty(t, h.Get("X-Request-Id"))
					require.Empty(t, h.Get("X-B3-Traceid")+h.Get("Traceparent"))
					require.Equal(t, "1 in a chain, 1 in a chain", shapes(p.spans(t)))
				})
			})
		}
	}
}

// refuse is what an AuthorizationPolicy that denies everything makes.
var refuse = map[string]any{
	"name": "envoy.filters.http.rbac",
	"typed_config": map[string]any{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
		"rules": map[string]any{
			"action": "DENY",
			"policies": map[string]any{
				"all": map[string]any{"permissions": []any{map[string]any{"any": true}}, "principals": []any{map[string]any{"any": true}}},
			},
		},
	},
}

// abort is what the fault of deploy/istio/route-abort.yaml makes, of all calls.
var abort = map[string]any{
	"name": "envoy.filters.http.fault",
	"typed_config": map[string]any{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
		"abort": map[string]any{"http_status": 503, "percentage": map[string]any{"numerator": 100}},
	},
}

// path is a way to a server through two sidecars.
type path struct {
	envoy     *envoy.Proxy
	collector *envoy.Collector
}

// newPath starts the sidecars with the options. The filters among them are for the
// caller's, or the server's if they are said to be Inbound.
func newPath(t *testing.T, binary envoy.Binary, tracer envoy.Tracer, options envoy.Listener, server http.HandlerFunc) *path {
	t.Helper()
	s := httptest.NewServer(server)
	t.Cleanup(s.Close)
	p := &path{collector: envoy.Collect(t)}
	in, out := options, options
	if options.Inbound {
		out.Inbound, out.Filters = false, nil
	} else {
		in.Filters = nil
	}
	in.Name, in.Addr, in.Upstream, in.Inbound, in.Retries, in.Timeout = "in", process.FreeAddr(t), s.Listener.Addr().String(), true, 0, ""
	out.Name, out.Upstream = "out", in.Addr
	in.Tracer, out.Tracer = tracer, tracer
	in.Operation, out.Operation = "call", "call"
	p.envoy = envoy.Start(t, binary, envoy.Config{
		Service: "sidecar", Listeners: []envoy.Listener{in, out}, Zipkin: p.collector.Addr, OTLP: p.collector.Addr,
	})
	return p
}

func (p *path) get(t *testing.T, lines ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.envoy.Addr("out"), nil)
	require.NoError(t, err)
	for _, line := range lines {
		name, value := split(line)
		req.Header.Add(name, expand(value))
	}
	resp, err := (&http.Client{Timeout: patience}).Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp
}

// upgrade asks for a WebSocket, and returns the answer's first line.
func (p *path) upgrade(t *testing.T) string {
	t.Helper()
	conn, err := net.Dial("tcp", p.envoy.Addr("out"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	require.NoError(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}

// spans are those of the call, all of them.
func (p *path) spans(t *testing.T) []envoy.Span {
	t.Helper()
	p.envoy.Settle(t)
	spans, err := p.collector.Take()
	require.NoError(t, err)
	return spans
}

func kinds(spans []envoy.Span) map[string]int {
	n := map[string]int{}
	for _, s := range spans {
		n[s.Kind]++
	}
	return n
}
