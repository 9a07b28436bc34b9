package integration_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/jaeger"
)

const whole = `
sleep: GET, client
  flaskapp: GET /fetch_with_trace, server
    flaskapp: GET, client
      httpbin: GET /ip, server
`

// requestID is where a span says which request it belongs to.
const requestID = "http.request.header.x-request-id"

func TestTracesInJaeger(t *testing.T) {
	jaeger.Need(t)
	for _, exporter := range []string{"otlp", "jaeger"} {
		t.Run(exporter, func(t *testing.T) {
			t.Run("a fetch that relays is one whole trace", func(t *testing.T) {
				server := jaeger.Start(t, "")
				s := start(t, server.Env(exporter)...)
				s.sleep(t, "-H", "x-request-id: walkthrough-1", s.through("/fetch_with_trace", "/ip"))
				s.stop(t)

				trace := one(t, find(t, server, "sleep"))
				require.Equal(t, whole, "\n"+trace.Tree())
				want := map[string]map[string]any{
					"sleep: GET, client": {
						"http.request.method":       "GET",
						"http.response.status_code": 200.0,
						"url.full":                  s.through("/fetch_with_trace", "/ip"),
						"server.address":            "127.0.0.1",
						"server.port":               port(t, s.flaskappURL),
					},
					"flaskapp: GET /fetch_with_trace, server": {
						"http.request.method":       "GET",
						"http.response.status_code": 200.0,
						"http.route":                "/fetch_with_trace",
						"url.path":                  "/fetch_with_trace",
						"url.scheme":                "http",
						"server.address":            "127.0.0.1",
						"server.port":               port(t, s.flaskappURL),
					},
					"flaskapp: GET, client": {
						"http.request.method":       "GET",
						"http.response.status_code": 200.0,
						"url.full":                  s.httpbinURL + "/ip",
						"server.address":            "127.0.0.1",
						"server.port":               port(t, s.httpbinURL),
					},
					"httpbin: GET /ip, server": {
						"http.request.method":       "GET",
						"http.response.status_code": 200.0,
						"http.route":                "/ip",
						"url.path":                  "/ip",
						"url.scheme":                "http",
						"server.address":            "127.0.0.1",
						"server.port":               port(t, s.httpbinURL),
					},
				}
				for _, span := range trace.Spans {
					for name, value := range want[span.String()] {
						assert.Equal(t, value, span.Tags[name], "%s of %s", name, span)
					}
					assert.Equal(t, `["walkthrough-1"]`, span.Tags[requestID], span)
					assert.Empty(t, span.Warnings, span)
				}
			})

			t.Run("a fetch that does not relay breaks into two traces", func(t *testing.T) {
				server := jaeger.Start(t, "")
				s := start(t, server.Env(exporter)...)
				s.sleep(t, s.through("/fetch", "/ip"))
				s.stop(t)

				first, second := one(t, find(t, server, "sleep")), one(t, find(t, server, "httpbin"))
				require.Equal(t, `
sleep: GET, client
  flaskapp: GET /fetch, server
`, "\n"+first.Tree())
				require.Equal(t, `
flaskapp: GET, client
  httpbin: GET /ip, server
`, "\n"+second.Tree())
				require.NotEqual(t, first.ID, second.ID)
				require.Len(t, find(t, server, "flaskapp"), 2)
			})

			t.Run("a hundred calls, eight at a time, are a hundred whole traces", func(t *testing.T) {
				server := jaeger.Start(t, "")
				s := start(t, server.Env(exporter)...)
				s.sleep(t, "-n", "100", "-c", "8", s.through("/fetch_with_trace", "/ip"))
				s.stop(t)

				traces := find(t, server, "httpbin")
				require.Len(t, traces, 100)
				requests := map[any]bool{}
				for _, trace := range traces {
					require.Equal(t, whole, "\n"+trace.Tree())
					id := trace.Spans[0].Tags[requestID]
					require.NotEmpty(t, id)
					requests[id] = true
					for _, span := range trace.Spans {
						require.Equal(t, id, span.Tags[requestID], span)
					}
				}
				require.Len(t, requests, 100, "each call has a request ID of its own")
			})

			t.Run("an unsampled request leaves nothing and reaches the end with its headers", func(t *testing.T) {
				server := jaeger.Start(t, "")
				s := start(t, server.Env(exporter)...)
				sent := map[string]string{
					"X-B3-Traceid": "463ac35c9f6413ad48485a3953bb6124",
					"X-B3-Spanid":  "a2fb4a1d1a96d312",
					"X-B3-Sampled": "0",
					"X-Request-Id": "unsampled-1",
				}
				arrived := s.echo(t, sent)
				s.stop(t)

				for name, value := range sent {
					assert.Equal(t, []string{value}, arrived[name], name)
				}
				require.Empty(t, find(t, server, "flaskapp"))
				require.Empty(t, find(t, server, "httpbin"))
			})

			t.Run("a debug request is kept by services that keep nothing", func(t *testing.T) {
				server := jaeger.Start(t, "")
				s := start(t, append(server.Env(exporter), "OTEL_TRACES_SAMPLER=parentbased_always_off")...)
				s.sleep(t, s.through("/fetch_with_trace", "/ip"))
				arrived := s.echo(t, map[string]string{
					"X-B3-Traceid": "463ac35c9f6413ad48485a3953bb6124",
					"X-B3-Spanid":  "a2fb4a1d1a96d312",
					"X-B3-Flags":   "1",
				})
				s.stop(t)

				assert.Equal(t, []string{"463ac35c9f6413ad48485a3953bb6124"}, arrived["X-B3-Traceid"])
				assert.Equal(t, []string{"1"}, arrived["X-B3-Flags"])
				trace := one(t, find(t, server, "flaskapp"))
				require.Equal(t, "463ac35c9f6413ad48485a3953bb6124", trace.ID)
				require.Equal(t, `
flaskapp: GET /fetch_with_trace, server, parent missing
  flaskapp: GET, client
    httpbin: GET /headers, server
`, "\n"+trace.Tree(), "the caller sends no spans")
				require.Empty(t, find(t, server, "sleep"))
			})

			t.Run("a service that is told to stop loses no span", func(t *testing.T) {
				server := jaeger.Start(t, "")
				// Nothing but the end sends a span: none is due within an hour.
				s := start(t, append(server.Env(exporter), "OTEL_BSP_SCHEDULE_DELAY=3600000")...)
				s.sleep(t, "-n", "20", s.through("/fetch_with_trace", "/ip"))

				// One more is under way when flaskapp is told.
				called, answer := make(chan struct{}), make(chan struct{})
				upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					close(called)
					<-answer
				}))
				defer upstream.Close()
				release := sync.OnceFunc(func() { close(answer) })
				defer release()
				last := s.sleeping(t, s.env, s.flaskappURL+"/fetch_with_trace?url="+upstream.URL)
				select {
				case <-called:
				case <-time.After(patience):
					require.FailNow(t, "the upstream is not called")
				}
				require.Empty(t, find(t, server, "flaskapp"), "the test proves nothing: spans were sent before the end")
				s.flaskapp.Signal(t, syscall.SIGTERM)
				refuses(t, s.flaskappURL)
				release()
				require.NoError(t, last.Wait(t), "the call that was under way")
				require.NoError(t, s.flaskapp.Wait(t))
				s.httpbin.Stop(t)

				traces := find(t, server, "sleep")
				require.Len(t, traces, 21)
				unfinished := 0
				for _, trace := range traces {
					if len(trace.Spans) == 3 { // the upstream makes no span
						unfinished++
						require.Equal(t, `
sleep: GET, client
  flaskapp: GET /fetch_with_trace, server
    flaskapp: GET, client
`, "\n"+trace.Tree())
						continue
					}
					require.Equal(t, whole, "\n"+trace.Tree())
				}
				require.Equal(t, 1, unfinished)
			})
		})
	}
}

// TestTracesOnDisk is about the configuration with badger.
func TestTracesOnDisk(t *testing.T) {
	jaeger.Need(t)
	for name, end := range map[string]func(testing.TB, *jaeger.Server){
		"traces survive a restart": func(t testing.TB, s *jaeger.Server) { s.Stop(t) },
		"traces survive a crash":   func(_ testing.TB, s *jaeger.Server) { s.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			server := jaeger.Start(t, t.TempDir())
			s := start(t, server.Env("otlp")...)
			s.sleep(t, s.through("/fetch_with_trace", "/ip"))
			s.stop(t)
			before := one(t, find(t, server, "sleep"))
			require.Equal(t, whole, "\n"+before.Tree())

			end(t, server)
			server.Restart(t)
			require.Equal(t, before, one(t, find(t, server, "sleep")))

			// And it still takes more.
			s = start(t, server.Env("otlp")...)
			s.sleep(t, s.through("/fetch_with_trace", "/ip"))
			s.stop(t)
			require.Len(t, find(t, server, "sleep"), 2)
		})
	}
}

// find returns the traces with a span of the service, once Jaeger has stored
// all that it was sent.
func find(t testing.TB, server *jaeger.Server, service string) []jaeger.Trace {
	t.Helper()
	server.Settle(t)
	traces, err := server.Find(service)
	require.NoError(t, err)
	return traces
}

func one(t testing.TB, traces []jaeger.Trace) jaeger.Trace {
	t.Helper()
	require.Len(t, traces, 1)
	return traces[0]
}

// echo calls httpbin through flaskapp with the headers, and returns those that
// httpbin got. The caller makes no spans: it is what a sidecar would be.
func (s *services) echo(t testing.TB, sent map[string]string) http.Header {
	t.Helper()
	args := []string{"-body"}
	for name, value := range sent {
		args = append(args, "-H", name+": "+value)
	}
	p := s.sleeping(t, []string{"OTEL_TRACES_EXPORTER=none"}, append(args, s.through("/fetch_with_trace", "/headers"))...)
	require.NoError(t, p.Wait(t))
	var got struct{ Headers http.Header }
	require.NoError(t, json.Unmarshal([]byte(p.Stdout()), &got), p.Stdout())
	return got.Headers
}

// refuses waits until nothing listens at the URL.
func refuses(t testing.TB, url string) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, patience, 20*time.Millisecond)
}

// port is the URL's, as it comes out of JSON.
func port(t testing.TB, rawURL string) float64 {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	n, err := strconv.Atoi(u.Port())
	require.NoError(t, err)
	return float64(n)
}
