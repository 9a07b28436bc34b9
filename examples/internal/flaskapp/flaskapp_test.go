package flaskapp_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tracebaton/tracebaton/examples/internal/egress"
	"github.com/tracebaton/tracebaton/examples/internal/flaskapp"
	"github.com/tracebaton/tracebaton/examples/internal/httpbin"
	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster gives names to servers on loopback.
type cluster struct {
	mu      sync.Mutex
	servers map[string]string
}

func (c *cluster) resolve(addr string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.servers[addr]
}

func (c *cluster) serve(t *testing.T, addr string, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.servers == nil {
		c.servers = make(map[string]string)
	}
	c.servers[addr] = s.Listener.Addr().String()
	return s
}

// app starts a flaskapp in the cluster that may fetch from loopback, unless
// cfg says otherwise, and returns its URL.
func (c *cluster) app(t *testing.T, cfg flaskapp.Config) string {
	t.Helper()
	if cfg.Dialer == nil {
		cfg.Dialer = allow(t, "127.0.0.0/8")
	}
	cfg.Dialer.Resolve = c.resolve
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return c.serve(t, "flaskapp:80", flaskapp.New(cfg)).URL
}

func allow(t *testing.T, list string) *egress.Dialer {
	t.Helper()
	policy, err := egress.Parse(list)
	require.NoError(t, err)
	return &egress.Dialer{Policy: policy}
}

func get(t *testing.T, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	for name, values := range header {
		r.Header[name] = values
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

func TestRoutes(t *testing.T) {
	var c cluster
	app := c.app(t, flaskapp.Config{LookupEnv: func(name string) (string, bool) {
		value, ok := map[string]string{"version": "v1", "empty": "", "with space": "yes"}[name]
		return value, ok
	}})
	tests := []struct {
		name   string
		method string
		path   string
		status int
		body   string
	}{
		{"the root is fine", "GET", "/", 200, "I am FINE!"},
		{"a variable is answered", "GET", "/env/version", 200, "v1"},
		{"an empty variable is set", "GET", "/env/empty", 200, ""},
		{"a name is unescaped", "GET", "/env/with%20space", 200, "yes"},
		{"an unset variable is named", "GET", "/env/nosuch", 404, `environment variable "nosuch" is not set`},
		{"an unset variable's name is quoted", "GET", "/env/%3Cscript%3E%0A", 404, `environment variable "<script>\n" is not set`},
		{"another path is not found", "GET", "/nosuch", 404, "404 page not found\n"},
		{"another path is not found by HEAD either", "HEAD", "/nosuch", 404, ""},
		{"another method is not allowed", "POST", "/fetch", 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tt.method, app+tt.path, nil)
			require.NoError(t, err)
			res, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			defer func() { _ = res.Body.Close() }()
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			assert.Equal(t, tt.status, res.StatusCode)
			assert.Equal(t, tt.body, string(body))
			if tt.method == "GET" {
				assert.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))
				assert.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
			}
		})
	}
}

func TestZeroConfigReadsTheProcesssEnvironment(t *testing.T) {
	t.Setenv("TRACEBATON_TEST", "here")
	w := httptest.NewRecorder()
	flaskapp.New(flaskapp.Config{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/env/TRACEBATON_TEST", nil))
	assert.Equal(t, "here", w.Body.String())
}

// seen is an upstream that remembers the headers it was called with.
type seen struct {
	mu      sync.Mutex
	headers []http.Header
}

func (s *seen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headers = append(s.headers, r.Header.Clone())
	_, _ = io.WriteString(w, "seen")
}

// take returns the headers of the only call since the last time.
func (s *seen) take(t *testing.T) http.Header {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Len(t, s.headers, 1)
	h := s.headers[0]
	s.headers = nil
	return h
}

var fromSidecar = http.Header{
	"X-Request-Id":      {"7ab5d1cd-7c9c-9e5b-8ac9-dd5eac57b3b3"},
	"X-B3-Traceid":      {"463ac35c9f6413ad48485a3953bb6124"},
	"X-B3-Spanid":       {"a2fb4a1d1a96d312"},
	"X-B3-Parentspanid": {"0020000000000001"},
	"X-B3-Sampled":      {"1"},
	"Traceparent":       {"00-463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-01"},
	"Tracestate":        {"a=1", "b=2"},
	"X-Ot-Span-Context": {"x"},
	"End-User":          {"bob"},
}

func TestWithoutSDKOnlyFetchBreaksTheTrace(t *testing.T) {
	var c cluster
	var upstream seen
	c.serve(t, "httpbin:8000", &upstream)
	app := c.app(t, flaskapp.Config{})

	for _, path := range []string{"/fetch_with_trace", "/fetch_with_header"} {
		get(t, app+path+"?url=http://httpbin:8000/", fromSidecar)
		got := upstream.take(t)
		for name, values := range fromSidecar {
			assert.Equal(t, values, got[name], "%s %s", path, name)
		}
	}
	get(t, app+"/fetch?url=http://httpbin:8000/", fromSidecar)
	got := upstream.take(t)
	for name := range fromSidecar {
		assert.NotContains(t, got, name)
	}

	get(t, app+"/fetch_with_trace?url=http://httpbin:8000/", nil)
	got = upstream.take(t)
	for name := range fromSidecar {
		assert.NotContains(t, got, name, "nothing is invented")
	}
}

func TestWithSDKFetchIsARootAndTheOthersAreNot(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracing, err := telemetry.New(t.Context(), telemetry.Config{
		Service: "flaskapp", Processor: spans, Sampler: sdktrace.ParentBased(sdktrace.AlwaysSample()),
	})
	require.NoError(t, err)
	var c cluster
	var upstream seen
	c.serve(t, "httpbin:8000", &upstream)
	app := c.app(t, flaskapp.Config{Tracing: tracing})

	for _, path := range []string{"/fetch", "/fetch_with_trace", "/fetch_with_header"} {
		t.Run(path, func(t *testing.T) {
			spans.Reset()
			get(t, app+path+"?url=http://httpbin:8000/", fromSidecar)
			got := upstream.take(t)
			require.Eventually(t, func() bool { return len(spans.Ended()) == 2 }, 10*time.Second, time.Millisecond)
			client, server := spans.Ended()[0], spans.Ended()[1]

			assert.Equal(t, "GET "+path, server.Name())
			assert.Equal(t, "a2fb4a1d1a96d312", server.Parent().SpanID().String())
			assert.Equal(t, trace.SpanKindClient, client.SpanKind())
			assert.Equal(t, client.SpanContext().TraceID().String(), got.Get("X-B3-Traceid"))
			assert.Equal(t, client.SpanContext().SpanID().String(), got.Get("X-B3-Spanid"))
			if path == "/fetch" {
				assert.False(t, client.Parent().IsValid(), "a new root")
				assert.NotEqual(t, server.SpanContext().TraceID(), client.SpanContext().TraceID())
				for _, name := range []string{"X-Request-Id", "X-Ot-Span-Context", "End-User", "Tracestate", "X-B3-Parentspanid"} {
					assert.NotContains(t, got, name)
				}
				return
			}
			assert.Equal(t, server.SpanContext().SpanID(), client.Parent().SpanID())
			for _, name := range []string{"X-Request-Id", "X-Ot-Span-Context", "End-User", "X-B3-Traceid"} {
				assert.Equal(t, fromSidecar[name], got[name])
			}
		})
	}
}

func TestFetchWithHeaderAnswersTheHeadersThenTheBodyAsItIs(t *testing.T) {
	var c cluster
	c.serve(t, "upstream:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/same":
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("Content-Type", "image/png")
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "\x89PNG\r\n\x00\xff")
		}
	}))
	app := c.app(t, flaskapp.Config{})

	res, body := get(t, app+"/fetch_with_header?url=http://upstream/", http.Header{"X-Request-Id": {"r-1"}, "Accept": {"a", "b&<c>"}})
	line, rest, _ := strings.Cut(body, "\n")
	var headers map[string]string
	require.NoError(t, json.Unmarshal([]byte(line), &headers))
	assert.Equal(t, "r-1", headers["X-Request-Id"])
	assert.Equal(t, "a, b&<c>", headers["Accept"])
	assert.Equal(t, strings.TrimPrefix(app, "http://"), headers["Host"])
	assert.Contains(t, line, "b&<c>", "readable")
	assert.Equal(t, "\x89PNG\r\n\x00\xff", rest)
	assert.Equal(t, http.StatusTeapot, res.StatusCode)
	assert.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))

	assert.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))

	for _, path := range []string{"/none", "/same"} {
		res, body = get(t, app+"/fetch_with_header?url=http://upstream"+path, nil)
		assert.Equal(t, http.StatusOK, res.StatusCode, "there is a body, so it cannot be 204 or 304")
		assert.Contains(t, body, `"Host"`)
	}
}

func TestNestedURLsWorkUnescaped(t *testing.T) {
	var c cluster
	c.serve(t, "httpbin:8000", httpbin.New(httpbin.Config{Logger: slog.New(slog.DiscardHandler)}))
	app := c.app(t, flaskapp.Config{})

	_, body := get(t, app+"/fetch?url=http://flaskapp/fetch_with_trace?url=http://httpbin:8000/ip", nil)
	assert.Contains(t, body, `"origin": "127.0.0.1"`)

	for _, nested := range []string{
		"http://flaskapp/fetch_with_trace?url=http://flaskapp/fetch_with_trace?url=http://httpbin:8000/get?a=1&b=%26",
		"http://flaskapp/fetch_with_trace?url=" + url.QueryEscape("http://flaskapp/fetch_with_trace?url="+url.QueryEscape("http://httpbin:8000/get?a=1&b=%26")),
		url.QueryEscape("http://flaskapp/fetch_with_trace?url=" + url.QueryEscape("http://flaskapp/fetch_with_trace?url="+url.QueryEscape("http://httpbin:8000/get?a=1&b=%26"))),
	} {
		_, body = get(t, app+"/fetch_with_trace?url="+nested, fromSidecar)
		var echo struct {
			Args, Headers map[string][]string
		}
		require.NoError(t, json.Unmarshal([]byte(body), &echo), body)
		assert.Equal(t, map[string][]string{"a": {"1"}, "b": {"&"}}, echo.Args, nested)
		assert.Equal(t, fromSidecar["X-B3-Traceid"], echo.Headers["X-B3-Traceid"])
	}
}

func TestBadURLIsABadRequestWithTheReason(t *testing.T) {
	var c cluster
	app := c.app(t, flaskapp.Config{})
	for query, reason := range map[string]string{
		"":                       "add ?url=http://…",
		"?url=file:///etc/hosts": "neither http nor https",
		"?url=http://":           "names no host",
	} {
		for _, path := range []string{"/fetch", "/fetch_with_trace", "/fetch_with_header"} {
			res, body := get(t, app+path+query, nil)
			assert.Equal(t, http.StatusBadRequest, res.StatusCode)
			assert.Contains(t, body, reason)
		}
	}
}

func TestUpstreamsStatusTypeAndBodyArePassedOn(t *testing.T) {
	tests := []struct {
		name     string
		status   int
		typ      string
		encoding string
		body     string
	}{
		{"found", 200, "application/json", "", `{"a":1}`},
		{"not found", 404, "text/html; charset=iso-8859-1", "", "<p>no</p>"},
		{"broken", 500, "text/plain", "", "ouch"},
		{"nothing", 204, "", "", ""},
		{"empty", 200, "text/plain", "", ""},
		{"compressed without being asked", 200, "text/plain", "br", "\x0b\x02\x80hello\x03"},
		{"no type is no guess", 200, "", "", "<html>"},
		{"large", 200, "application/octet-stream", "", strings.Repeat("x", 1<<20)}, // net/http counts no such body itself
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c cluster
			c.serve(t, "upstream:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = nil
				if tt.typ != "" {
					w.Header().Set("Content-Type", tt.typ)
				}
				if tt.encoding != "" {
					w.Header().Set("Content-Encoding", tt.encoding)
				}
				if tt.status != http.StatusNoContent {
					w.Header().Set("Content-Length", strconv.Itoa(len(tt.body)))
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			app := c.app(t, flaskapp.Config{})
			for _, path := range []string{"/fetch", "/fetch_with_trace"} {
				res, body := get(t, app+path+"?url=http://upstream/", nil)
				assert.Equal(t, tt.status, res.StatusCode)
				assert.Equal(t, tt.typ, res.Header.Get("Content-Type"))
				assert.Equal(t, tt.encoding, res.Header.Get("Content-Encoding"))
				assert.EqualValues(t, len(tt.body), res.ContentLength)
				assert.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
				assert.Equal(t, tt.body, body)
			}
		})
	}
}

// answering is an upstream that writes raw bytes to the connection.
func answering(raw string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, raw)
		_ = conn.Close()
	})
}

func TestHeadIsAnsweredAsGetIs(t *testing.T) {
	var c cluster
	methods := make(chan string, 2)
	c.serve(t, "upstream:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		methods <- r.Method
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, `{"a":1}`)
	}))
	app := c.app(t, flaskapp.Config{LookupEnv: func(string) (string, bool) { return "v1", true }})
	for _, path := range []string{
		"/", "/env/version", "/fetch", "/fetch?url=http://upstream/", "/fetch_with_trace?url=http://upstream/",
		"/fetch_with_header?url=http://upstream/", "/fetch?url=http://nowhere/",
	} {
		t.Run(path, func(t *testing.T) {
			want, body := get(t, app+path, nil)
			assert.NotEmpty(t, body)
			res, err := http.Head(app + path)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, want.StatusCode, res.StatusCode)
			for _, h := range []http.Header{want.Header, res.Header} {
				h.Del("Date")
			}
			if strings.HasPrefix(path, "/fetch_with_header") { // of a length that only its end tells
				want.Header.Del("Content-Length")
			}
			assert.Equal(t, want.Header, res.Header)
			if strings.Contains(path, "upstream") {
				assert.Equal(t, http.MethodGet, <-methods)
				assert.Equal(t, http.MethodGet, <-methods, "Flask runs the same function for both")
			}
		})
	}
}

func TestBelowTheHeadersABodyIsDecompressed(t *testing.T) {
	const text = "hello, hello, hello, hello, hello"
	pack := func(to func(io.Writer) io.WriteCloser, text string) string {
		var b strings.Builder
		w := to(&b)
		_, err := io.WriteString(w, text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.String()
	}
	gz := func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
	zl := func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }
	raw := func(w io.Writer) io.WriteCloser {
		fl, err := flate.NewWriter(w, flate.DefaultCompression)
		require.NoError(t, err)
		return fl
	}
	const limit = 100 << 10
	bomb := pack(gz, strings.Repeat("x", 10*limit))
	require.Less(t, len(bomb), limit)
	empty := strings.Repeat(pack(gz, ""), 2*limit/len(pack(gz, "")))
	tests := []struct {
		name, coding, body string
		status             int
		says               string
	}{
		{"gzip", "gzip", pack(gz, text), 200, text},
		{"gzip by its old name, in capitals", "X-GZIP", pack(gz, text), 200, text},
		{"gzip in two parts", "gzip", pack(gz, text) + pack(gz, "!"), 200, text + "!"},
		{"deflate", "deflate", pack(zl, text), 200, text},
		{"deflate without zlib's header", "deflate", pack(raw, text), 200, text},
		{"no coding by its name", "identity", text, 200, text},
		{"nothing, which is not compressed", "gzip", "", 200, ""},
		{"a coding that is not known", "br", "\x0b\x02\x80hello\x03", 502, `answer is compressed with "br", which cannot be shown as text: gzip and deflate can`},
		{"two codings", "deflate, gzip", pack(gz, pack(zl, text)), 502, `compressed with "deflate, gzip"`},
		{"what is no gzip", "gzip", text, 502, "gzip: invalid header"},
		{"what ends early", "gzip", pack(gz, text)[:20], 502, "unexpected EOF"},
		{"what is damaged", "gzip", pack(gz, text)[:len(pack(gz, text))-8] + "12345678", 502, "gzip: invalid checksum"},
		{"what decompresses to nothing without end", "gzip", empty, 502, "answer is larger than 102400 bytes (FETCH_MAX_BYTES)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c cluster
			c.serve(t, "upstream:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				w.Header().Set("Content-Encoding", tt.coding)
				_ = http.NewResponseController(w).Flush() // so that no length is announced
				_, _ = io.WriteString(w, tt.body)
			}))
			app := c.app(t, flaskapp.Config{Limits: flaskapp.Limits{Bytes: limit}})
			res, body := get(t, app+"/fetch_with_header?url=http://upstream/", nil)
			assert.Equal(t, tt.status, res.StatusCode)
			assert.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))
			assert.Empty(t, res.Header.Get("Content-Encoding"))
			if tt.status != http.StatusOK {
				assert.Contains(t, body, tt.says)
				return
			}
			line, rest, _ := strings.Cut(body, "\n")
			assert.True(t, json.Valid([]byte(line)), line)
			assert.Equal(t, tt.says, rest)
		})
	}

	t.Run("up to the limit", func(t *testing.T) {
		var c cluster
		c.serve(t, "upstream:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, bomb)
		}))
		app := c.app(t, flaskapp.Config{Limits: flaskapp.Limits{Bytes: limit}})
		res, err := http.Get(app + "/fetch_with_header?url=http://upstream/")
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "the caller can tell")
		assert.Less(t, len(body), limit+1000)
		require.NoError(t, res.Body.Close())
	})
}

func TestUpstreamThatFailsIsABadGatewayWithTheReason(t *testing.T) {
	big := strings.Repeat("x", 2000)
	endless := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, big)
		}
	})
	redirect := func(to string) http.Handler { return http.RedirectHandler(to, http.StatusFound) }
	tests := []struct {
		name     string
		upstream http.Handler // nil does not listen
		status   int
		reason   string
	}{
		{"it is down", nil, 502, "connection refused"},
		{"it hangs up", answering(""), 502, "EOF"},
		{"it does not speak HTTP", answering("220 mail ESMTP\r\n"), 502, "malformed HTTP"},
		{"its status is none", answering("HTTP/1.1 007 Bond\r\nContent-Length: 0\r\n\r\n"), 502, "status 7"},
		{"its status is none either", answering("HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n"), 502, "status 999"},
		{"its body ends early", answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123"), 502, "unexpected EOF"},
		{"its body is announced to be too large", answering("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"), 502, "larger than 1000 bytes (FETCH_MAX_BYTES)"},
		{"its body is endless", endless, 502, "larger than 1000 bytes (FETCH_MAX_BYTES)"},
		{"its headers are too large", answering("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 100<<10) + "\r\n\r\n"), 502, "exceeded"},
		{"it redirects in a circle", redirect("http://upstream/"), 502, "more than 3 redirects (FETCH_MAX_REDIRECTS)"},
		{"it redirects to a file", redirect("file:///etc/passwd"), 502, `"file:///etc/passwd": its scheme is neither http nor https`},
		{"it redirects to a metadata service", redirect("http://169.254.169.254/latest/meta-data/"), 403, "metadata"},
		{"it redirects to loopback by address", redirect("http://[::1]:15000/config_dump"), 403, "loopback"},
		{"it redirects to what may not be fetched", redirect("http://admin/"), 403, "admin at ::1"},
		{"it is slow", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), 504, "deadline exceeded (FETCH_TIMEOUT)"},
		{"its body is slow", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "1")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}), 504, "deadline exceeded (FETCH_TIMEOUT)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c cluster
			if tt.upstream != nil {
				c.serve(t, "upstream:80", tt.upstream)
			} else {
				c.servers = map[string]string{"upstream:80": "127.0.0.1:1"}
			}
			limits := flaskapp.Limits{Bytes: 1000, Redirects: 3}
			if tt.status == http.StatusGatewayTimeout {
				limits.Time = 20 * time.Millisecond
			}
			app := c.app(t, flaskapp.Config{Limits: limits, Dialer: allow(t, "127.0.0.0/8")})
			c.servers["admin:80"] = "[::1]:80"
			for _, path := range []string{"/fetch", "/fetch_with_trace", "/fetch_with_header"} {
				res, body := get(t, app+path+"?url=http://upstream/", nil)
				assert.Equal(t, tt.status, res.StatusCode, body)
				assert.Contains(t, body, tt.reason)
				assert.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))
			}
		})
	}
}

func TestAnswerThatGoesWrongLateIsCutOff(t *testing.T) {
	const size = 200_000 // above what is read ahead
	tests := []struct {
		name     string
		limit    int64
		upstream http.HandlerFunc
	}{
		{"too large", size - 1, func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush() // so that no length is announced
			_, _ = io.WriteString(w, strings.Repeat("x", size))
		}},
		{"broken off", size, func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, strings.Repeat("x", size/2))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}},
		{"broken off although its length is known", size, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(size))
			_, _ = io.WriteString(w, strings.Repeat("x", size/2))
			panic(http.ErrAbortHandler)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c cluster
			c.serve(t, "upstream:80", tt.upstream)
			app := c.app(t, flaskapp.Config{Limits: flaskapp.Limits{Bytes: tt.limit}})
			for _, path := range []string{"/fetch", "/fetch_with_header"} {
				res, err := http.Get(app + path + "?url=http://upstream/")
				require.NoError(t, err)
				assert.Equal(t, http.StatusOK, res.StatusCode)
				_, err = io.ReadAll(res.Body)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, "the caller can tell")
				require.NoError(t, res.Body.Close())
			}
		})
	}
}

func TestAnswerAsLargeAsAllowedIsWhole(t *testing.T) {
	for _, size := range []int{1000, 64 << 10, 200_000} {
		var c cluster
		c.serve(t, "upstream:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, strings.Repeat("x", size))
		}))
		app := c.app(t, flaskapp.Config{Limits: flaskapp.Limits{Bytes: int64(size)}})
		_, body := get(t, app+"/fetch?url=http://upstream/", nil)
		assert.Len(t, body, size)
	}
}

func TestRedirectsAreFollowedWithTheTrace(t *testing.T) {
	var c cluster
	var upstream seen
	c.serve(t, "end:80", &upstream)
	c.serve(t, "start:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/2" {
			http.Redirect(w, r, "/1", http.StatusFound)
			return
		}
		http.Redirect(w, r, "http://end/", http.StatusMovedPermanently)
	}))
	app := c.app(t, flaskapp.Config{Limits: flaskapp.Limits{Redirects: 2}})
	_, body := get(t, app+"/fetch_with_trace?url=http://start/2", fromSidecar)
	assert.Equal(t, "seen", body)
	got := upstream.take(t)
	for name, values := range fromSidecar {
		assert.Equal(t, values, got[name])
	}
}

func TestHostsAreFetchedOnlyWhereThePolicySays(t *testing.T) {
	tests := []struct {
		name   string
		allow  string
		url    string
		status int
		reason string
	}{
		{"loopback is refused", "", "http://127.0.0.1:PORT/", 403, "loopback"},
		{"a name for loopback is refused", "", "http://upstream/", 403, "upstream at 127.0.0.1"},
		{"a range admits it", "127.0.0.0/8", "http://upstream/", 200, "seen"},
		{"its name admits it", "upstream", "http://upstream/", 200, "seen"},
		{"another name does not", "other", "http://upstream/", 403, "FETCH_ALLOW"},
		{"its address is not its name", "upstream", "http://127.0.0.1:PORT/", 403, "loopback"},
		{"metadata is refused whatever is allowed", "0.0.0.0/0", "http://169.254.169.254/", 403, "metadata"},
		{"an address written as a number may be any", "", "http://2130706433:PORT/", 400, "a number"},
		{"unspecified is refused", "0.0.0.0/0", "http://0.0.0.0:PORT/", 403, "unspecified"},
		{"loopback as IPv6 is refused", "", "http://[::ffff:127.0.0.1]:PORT/", 403, "loopback"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c cluster
			var upstream seen
			server := c.serve(t, "upstream:80", &upstream)
			app := c.app(t, flaskapp.Config{Dialer: allow(t, tt.allow)})
			port := server.URL[strings.LastIndexByte(server.URL, ':')+1:]
			res, body := get(t, app+"/fetch?url="+strings.ReplaceAll(tt.url, "PORT", port), nil)
			assert.Equal(t, tt.status, res.StatusCode)
			assert.Contains(t, body, tt.reason)
			assert.Equal(t, tt.status == http.StatusOK, len(upstream.headers) == 1)
		})
	}
}

func TestLogSaysWhatFailedWithItsRequestAndTrace(t *testing.T) {
	var b bytes.Buffer
	h := flaskapp.New(flaskapp.Config{Logger: slog.New(telemetry.Log(slog.NewJSONHandler(&b, nil)))})
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/fetch?url=http://169.254.169.254/", nil)
	r.Header = fromSidecar
	h.ServeHTTP(httptest.NewRecorder(), r)
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	require.Len(t, lines, 2)
	for _, line := range lines {
		assert.Contains(t, line, `"request_id":"7ab5d1cd-7c9c-9e5b-8ac9-dd5eac57b3b3"`)
		assert.Contains(t, line, `"trace_id":"463ac35c9f6413ad48485a3953bb6124"`)
		assert.Contains(t, line, `"status":403`)
	}
}

func TestLogHasOfWhatIsFetchedNoMoreThanItsHost(t *testing.T) {
	tests := []struct {
		name     string
		upstream http.Handler // nil does not listen
		says     string
	}{
		{"it is down", nil, "connection refused"},
		{"it hangs up", answering(""), "EOF"},
		{"its body is too large", answering("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"), "larger than 1000 bytes (FETCH_MAX_BYTES)"},
		{"it redirects in a circle", http.RedirectHandler("?secret", http.StatusFound), "more than 3 redirects (FETCH_MAX_REDIRECTS)"},
		{"it redirects to a file", http.RedirectHandler("file:///secret", http.StatusFound), "its scheme is neither http nor https"},
		{"it redirects to a port that does not exist", http.RedirectHandler("//upstream:0/?secret", http.StatusFound), "port 0 does not exist"},
		{"it redirects to a metadata service", http.RedirectHandler("http://169.254.169.254/?secret", http.StatusFound), "not allowed to connect to 169.254.169.254"},
		{"it redirects to what is no URL", answering("HTTP/1.1 302 Found\r\nLocation: /%zz?secret\r\n\r\n"), "failed to parse Location header"},
		{"it is slow", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), "deadline exceeded (FETCH_TIMEOUT)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c cluster
			if tt.upstream != nil {
				c.serve(t, "upstream:80", tt.upstream)
			} else {
				c.servers = map[string]string{"upstream:80": "127.0.0.1:1"}
			}
			limits := flaskapp.Limits{Bytes: 1000, Redirects: 3}
			if strings.Contains(tt.says, "FETCH_TIMEOUT") {
				limits.Time = 20 * time.Millisecond
			}
			dialer := allow(t, "127.0.0.1")
			dialer.Resolve = c.resolve
			var log bytes.Buffer
			h := flaskapp.New(flaskapp.Config{Limits: limits, Dialer: dialer, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/fetch?url=http://me:secret@upstream/secret?key=secret", nil))
			assert.Contains(t, w.Body.String(), tt.says, "the caller is told")
			assert.NotContains(t, log.String(), "secret")

			var line struct{ Msg, Host, Error string }
			first, _, _ := strings.Cut(log.String(), "\n")
			require.NoError(t, json.Unmarshal([]byte(first), &line))
			assert.Equal(t, "fetch failed", line.Msg)
			assert.Equal(t, "upstream", line.Host)
			assert.Contains(t, line.Error, tt.says)
		})
	}
}

func TestFetchEndsWhenTheCallerGoesAway(t *testing.T) {
	var c cluster
	entered, left := make(chan struct{}), make(chan struct{})
	c.serve(t, "upstream:80", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(left)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	dialer := allow(t, "127.0.0.0/8")
	dialer.Resolve = c.resolve
	w := httptest.NewRecorder()
	served := make(chan struct{})
	go func() {
		defer close(served)
		h := flaskapp.New(flaskapp.Config{Dialer: dialer, Logger: slog.New(slog.DiscardHandler)})
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/fetch?url=http://upstream/", nil))
	}()
	<-entered
	cancel()
	<-left
	<-served
	assert.Equal(t, 499, w.Code)
}

func TestConfigIsReadFromTheEnvironment(t *testing.T) {
	env := func(vars ...string) func(string) string {
		return func(name string) string {
			for _, v := range vars {
				if n, value, _ := strings.Cut(v, "="); n == name {
					return value
				}
			}
			return ""
		}
	}
	cfg, err := flaskapp.FromEnv(env())
	require.NoError(t, err)
	assert.Zero(t, cfg.Limits)

	cfg, err = flaskapp.FromEnv(env("FETCH_MAX_BYTES=5", "FETCH_TIMEOUT=2s", "FETCH_MAX_REDIRECTS=0", "FETCH_ALLOW=::1,x"))
	require.NoError(t, err)
	assert.Equal(t, flaskapp.Limits{Bytes: 5, Time: 2 * time.Second, Redirects: -1}, cfg.Limits)

	for _, wrong := range []string{
		"FETCH_MAX_BYTES=10M", "FETCH_MAX_BYTES=0", "FETCH_TIMEOUT=30", "FETCH_TIMEOUT=0s",
		"FETCH_MAX_REDIRECTS=-1", "FETCH_MAX_REDIRECTS=x", "FETCH_ALLOW=http://x",
	} {
		name, _, _ := strings.Cut(wrong, "=")
		_, err := flaskapp.FromEnv(env(wrong))
		assert.ErrorContains(t, err, name, wrong)
	}
}

func TestNoRedirectIsFollowedWhereNoneMayBe(t *testing.T) {
	var c cluster
	c.serve(t, "upstream:80", http.RedirectHandler("/", http.StatusFound))
	app := c.app(t, flaskapp.Config{Limits: flaskapp.Limits{Redirects: -1}})
	res, body := get(t, app+"/fetch?url=http://upstream/", nil)
	assert.Equal(t, http.StatusBadGateway, res.StatusCode)
	assert.Contains(t, body, "more than 0 redirects")
}
