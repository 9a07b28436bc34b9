package integration_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/process"
)

// atOnce is how many requests meet each trouble. What is leaked is leaked as
// often.
const atOnce = 8

// trouble is an upstream that misbehaves, and what the callers of flaskapp get
// of it.
type trouble struct {
	name string

	// upstream serves the trouble. begun is done when every caller has an
	// answer, or the beginning of one.
	upstream func(t *testing.T, begun *sync.WaitGroup) (url string)

	slow   bool // flaskapp runs out of time
	status int
	says   string
	cutOff bool // after the beginning of an answer
}

var troubles = []trouble{
	{
		name: "it refuses connections", status: 502, says: "connect: connection refused",
		upstream: func(t *testing.T, _ *sync.WaitGroup) string { return "http://" + process.FreeAddr(t) },
	},
	{
		name: "it hangs up before it answers", status: 502, says: "connection reset by peer",
		upstream: func(t *testing.T, _ *sync.WaitGroup) string {
			return serve(t, resetting("", nil))
		},
	},
	{
		name: "it hangs up early in the body", status: 502, says: "unexpected EOF",
		upstream: func(t *testing.T, _ *sync.WaitGroup) string {
			return serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "1000")
				_, _ = io.WriteString(w, "0123456789")
			})
		},
	},
	{
		name: "it resets the connection late in the body", status: 200, cutOff: true,
		upstream: func(t *testing.T, begun *sync.WaitGroup) string {
			return serve(t, resetting("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 100_000), begun))
		},
	},
	{
		name: "it trickles a byte a second", status: 504, says: "context deadline exceeded (FETCH_TIMEOUT)", slow: true,
		upstream: func(t *testing.T, _ *sync.WaitGroup) string {
			return serve(t, func(w http.ResponseWriter, r *http.Request) {
				for {
					_, _ = io.WriteString(w, "x")
					_ = http.NewResponseController(w).Flush()
					select {
					case <-time.After(time.Second):
					case <-r.Context().Done():
						return
					}
				}
			})
		},
	},
	{
		name: "it never answers", status: 504, says: "context deadline exceeded (FETCH_TIMEOUT)", slow: true,
		upstream: func(t *testing.T, _ *sync.WaitGroup) string {
			return serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		},
	},
	{
		name: "it answers with 1 MB of headers", status: 502, says: "server response headers exceeded 65536 bytes",
		upstream: func(t *testing.T, _ *sync.WaitGroup) string {
			return serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for i := range 1000 {
					w.Header().Set(fmt.Sprint("X-Bomb-", i), strings.Repeat("x", 1000))
				}
			})
		},
	},
	{
		name: "it announces more than may be fetched", status: 502, says: "answer is larger than 1000000 bytes (FETCH_MAX_BYTES)",
		upstream: func(t *testing.T, _ *sync.WaitGroup) string {
			return serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "1000001")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
		},
	},
	{
		name: "it answers without end", status: 200, cutOff: true,
		upstream: func(t *testing.T, _ *sync.WaitGroup) string {
			return serve(t, func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					_, _ = io.WriteString(w, strings.Repeat("x", 1000))
				}
			})
		},
	},
	{
		name: "it redirects in a loop", status: 502, says: "more than 10 redirects (FETCH_MAX_REDIRECTS)",
		upstream: func(t *testing.T, _ *sync.WaitGroup) string {
			return serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) })
		},
	},
	{
		name: "it redirects to a metadata address", status: 403, says: "169.254.169.254: a cloud's metadata address, which is never allowed",
		upstream: func(t *testing.T, _ *sync.WaitGroup) string {
			return serve(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
			})
		},
	},
}

// serve serves h until the test ends. By then nobody may wait for it.
func serve(t *testing.T, h http.HandlerFunc) (url string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		closed := make(chan struct{})
		go func() {
			s.Close()
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(patience):
			assert.Fail(t, "a fetch has not ended")
			s.CloseClientConnections()
		}
	})
	return s.URL
}

// resetting is a handler that writes raw and resets the connection, once
// everybody has begun.
func resetting(raw string, begun *sync.WaitGroup) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, raw)
		if begun != nil {
			begun.Wait()
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// answer is what a caller gets.
type answer struct {
	status int
	body   string
	err    error // of the call or within the body
}

// get calls the URL with the request ID, and begun once there is an answer.
func get(ctx context.Context, client *http.Client, url, id string, begun func()) answer {
	begun = sync.OnceFunc(begun)
	defer begun()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{err: err}
	}
	r.Header.Set("X-Request-Id", id)
	res, err := client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = res.Body.Close() }()
	first := make([]byte, 1)
	n, err := io.ReadFull(res.Body, first)
	begun()
	if errors.Is(err, io.EOF) {
		return answer{status: res.StatusCode}
	}
	rest, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, string(first[:n]) + string(rest), err}
}

// modes are the two ways in which the services are traced.
var modes = []struct {
	name string
	env  string
}{
	{"services that relay", "OTEL_TRACES_EXPORTER=none"},
	{"services that make spans", "OTEL_TRACES_EXPORTER=console"},
}

func TestUpstreamThatMisbehaves(t *testing.T) {
	process.NeedOpen(t)
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			s := start(t, mode.env, "FETCH_MAX_BYTES=1000000", "FETCH_TIMEOUT=1h")
			hasty, hastyURL := listen(t, "flaskapp", append(s.env, "FETCH_TIMEOUT=500ms"))
			fresh := goroutines(t, s)
			edge, edgeURL := listen(t, "flaskapp", s.env)
			works(t, s, s.flaskappURL)
			works(t, s, hastyURL)
			patientOpen, hastyOpen := s.flaskapp.Open(t), hasty.Open(t)

			for _, tt := range troubles {
				t.Run(tt.name, func(t *testing.T) {
					app, fetch := s.flaskapp, s.flaskappURL+"/fetch_with_trace?url="
					if tt.slow {
						app, fetch = hasty, hastyURL+"/fetch_with_trace?url="
					}
					before := app.Open(t)
					t.Run("and the caller is told", func(t *testing.T) { tt.meet(t, app, fetch) })
					closes(t, app, before)
					t.Run("and the caller of another service is told", func(t *testing.T) {
						tt.meet(t, app, edgeURL+"/fetch_with_trace?url="+fetch)
					})
					works(t, s, strings.TrimSuffix(fetch, "/fetch_with_trace?url="))
				})
			}

			edge.Stop(t)
			closes(t, s.flaskapp, patientOpen)
			closes(t, hasty, hastyOpen)
			for _, p := range []*process.Process{s.flaskapp, hasty} {
				assert.Less(t, dumped(t, p), fresh+atOnce, "goroutines are left behind")
			}
		})
	}
}

// meet has callers meet the trouble, who are told of it by app. What fetch
// begins with is where they have it fetched.
func (tt trouble) meet(t *testing.T, app *process.Process, fetch string) {
	var begun sync.WaitGroup
	begun.Add(atOnce)
	url := fetch + tt.upstream(t, &begun)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}
	defer client.CloseIdleConnections()
	ids := make([]string, atOnce)
	answers := make([]answer, atOnce)
	var callers sync.WaitGroup
	for i := range atOnce {
		ids[i] = rand.Text()
		callers.Go(func() { answers[i] = get(t.Context(), client, url, ids[i], begun.Done) })
	}
	callers.Wait()
	for i, got := range answers {
		assert.Equal(t, tt.status, got.status, got.body)
		assert.Contains(t, got.body, tt.says)
		if tt.cutOff {
			require.ErrorIs(t, got.err, io.ErrUnexpectedEOF, "the caller can tell")
		} else {
			require.NoError(t, got.err)
		}
		logs(t, app, ids[i], tt.status)
	}
}

func TestCallerThatGoesAway(t *testing.T) {
	process.NeedOpen(t)
	endless := strings.Repeat("x", 100_000)
	for _, tt := range []struct {
		name     string
		upstream func(w http.ResponseWriter)
		status   int
	}{
		{"while it waits for an answer", func(http.ResponseWriter) {}, 499},
		{"while it reads the answer", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, endless)
			_ = http.NewResponseController(w).Flush()
		}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, "OTEL_TRACES_EXPORTER=none", "FETCH_TIMEOUT=1h")
			works(t, s, s.flaskappURL)
			before := s.flaskapp.Open(t)
			t.Run("and its fetch ends", func(t *testing.T) {
				entered, left := make(chan struct{}, atOnce), make(chan struct{}, atOnce)
				upstream := serve(t, func(w http.ResponseWriter, r *http.Request) {
					tt.upstream(w)
					entered <- struct{}{}
					<-r.Context().Done()
					left <- struct{}{}
				})
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				ctx, leave := context.WithCancel(t.Context())
				var begun, callers sync.WaitGroup
				begun.Add(atOnce)
				for i := range atOnce {
					callers.Go(func() {
						got := get(ctx, client, s.flaskappURL+"/fetch?url="+upstream, fmt.Sprint("gone ", i), begun.Done)
						assert.ErrorIs(t, got.err, context.Canceled)
					})
				}
				for range atOnce {
					receive(t, entered)
				}
				if tt.status == http.StatusOK {
					begun.Wait()
				}
				leave()
				callers.Wait()
				for i := range atOnce {
					receive(t, left)
					logs(t, s.flaskapp, fmt.Sprint("gone ", i), tt.status)
				}
			})
			closes(t, s.flaskapp, before)
			works(t, s, s.flaskappURL)
		})
	}
}

func TestCallerThatSendsTooManyHeaders(t *testing.T) {
	s := start(t, "OTEL_TRACES_EXPORTER=none")
	arrived := make(chan http.Header, 1)
	upstream := serve(t, func(_ http.ResponseWriter, r *http.Request) { arrived <- r.Header })
	hop := s.flaskappURL + "/fetch_with_trace?url="
	call := func(url string, header http.Header) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		r.Header = header
		conn, err := net.Dial("tcp", r.URL.Host)
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		go func() { _ = r.Write(conn) }() // it need not be read to its end
		res, err := http.ReadResponse(bufio.NewReader(conn), r)
		require.NoError(t, err)
		_ = res.Body.Close()
		return res.StatusCode
	}
	families := []string{"X-Request-Id", "B3", "Tracestate", "X-Ot-Span-Context", "End-User"}
	sized := func(bytes int) http.Header {
		h := http.Header{"Traceparent": {"00-463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-01"}, "Other": {strings.Repeat("x", bytes)}}
		for _, name := range families {
			h.Set(name, strings.Repeat("x", bytes))
		}
		return h
	}

	t.Run("a family above 8 KiB goes no further", func(t *testing.T) {
		h := sized(8<<10 + 1)
		require.Equal(t, http.StatusOK, call(hop+hop+hop+upstream, h))
		got := <-arrived
		for _, name := range append(families, "Other") {
			assert.NotContains(t, got, name)
		}
		assert.Equal(t, h["Traceparent"], got["Traceparent"], "without its state")
	})
	t.Run("three services on, it is what the caller sent", func(t *testing.T) {
		h := sized(8000)
		require.Equal(t, http.StatusOK, call(hop+hop+hop+upstream, h))
		got := <-arrived
		for _, name := range families {
			assert.Equal(t, h[name], got[name], name)
		}
		assert.NotContains(t, got, "Other")
	})
	t.Run("1 MB is refused", func(t *testing.T) {
		assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, call(hop+upstream, sized(1<<20/6)))
	})
	works(t, s, s.flaskappURL)
}

func TestRequestsUnderWaySurviveSIGTERM(t *testing.T) {
	const callers = 32
	for _, tt := range []struct {
		name      string
		keepAlive bool
		delay     time.Duration
	}{
		{"each over a connection of its own", false, 0},
		{"over connections that are kept", true, 0},
		{"and no other fails, if it says in time that it is not ready", true, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, "OTEL_TRACES_EXPORTER=none", "SHUTDOWN_DELAY="+tt.delay.String())

			// Upstream sees what flaskapp has taken. From some time on it holds
			// all of it.
			var mu sync.Mutex
			taken := map[string]bool{}
			held, release := make(chan struct{}, callers), make(chan struct{})
			upstream := serve(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				taken[r.Header.Get("X-Request-Id")] = true
				hold := len(taken) > 10*callers
				mu.Unlock()
				if hold {
					select {
					case held <- struct{}{}:
					default:
					}
					<-release
				}
				_, _ = io.WriteString(w, "whole")
			})

			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers, DisableKeepAlives: !tt.keepAlive}}
			defer client.CloseIdleConnections()
			stop := make(chan struct{})
			answers := map[string]answer{}
			var load sync.WaitGroup
			for i := range callers {
				load.Go(func() {
					for j := 0; ; j++ {
						select {
						case <-stop:
							return
						default:
						}
						id := fmt.Sprintf("%d-%d", i, j)
						got := get(t.Context(), client, s.flaskappURL+"/fetch_with_trace?url="+upstream, id, func() {})
						mu.Lock()
						answers[id] = got
						mu.Unlock()
						if got.err != nil {
							return
						}
					}
				})
			}
			for range callers {
				receive(t, held)
			}
			s.flaskapp.Signal(t, syscall.SIGTERM)
			s.flaskapp.Line(t, func(line string) (string, bool) { return line, strings.Contains(line, `"msg":"stopping"`) })
			close(release)
			if tt.delay > 0 {
				require.Eventually(t, func() bool {
					res, err := http.Get(s.flaskappURL + "/readyz")
					if err != nil {
						return false
					}
					_ = res.Body.Close()
					return res.StatusCode == http.StatusServiceUnavailable
				}, patience, time.Millisecond)
				close(stop)
			}
			load.Wait()
			require.NoError(t, s.flaskapp.Wait(t), "all that it took is answered")

			finished, refused := 0, 0
			for id, got := range answers {
				if taken[id] || got.err == nil {
					assert.Equal(t, answer{status: http.StatusOK, body: "whole"}, got, "request %s was taken", id)
					finished++
					continue
				}
				refused++
			}
			assert.Greater(t, finished, 10*callers)
			if tt.delay > 0 {
				assert.Zero(t, refused)
			}
			t.Logf("%d requests answered, %d came when nobody listened", finished, refused)
		})
	}
}

// works makes a request through the flaskapp.
func works(t *testing.T, s *services, flaskapp string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		got := get(t.Context(), client, flaskapp+"/fetch_with_trace?url="+s.httpbinURL+"/headers", "later", func() {})
		assert.NoError(c, got.err)
		assert.Equal(c, http.StatusOK, got.status, got.body)
		assert.Contains(c, got.body, `"later"`)
	}, patience, 50*time.Millisecond)
}

// receive waits for what must come.
func receive(t *testing.T, from <-chan struct{}) {
	t.Helper()
	select {
	case <-from:
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
	}
}

// closes waits until the program has closed what it has opened since. It keeps
// idle connections for up to two minutes: also one whose dial ended after the
// call that it was for.
func closes(t *testing.T, p *process.Process, since process.Open) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		open := p.Open(t)
		assert.LessOrEqual(c, open.Files, since.Files, "files")
		assert.LessOrEqual(c, open.Sockets, since.Sockets, "sockets")
	}, patience, 20*time.Millisecond)
}

// logs waits for the line of the request with the ID in the program's log.
func logs(t *testing.T, p *process.Process, id string, status int) {
	t.Helper()
	line := p.Line(t, func(line string) (string, bool) {
		return line, strings.Contains(line, `"msg":"request"`) && strings.Contains(line, `"request_id":"`+id+`"`)
	})
	assert.Contains(t, line, fmt.Sprintf(`"status":%d`, status))
}

// goroutines is how many a flaskapp has that has served one request.
func goroutines(t *testing.T, s *services) int {
	t.Helper()
	p, url := listen(t, "flaskapp", s.env)
	works(t, s, url)
	return dumped(t, p)
}

var goroutine = regexp.MustCompile(`(?m)^goroutine [1-9][0-9]* `)

// dumped ends the program and returns how many goroutines it had, of which Go
// then tells.
func dumped(t *testing.T, p *process.Process) int {
	t.Helper()
	p.Signal(t, syscall.SIGQUIT)
	require.Error(t, p.Wait(t))
	n := len(goroutine.FindAllString(p.Output(), -1))
	require.NotZero(t, n)
	return n
}
