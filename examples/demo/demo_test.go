package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

// page is what a command has printed so far.
type page struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newPage() *page { return &page{more: make(chan struct{}, 1)} }

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
	return p.text.Write(b)
}

func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// wait waits until the text is there.
func (p *page) wait(t *testing.T, text string) {
	t.Helper()
	for !strings.Contains(p.String(), text) {
		select {
		case <-p.more:
		case <-time.After(time.Minute):
			require.FailNow(t, "not printed", "%s\n%s", text, p)
		}
	}
}

func newDemo() (d *demo, stdout, stderr *page) {
	stdout, stderr = newPage(), newPage()
	return &demo{
		stdout:   stdout,
		stderr:   stderr,
		getenv:   func(string) string { return "" },
		patience: time.Minute,
		pause:    2 * time.Millisecond,
	}, stdout, stderr
}

func TestOnceTellsTheStory(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	d, stdout, stderr := newDemo()
	require.Equal(t, 0, d.run(t.Context(), []string{"-once"}), "%s", stderr)
	assert.Empty(t, stderr.String())

	// Ports, times and IDs differ from one run to the next.
	story := stdout.String()
	story = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(story, "ADDRESS")
	story = regexp.MustCompile(`[0-9a-f]{32}`).ReplaceAllString(story, "TRACE")
	story = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).ReplaceAllString(story, "REQUEST")
	story = regexp.MustCompile(`[ █]+\d+\.\d\d ms`).ReplaceAllString(story, " BAR")
	story = regexp.MustCompile(`\d+ of \d+ calls`).ReplaceAllString(story, "N of N calls")
	assert.NotContains(t, story, "$", "a command for what is gone")
	assert.Equal(t, `
  sleep calls flaskapp, and flaskapp calls httpbin, as in the Istio walkthrough.

  httpbin      http://ADDRESS
  flaskapp v1  http://ADDRESS
  flaskapp v2  http://ADDRESS

1  A service that does not relay the trace headers

  sleep calls http://flaskapp/fetch?url=http://httpbin:8000/headers

  /fetch calls httpbin without the headers that it was called with. One request,
  two traces, and nothing that joins them:

  sleep        GET BAR
  flaskapp v1  └ GET /fetch BAR

  flaskapp v1  GET BAR
  httpbin      └ GET /headers BAR

  trace       TRACE
  trace       TRACE
  request ID  REQUEST, of which httpbin saw nothing

2  The same call, with the headers relayed

  sleep calls http://flaskapp/fetch_with_trace?url=http://httpbin:8000/headers

  /fetch_with_trace relays them. One request, one trace:

  sleep        GET BAR
  flaskapp v2  └ GET /fetch_with_trace BAR
  flaskapp v2    └ GET BAR
  httpbin          └ GET /headers BAR

  trace       TRACE
  request ID  REQUEST, which httpbin saw as well

3  Two versions of flaskapp, in turn

  sleep calls http://flaskapp/env/version

  v1  in BAR, trace TRACE
  v2  in BAR, trace TRACE
  v1  in BAR, trace TRACE
  v2  in BAR, trace TRACE

4  The walkthrough's URL in a URL in a URL

  sleep calls http://flaskapp/fetch?url=http://flaskapp/fetch_with_trace?url=http://httpbin:8000/ip

  It breaks at /fetch, and from there on /fetch_with_trace keeps it together:

  sleep        GET BAR
  flaskapp v1  └ GET /fetch BAR

  flaskapp v1  GET BAR
  flaskapp v2  └ GET /fetch_with_trace BAR
  flaskapp v2    └ GET BAR
  httpbin          └ GET /ip BAR

  trace       TRACE
  trace       TRACE

5  Who loses the trace, by the spans alone

  flaskapp drops the trace on GET /fetch, to httpbin:
  N of N calls begin a new one. /fetch_with_trace passes it on.

All of it was as it should be.

`, story)
}

func TestOnceNoticesWhatIsBroken(t *testing.T) {
	without := func(headers ...string) func(http.Handler) http.Handler {
		return func(service http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for _, name := range headers {
					r.Header.Del(name)
				}
				service.ServeHTTP(w, r)
			})
		}
	}
	asIfAskedFor := func(asked, path string) func(http.Handler) http.Handler {
		return func(service http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == asked {
					r.URL.Path = path
				}
				service.ServeHTTP(w, r)
			})
		}
	}
	answering := func(path, body string) func(http.Handler) http.Handler {
		return func(service http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, path) {
					service.ServeHTTP(httptest.NewRecorder(), r)
					_, _ = io.WriteString(w, body)
					return
				}
				service.ServeHTTP(w, r)
			})
		}
	}
	ids := []string{"X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled", "Traceparent"}

	tests := []struct {
		name   string
		broken string // the service, or an instance
		how    func(http.Handler) http.Handler
		reason string
	}{
		{
			name:   "flaskapp does not relay where it should",
			broken: "flaskapp", how: asIfAskedFor("/fetch_with_trace", "/fetch"),
			reason: "the trace breaks: sleep sent trace ID",
		},
		{
			name:   "flaskapp relays where it should not",
			broken: "flaskapp", how: asIfAskedFor("/fetch", "/fetch_with_trace"),
			reason: "/fetch was to break the trace, but httpbin saw that of sleep",
		},
		{
			name:   "flaskapp does not get the trace",
			broken: "flaskapp", how: without(ids...),
			reason: "expected\n    sleep GET\n      flaskapp GET /fetch\n  but it is\n    sleep GET",
		},
		{
			name:   "flaskapp does not get the request ID",
			broken: "flaskapp", how: without("X-Request-Id"),
			reason: "the request ID is not relayed: sleep sent",
		},
		{
			name:   "httpbin gets another request ID",
			broken: "httpbin",
			how: func(service http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.Header.Set("X-Request-Id", "another")
					service.ServeHTTP(w, r)
				})
			},
			reason: `the request ID is not relayed: sleep sent`,
		},
		{
			name:   "the trace loses a parent",
			broken: "httpbin",
			how: func(service http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.Header.Set("X-B3-SpanId", "00000000000000aa")
					r.Header.Del("Traceparent")
					service.ServeHTTP(w, r)
				})
			},
			reason: "httpbin GET /headers (its parent is missing)",
		},
		{
			name:   "a version answers for the other",
			broken: "flaskapp v2", how: answering("/env/version", "v1"),
			reason: `the versions do not take turns: "v1" answered after "v1"`,
		},
		{
			name:   "the trace has another version than the one that answers",
			broken: "flaskapp v1", how: answering("/env/version", "v2"),
			reason: `the answer is that of v2, the trace says "v1"`,
		},
		{
			name:   "the UI does not have a service",
			broken: "ui", how: answering("/api/services", `{"data":["flaskapp","sleep"]}`),
			reason: `the UI knows the services ["flaskapp" "sleep"], not ["flaskapp" "httpbin" "sleep"]`,
		},
		{
			name:   "the UI does not have the whole trace",
			broken: "ui", how: answering("/api/traces/", `{"data":[{"spans":[{},{},{}]}]}`),
			reason: "the UI does not have the 4 spans of trace",
		},
		{
			name:   "the UI does not have a trace at all",
			broken: "ui", how: answering("/api/traces/", `{"data":[]}`),
			reason: "the UI does not have the 4 spans of trace",
		},
		{
			name:   "the UI draws another architecture",
			broken: "ui", how: answering("/api/dependencies", `{"data":[{"parent":"sleep","child":"flaskapp"}]}`),
			reason: `the UI's system architecture is ["sleep -> flaskapp"], not ["flaskapp -> httpbin" "sleep -> flaskapp"]`,
		},
		{
			name:   "a service is down",
			broken: "httpbin",
			how: func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(http.StatusServiceUnavailable)
				})
			},
			reason: "answered with status 503",
		},
		{
			name:   "another service answers",
			broken: "httpbin",
			how: func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(w, "<html>")
				})
			},
			reason: `httpbin was to answer with the headers it got, not with "<html>"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, stdout, stderr := newDemo()
			d.patience = time.Second // for what never comes
			d.front = func(instance string, service http.Handler) http.Handler {
				if strings.HasPrefix(instance, tt.broken) {
					return tt.how(service)
				}
				return service
			}
			assert.Equal(t, 1, d.run(t.Context(), []string{"-once"}))
			assert.Contains(t, stderr.String(), "demo: ")
			assert.Contains(t, stderr.String(), tt.reason)
			assert.NotContains(t, stdout.String(), "All of it")
		})
	}
}

func TestServesTheUIUntilItIsInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	d, stdout, stderr := newDemo()
	status := make(chan int, 1)
	go func() { status <- d.run(ctx, []string{"-listen", "127.0.0.1:0"}) }()
	stdout.wait(t, "Ctrl-C ends it.\n")

	links := regexp.MustCompile(`http://\S+/(trace/|search|dependencies)\S*`).FindAllString(stdout.String(), -1)
	require.Len(t, links, 8)
	for _, link := range links {
		res, err := http.Get(link) // #nosec G107 -- of this very test
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, http.StatusOK, res.StatusCode, link)
		assert.Contains(t, string(body), "jaeger-ui-root", link)
	}
	curl := regexp.MustCompile(`curl '(.*)'`).FindStringSubmatch(stdout.String())
	require.NotNil(t, curl)
	res, err := http.Get(curl[1])
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusOK, res.StatusCode)
	http.DefaultClient.CloseIdleConnections()

	interrupt()
	assert.Equal(t, 0, <-status)
	assert.Empty(t, stderr.String())
}

func TestLinkLeadsToTheUIWhereverItListens(t *testing.T) {
	tests := []struct {
		name, listen, link string
	}{
		{"at one address", "127.0.0.1:0", "http://127.0.0.1:"},
		{"at all addresses", ":0", "http://127.0.0.1:"},
		{"at all addresses of IPv4", "0.0.0.0:0", "http://127.0.0.1:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := serveUI(t.Context(), tt.listen, http.NotFoundHandler())
			require.NoError(t, err)
			defer u.stop()
			assert.True(t, strings.HasPrefix(u.url, tt.link), u.url)
			res, err := direct.Get(u.url)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
		})
	}
}

func TestFailureLeavesTheUIToLookAt(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	d, _, stderr := newDemo()
	d.front = func(string, http.Handler) http.Handler { return http.NotFoundHandler() }
	status := make(chan int, 1)
	go func() { status <- d.run(ctx, []string{"-listen", "127.0.0.1:0"}) }()
	stderr.wait(t, "shows what there is, until Ctrl-C.")
	assert.Contains(t, stderr.String(), "answered with status 404")
	interrupt()
	assert.Equal(t, 1, <-status)
}

func TestInterruptedStory(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	d, _, _ := newDemo()
	d.front = func(string, http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { interrupt() })
	}
	assert.Equal(t, 130, d.run(ctx, []string{"-once"}))
}

func TestNoProxyIsAskedForTheUI(t *testing.T) {
	// The environment's proxy is read once in a process, and never used for
	// loopback, so the default transport gets another.
	defaults := http.DefaultTransport
	defer func() { http.DefaultTransport = defaults }()
	http.DefaultTransport = &http.Transport{Proxy: func(r *http.Request) (*url.URL, error) {
		return nil, fmt.Errorf("a proxy was asked for %s", r.URL)
	}}
	d, _, stderr := newDemo()
	assert.Equal(t, 0, d.run(t.Context(), []string{"-once"}), "%s", stderr)
}

func TestTakenPortSaysWhichFlagToUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, ln.Close()) }()
	d, stdout, stderr := newDemo()
	assert.Equal(t, 1, d.run(t.Context(), []string{"-listen", ln.Addr().String()}))
	assert.Contains(t, stderr.String(), ln.Addr().String()+" is taken")
	assert.Contains(t, stderr.String(), "-listen")
	assert.Empty(t, stdout.String())
}

func TestUsage(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"help", []string{"-h"}, 0, "Usage: demo [flags]"},
		{"an argument", []string{"once"}, 2, `no argument "once"`},
		{"an unknown flag", []string{"-twice"}, 2, "-twice"},
		{"traces nowhere", []string{"-traces", "nowhere"}, 2, "write memory or otlp"},
		{"an address for a UI that there is not", []string{"-traces", "otlp", "-listen", "127.0.0.1:0"}, 2, "-listen"},
		{"an address that is none", []string{"-once", "-listen", "nowhere"}, 1, "-listen"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, stdout, stderr := newDemo()
			assert.Equal(t, tt.status, d.run(t.Context(), tt.args))
			assert.Contains(t, stderr.String(), tt.says)
			assert.Empty(t, stdout.String())
		})
	}
}

func TestTracesCanGoToACollector(t *testing.T) {
	var mu sync.Mutex
	spans := map[string]int{} // by service
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		var request coltrace.ExportTraceServiceRequest
		assert.NoError(t, proto.Unmarshal(body, &request))
		mu.Lock()
		defer mu.Unlock()
		for _, rs := range request.ResourceSpans {
			for _, attr := range rs.Resource.Attributes {
				if attr.Key != "service.name" {
					continue
				}
				for _, ss := range rs.ScopeSpans {
					spans[attr.Value.GetStringValue()] += len(ss.Spans)
				}
			}
		}
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)

	d, stdout, stderr := newDemo()
	assert.Equal(t, 0, d.run(t.Context(), []string{"-once", "-traces", "otlp"}), "%s", stderr)
	assert.Contains(t, stdout.String(), "traces       go to the collector")
	mu.Lock()
	defer mu.Unlock()
	n := spans["sleep"] - 7 // calls for a verdict
	assert.Positive(t, n)
	assert.Equal(t, map[string]int{"sleep": 7 + n, "flaskapp": 12 + 2*n, "httpbin": 3 + n}, spans)
}

func TestCollectorThatIsAwayIsAFailure(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+ln.Addr().String())

	d, _, stderr := newDemo()
	assert.Equal(t, 1, d.run(t.Context(), []string{"-once", "-traces", "otlp"}))
	assert.Contains(t, stderr.String(), "OTEL_EXPORTER_OTLP_ENDPOINT")
}
