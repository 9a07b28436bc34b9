package sleep_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tracebaton/tracebaton/examples/internal/egress"
	"github.com/tracebaton/tracebaton/examples/internal/flaskapp"
	"github.com/tracebaton/tracebaton/examples/internal/httpbin"
	"github.com/tracebaton/tracebaton/examples/internal/sleep"
	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(int) { http.DefaultClient.CloseIdleConnections() }))
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// result is what a command left behind.
type result struct {
	status         int
	stdout, stderr string
}

// run runs "sleep fetch" without an SDK.
func run(t *testing.T, args ...string) result {
	t.Helper()
	return runWith(t, sleep.Command{}, map[string]string{"OTEL_TRACES_EXPORTER": "none"}, args...)
}

func runWith(t *testing.T, c sleep.Command, env map[string]string, args ...string) result {
	t.Helper()
	var stdout, stderr buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	c.Getenv = func(name string) string { return env[name] }
	status := c.Run(t.Context(), args)
	return result{status, stdout.String(), stderr.String()}
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

var quiet = slog.New(slog.DiscardHandler)

func newHTTPBin(t *testing.T) string {
	t.Helper()
	return serve(t, httpbin.New(httpbin.Config{Logger: quiet}).ServeHTTP)
}

func newFlaskapp(t *testing.T) string {
	t.Helper()
	policy, err := egress.Parse("127.0.0.1")
	require.NoError(t, err)
	return serve(t, flaskapp.New(flaskapp.Config{Logger: quiet, Dialer: &egress.Dialer{Policy: policy}}).ServeHTTP)
}

func TestBodyIsAllThatGoesToStandardOutput(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/nosuch" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, "v1")
	})
	r := run(t, "-body", url)
	assert.Equal(t, result{0, "v1\n", ""}, r)

	r = run(t, "-body", url+"/nosuch")
	assert.Equal(t, 1, r.status)
	assert.Equal(t, "v1\n", r.stdout)
	assert.Regexp(t, `^404 Not Found in \S+s\n$`, r.stderr)

	r = run(t, url)
	assert.Zero(t, r.status)
	assert.Empty(t, r.stdout)
	assert.Regexp(t, `^200 OK in \S+s\n$`, r.stderr)

	r = run(t, "-body", "-n", "3", url)
	assert.Equal(t, "v1\nv1\nv1\n", r.stdout)
}

func TestHeadersAreShownAsTheyWereOnTheWire(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Served-By", "test")
		w.WriteHeader(http.StatusAccepted)
	})
	r := run(t, "-v", "-H", "x-b3-traceid: 463ac35c9f6413ad", "-H", "A: 1", "-H", "a: 2", "-H", "Host: other", url+"/p?q=1")
	assert.Zero(t, r.status)
	assert.Empty(t, r.stdout)
	assert.True(t, strings.HasPrefix(r.stderr, "> GET /p?q=1 HTTP/1.1\n> A: 1\n> A: 2\n> Connection: close\n> Host: other\n> User-Agent: Go-http-client/1.1\n> X-B3-Traceid: 463ac35c9f6413ad\n< HTTP/1.1 202 Accepted\n"), r.stderr)
	assert.Contains(t, r.stderr, "\n< X-Served-By: test\n")
	assert.Regexp(t, `\n202 Accepted in \S+, trace 463ac35c9f6413ad\n$`, r.stderr)
}

func TestWithoutSDKNothingIsAddedToACall(t *testing.T) {
	got := make(chan http.Header, 1)
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	assert.Zero(t, run(t, url).status)
	assert.Equal(t, http.Header{"User-Agent": {"Go-http-client/1.1"}, "Connection": {"close"}}, <-got)
}

// newTracing returns a Tracing and the spans that it makes.
func newTracing(t *testing.T) (*telemetry.Tracing, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	tracing, err := telemetry.New(t.Context(), telemetry.Config{
		Service: "sleep", Processor: spans, Sampler: sdktrace.ParentBased(sdktrace.AlwaysSample()),
	})
	require.NoError(t, err)
	return tracing, spans
}

func TestWithSDKACallIsARootAndHasARequestID(t *testing.T) {
	tracing, spans := newTracing(t)
	got := make(chan http.Header, 2)
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	client := &sleep.Client{Tracing: tracing}
	given := http.Header{"Accept": {"text/plain"}}
	first, err := client.Get(t.Context(), url, given)
	require.NoError(t, err)
	second, err := client.Get(t.Context(), url, nil)
	require.NoError(t, err)
	require.Len(t, spans.Ended(), 2)

	for i, a := range []*sleep.Answer{first, second} {
		h, span := <-got, spans.Ended()[i]
		assert.False(t, span.Parent().IsValid())
		assert.Equal(t, "GET", span.Name())
		assert.Equal(t, span.SpanContext().TraceID().String(), a.TraceID)
		assert.Equal(t, a.TraceID, h.Get("X-B3-Traceid"))
		assert.Equal(t, span.SpanContext().SpanID().String(), h.Get("X-B3-Spanid"))
		assert.Equal(t, "1", h.Get("X-B3-Sampled"))
		assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, a.RequestID)
		assert.Equal(t, a.RequestID, h.Get("X-Request-Id"))
	}
	assert.NotEqual(t, first.TraceID, second.TraceID)
	assert.NotEqual(t, first.RequestID, second.RequestID)
	assert.Equal(t, http.Header{"Accept": {"text/plain"}}, given, "the caller's headers stay as they are")
}

func TestWithSDKACallJoinsTheTraceThatItIsGiven(t *testing.T) {
	tracing, spans := newTracing(t)
	got := make(chan http.Header, 1)
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	a, err := (&sleep.Client{Tracing: tracing}).Get(t.Context(), url, http.Header{
		"Traceparent":  {"00-463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-01"},
		"X-Request-Id": {"r-1"},
		"End-User":     {"bob"},
	})
	require.NoError(t, err)
	h := <-got
	span := spans.Ended()[0]
	assert.Equal(t, "a2fb4a1d1a96d312", span.Parent().SpanID().String())
	assert.Equal(t, "463ac35c9f6413ad48485a3953bb6124", a.TraceID)
	assert.Equal(t, "00-463ac35c9f6413ad48485a3953bb6124-"+span.SpanContext().SpanID().String()+"-01", h.Get("Traceparent"))
	assert.Equal(t, a.TraceID, h.Get("X-B3-Traceid"), "in the other format, too")
	assert.Equal(t, span.SpanContext().SpanID().String(), h.Get("X-B3-Spanid"))
	assert.Equal(t, []string{"r-1"}, h["X-Request-Id"])
	assert.Equal(t, []string{"bob"}, h["End-User"])
}

func TestTraceOfACallIsFoundWhereItCanBeKnown(t *testing.T) {
	const id = "463ac35c9f6413ad48485a3953bb6124"
	sidecar := serve(t, (&httputil.ReverseProxy{
		Transport: &http.Transport{DisableKeepAlives: true},
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.Host = p.In.Host
			p.Out.Header.Set("X-B3-Traceid", id)
			p.Out.Header.Set("X-B3-Spanid", "a2fb4a1d1a96d312")
			p.Out.Header.Set("X-Request-Id", "r-1")
		},
	}).ServeHTTP)
	proxy, err := url.Parse(sidecar)
	require.NoError(t, err)
	throughSidecar := &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyURL(proxy)}

	bin, app := newHTTPBin(t), newFlaskapp(t)
	answering := func(name, value string) string {
		return serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(name, value) })
	}
	saying := func(body string) string {
		return serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	}
	tests := []struct {
		name    string
		url     string
		header  http.Header
		trace   string
		request string
	}{
		{"nowhere", bin + "/ip", nil, "", ""},
		{"in what was sent", bin + "/ip", http.Header{"B3": {id + "-a2fb4a1d1a96d312"}, "X-Request-Id": {"r-0"}}, id, "r-0"},
		{"in an answer's x-b3-traceid", answering("x-b3-traceid", id), nil, id, ""},
		{"in an answer's traceparent", answering("traceparent", "00-"+id+"-a2fb4a1d1a96d312-01"), nil, id, ""},
		{"in an answer's request ID", answering("x-request-id", "r-2"), nil, "", "r-2"},
		{"not where the answer has no ID", answering("x-b3-traceid", "463a"), nil, "", ""},
		{"in what httpbin says it saw", bin + "/headers", nil, id, "r-1"},
		{"in what flaskapp says it saw", app + "/fetch_with_header?url=" + bin + "/ip", nil, id, "r-1"},
		{"not in what another service says it saw", saying(`{"headers":{"Host":["httpbin"],"X-B3-Traceid":["` + id + `"]}}`), nil, "", ""},
		{"not in what nobody says it saw", saying(`{"headers":{"X-B3-Traceid":["` + id + `"]}}`), nil, "", ""},
		{"not in what is no list of headers", saying(`[1]`), nil, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := &sleep.Client{}
			if strings.HasSuffix(tt.name, " says it saw") {
				client.Base = throughSidecar
			}
			a, err := client.Get(t.Context(), tt.url, tt.header)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, a.Status)
			assert.Equal(t, tt.trace, a.TraceID)
			assert.Equal(t, tt.request, a.RequestID)
		})
	}
}

func TestSummaryCountsTheCalls(t *testing.T) {
	var n atomic.Int32
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", fmt.Sprint("r-", n.Add(1)))
		if n.Load()%4 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	r := run(t, "-n", "10", url)
	assert.Equal(t, 1, r.status)
	assert.Empty(t, r.stdout)
	const took = `[0-9.]+(µs|ms|s)`
	assert.Regexp(t, `^calls    10 in `+took+`, 2 failed
status   8 × 200 OK, 2 × 503 Service Unavailable
latency  p50 `+took+`, p90 `+took+`, p99 `+took+`, max `+took+`
first    `+took+`, request r-1
slowest  `+took+`, request r-\d+
$`, r.stderr)

	r = run(t, "-n", "5", "-timeout", "10s", "http://127.0.0.1:1/")
	assert.Equal(t, 1, r.status)
	assert.Regexp(t, `^calls    5 in `+took+`, 5 failed
error    5 × dial: connect: connection refused
$`, r.stderr)
}

func TestLatenciesArePercentilesByNearestRank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Call i takes i ms on the bubble's clock.
		i := 0
		c := sleep.Command{Base: base(func(*http.Request) (*http.Response, error) {
			i++
			time.Sleep(time.Duration(i) * time.Millisecond)
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{"X-Request-Id": {fmt.Sprint("r-", i)}}}, nil
		})}
		r := runWith(t, c, map[string]string{"OTEL_TRACES_EXPORTER": "none"}, "-n", "200", "http://x/")
		assert.Zero(t, r.status)
		assert.Contains(t, r.stderr, "latency  p50 100ms, p90 180ms, p99 198ms, max 200ms\nfirst    1ms, request r-1\nslowest  200ms, request r-200\n")
	})
}

func TestFirstCallIsTheOneThatStartedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		c := sleep.Command{Base: base(func(*http.Request) (*http.Response, error) {
			i := n.Add(1)
			time.Sleep(time.Duration(30-10*i) * time.Millisecond) // so that the second is done before
			res := ok()
			res.Header.Set("X-Request-Id", fmt.Sprint("r-", i))
			return res, nil
		})}
		r := runWith(t, c, map[string]string{"OTEL_TRACES_EXPORTER": "none"}, "-n", "2", "-c", "2", "-interval", "1ms", "http://x/")
		assert.Zero(t, r.status)
		assert.Contains(t, r.stderr, "first    20ms, request r-1\n")
	})
}

// base is a transport that is a function.
type base func(*http.Request) (*http.Response, error)

func (f base) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func ok() *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}}
}

func TestIntervalIsBetweenTheStartsOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var starts []time.Duration
		c := sleep.Command{Base: base(func(*http.Request) (*http.Response, error) {
			starts = append(starts, time.Since(start))
			time.Sleep(30 * time.Millisecond)
			return ok(), nil
		})}
		r := runWith(t, c, map[string]string{"OTEL_TRACES_EXPORTER": "none"}, "-n", "3", "-interval", "100ms", "http://x/")
		assert.Zero(t, r.status)
		assert.Equal(t, []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond}, starts)
	})
}

func TestNoMoreCallsThanAskedForAreMadeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most, all atomic.Int32
		c := sleep.Command{Base: base(func(*http.Request) (*http.Response, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Millisecond)
			now.Add(-1)
			all.Add(1)
			return ok(), nil
		})}
		r := runWith(t, c, map[string]string{"OTEL_TRACES_EXPORTER": "none"}, "-n", "20", "-c", "4", "http://x/")
		assert.Zero(t, r.status)
		assert.EqualValues(t, 4, most.Load())
		assert.EqualValues(t, 20, all.Load())
		assert.Contains(t, r.stderr, "calls    20 in 5ms, 0 failed\n")
	})
}

func TestCallThatTakesTooLongFails(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "1")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	})
	for _, path := range []string{"/", "/body"} {
		r := run(t, "-timeout", "10ms", url+path)
		assert.Equal(t, 1, r.status)
		assert.Contains(t, r.stderr, "deadline exceeded")
	}
}

func TestInterruptedCommandSaysWhatItDid(t *testing.T) {
	var n atomic.Int32
	ctx, interrupt := context.WithCancel(t.Context())
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 3 {
			interrupt()
			<-r.Context().Done()
		}
	})
	var stderr buffer
	c := sleep.Command{Getenv: func(string) string { return "none" }, Stdout: io.Discard, Stderr: &stderr}
	assert.Equal(t, 130, c.Run(ctx, []string{"-n", "10", url}))
	assert.Contains(t, stderr.String(), "calls    2 of 10 in ")
	assert.Contains(t, stderr.String(), ", 0 failed\n", "a call that was interrupted has not failed")
	assert.EqualValues(t, 3, n.Load())
}

func TestProgressIsShownOnATerminalOnly(t *testing.T) {
	url := serve(t, func(http.ResponseWriter, *http.Request) {})
	assert.NotContains(t, run(t, "-n", "2", url).stderr, "\r")
	none := map[string]string{"OTEL_TRACES_EXPORTER": "none"}
	r := runWith(t, sleep.Command{Terminal: true}, none, "-n", "2", url)
	assert.Contains(t, r.stderr, "\r\x1b[K1 of 2, 0 failed\r\x1b[K2 of 2, 0 failed\r\x1b[Kcalls ")
	assert.NotContains(t, runWith(t, sleep.Command{Terminal: true}, none, url).stderr, "\r", "one call has no progress")
}

func TestSpansAreSentBeforeTheCommandEnds(t *testing.T) {
	posted := make(chan string, 1)
	collector := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		posted <- r.URL.Path + string(body)
	})
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
	url := serve(t, func(http.ResponseWriter, *http.Request) {})
	r := runWith(t, sleep.Command{}, map[string]string{"OTEL_SERVICE_NAME": "sleep-of-the-test"}, url)
	assert.Zero(t, r.status)
	assert.Regexp(t, `^200 OK in \S+, trace [0-9a-f]{32}\n$`, r.stderr)
	got := <-posted
	assert.True(t, strings.HasPrefix(got, "/v1/traces"))
	assert.Contains(t, got, "sleep-of-the-test")
}

func TestCollectorThatIsAwayFailsNoCall(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	url := serve(t, func(http.ResponseWriter, *http.Request) {})
	r := runWith(t, sleep.Command{}, nil, url)
	assert.Zero(t, r.status)
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	require.Len(t, lines, 2)
	assert.Contains(t, lines[0], "200 OK")
	var line map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &line))
	assert.EqualValues(t, 1, line["spans_lost"])
}

func TestRedirectIsShownAndNotFollowed(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	r := run(t, url)
	assert.Zero(t, r.status)
	assert.Contains(t, r.stderr, "302 Found")
}

func TestBodyThatIsTooLongToKeepIsReadToItsEnd(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 200_000)) })
	a, err := (&sleep.Client{KeepBody: 10}).Get(t.Context(), url, nil)
	require.NoError(t, err)
	assert.Equal(t, "xxxxxxxxxx", string(a.Body))
	assert.True(t, a.CutShort)
	a, err = (&sleep.Client{KeepBody: 200_000}).Get(t.Context(), url, nil)
	require.NoError(t, err)
	assert.Len(t, a.Body, 200_000)
	assert.False(t, a.CutShort)
}

func TestWrongCommandSaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name string
		args []string
		says string
	}{
		{"no URL", nil, "no URL to fetch"},
		{"two URLs", []string{"http://a/", "http://b/"}, `what is "http://b/"?`},
		{"a flag after the URL", []string{"http://a/", "-body"}, `what is "-body"?`},
		{"a URL without a scheme", []string{"flaskapp/env/version"}, "http://host/path"},
		{"a URL with another scheme", []string{"file:///etc/passwd"}, "http://host/path"},
		{"a URL that is none", []string{"http://a b/"}, "invalid character"},
		{"a header without a colon", []string{"-H", "end-user", "http://a/"}, "'name: value'"},
		{"a header without a name", []string{"-H", ": bob", "http://a/"}, "'name: value'"},
		{"a header that breaks the line", []string{"-H", "a: b\r\nc: d", "http://a/"}, "'name: value'"},
		{"a header that is not sent", []string{"-H", "content-length: 5", "http://a/"}, "a call without a body does not have this header"},
		{"another that is not", []string{"-H", "Transfer-Encoding: chunked", "http://a/"}, "a call without a body does not have this header"},
		{"a third that is not", []string{"-H", "TRAILER: a", "http://a/"}, "a call without a body does not have this header"},
		{"a host with a path", []string{"-H", "Host: a b/c", "http://a/"}, "write the host as name or name:port"},
		{"a host that cannot be written in DNS", []string{"-H", "Host: xn--\u00ad", "http://a/"}, "write the host as name or name:port"},
		{"a host that is empty", []string{"-H", "host:", "http://a/"}, "write the host as name or name:port"},
		{"no calls", []string{"-n", "0", "http://a/"}, "-n 0"},
		{"too many calls", []string{"-n", "1000001", "http://a/"}, "1 to 1000000"},
		{"no workers", []string{"-c", "0", "http://a/"}, "-c 0"},
		{"too many workers", []string{"-c", "1001", "http://a/"}, "1 to 1000"},
		{"an interval into the past", []string{"-interval", "-1s", "http://a/"}, "negative"},
		{"no time", []string{"-timeout", "0s", "http://a/"}, "no time"},
		{"an unknown flag", []string{"-x", "http://a/"}, "-x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, tt.args...)
			assert.Equal(t, 2, r.status)
			assert.Empty(t, r.stdout)
			assert.Contains(t, r.stderr, tt.says)
			assert.Contains(t, r.stderr, "Usage: sleep fetch")
		})
	}
	r := run(t, "-h")
	assert.Zero(t, r.status)
	assert.Regexp(t, regexp.MustCompile(`(?s)^Usage: sleep fetch \[flags\] URL.*-H 'name: value'.*exit\s+status`), r.stderr)

	r = runWith(t, sleep.Command{}, map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, "http://a/")
	assert.Equal(t, 2, r.status)
	assert.Contains(t, r.stderr, "otlp, jaeger, console or none")
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"headers":{"Host":["x"],"X-B3-Traceid":["463ac35c9f6413ad"]}}`), "b3", "0")
	f.Add([]byte(`{"Host":"x","Traceparent":"00-463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-01"}`+"\n<html>"), "X-B3-Traceid", "")
	f.Add([]byte(`{"headers":[{"Host":1}],"Host":[]}`), "", "\x00")
	f.Fuzz(func(t *testing.T, body []byte, name, value string) {
		client := &sleep.Client{KeepBody: 1 << 20, Base: base(func(r *http.Request) (*http.Response, error) {
			trace := httptrace.ContextClientTrace(r.Context())
			trace.GotConn(httptrace.GotConnInfo{})
			trace.WroteHeaderField("Host", []string{r.Host})
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body)), Header: http.Header{name: {value}}}, nil
		})}
		a, err := client.Get(t.Context(), "http://x/", nil)
		require.NoError(t, err)
		require.Regexp(t, `^(|[0-9a-f]{16}|[0-9a-f]{32})$`, a.TraceID)
		require.Equal(t, body, append([]byte{}, a.Body...))
	})
}
