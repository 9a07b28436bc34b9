package tracestore_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/examples/internal/tracestore"
)

func get(t testing.TB, handler http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	return ask(t, handler, http.MethodGet, "localhost:16686", path)
}

func ask(t testing.TB, handler http.Handler, method, host, path string) *httptest.ResponseRecorder {
	t.Helper()
	u, err := url.Parse("http://localhost" + path)
	require.NoError(t, err)
	r := &http.Request{Method: method, Host: host, URL: u, Header: http.Header{}}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r.WithContext(t.Context()))
	return w
}

type traces struct {
	Data []struct {
		TraceID string
		Spans   []struct {
			SpanID        string
			OperationName string
			Tags          []struct {
				Key, Type string
				Value     any
			}
		}
		Processes map[string]struct{ ServiceName string }
	}
	Errors []struct {
		Code int
		Msg  string
	}
}

func tracesAt(t testing.TB, handler http.Handler, path string) traces {
	t.Helper()
	var a traces
	w := get(t, handler, path)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a), "%s", w.Body)
	return a
}

// What Jaeger answers to these depends on its storage, or is a bug of its own.
func TestSearch(t *testing.T) {
	handler := stored(t).Handler()
	during := fmt.Sprintf("&start=%d&end=%d", noon.Add(-time.Hour).UnixMicro(), noon.Add(time.Hour).UnixMicro())
	tests := []struct {
		name  string
		query string
		found []string
	}{
		{"errors are those that say so", `service=sleep&tags={"error":"true"}`, []string{shortID[16:]}},
		{"no errors are all others", `service=sleep&tags={"error":"false"}`, []string{longID}},
		{"a span's kind is a tag as the UI shows it", `service=sleep&tag=span.kind:internal`, []string{shortID[16:]}},
		{"a list is a tag as the UI shows it", `service=sleep&tags={"numbers":"[1,2]"}`, []string{longID}},
		{"one span must have all tags", `service=flaskapp&tags={"zone":"a","service.version":"v2"}`, nil},
		{"the newest is first", `service=sleep`, []string{shortID[16:], longID}},
		{"the time is that of the span", fmt.Sprintf("service=httpbin&start=%d", noon.Add(16*time.Millisecond).UnixMicro()), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := tt.query
			if !strings.Contains(q, "start=") {
				q += during
			}
			var found []string
			for _, tr := range tracesAt(t, handler, "/api/traces?"+q).Data {
				found = append(found, tr.TraceID)
			}
			assert.Equal(t, tt.found, found)
		})
	}
}

func TestMalformedQueriesAreRefusedAsJaegerRefuses(t *testing.T) {
	handler := stored(t).Handler()
	tests := []struct{ name, path, reason string }{
		{"no traces at all", "/api/traces?service=a&limit=0", "limit"},
		{"fewer than none", "/api/traces?service=a&limit=-1", "limit"},
		{"more traces than the UI can show", "/api/traces?service=a&limit=1501", "limit"},
		{"a limit that no integer holds", "/api/traces?service=a&limit=99999999999999999999", "limit"},
		{"a negative duration", "/api/traces?service=a&minDuration=-1s", "minDuration"},
		{"a duration of words", "/api/traces?service=a&maxDuration=long", "maxDuration"},
		{"an end that no integer holds", "/api/traces?service=a&end=99999999999999999999", "end"},
		{"tags that are a list", "/api/traces?service=a&tags=[]", "tags"},
		{"a tag that is a number", `/api/traces?service=a&tags={"a":1}`, "tags"},
		{"more tags than anybody types", "/api/traces?service=a" + manyTags(33), "more than 32"},
		{"raw or what", "/api/traces?service=a&raw=perhaps", "raw"},
		{"an escape that is none", "/api/traces?service=%zz", "malformed query"},
		{"an ID that is empty", "/api/traces?traceID=", "traceID"},
		{"a trace's ID with a sign", "/api/traces/-1", "trace ID"},
		{"a lookback that is negative", "/api/dependencies?lookback=-1", "lookback"},
		{"a lookback beyond all time", "/api/dependencies?lookback=9223372036854775807", "lookback"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := get(t, handler, tt.path)
			assert.Equal(t, http.StatusBadRequest, w.Code)
			assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
			var a traces
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
			require.Len(t, a.Errors, 1)
			assert.Equal(t, http.StatusBadRequest, a.Errors[0].Code)
			assert.Contains(t, a.Errors[0].Msg, tt.reason)
			assert.Nil(t, a.Data)
		})
	}
}

func manyTags(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "&tag=%d:x", i)
	}
	return b.String()
}

func TestLimitBoundsWhatIsFound(t *testing.T) {
	store := &tracestore.Store{}
	var spans []sdktrace.ReadOnlySpan
	for i := range 120 {
		spans = append(spans, tracetest.SpanStub{
			Name:        "work",
			SpanContext: spanContext(t, fmt.Sprintf("%032x", i+1), "00000000000000a1", trace.TraceState{}),
			StartTime:   time.Now(), EndTime: time.Now(),
			Resource: service("busy"),
		}.Snapshot())
	}
	require.NoError(t, store.ExportSpans(t.Context(), spans))
	handler := store.Handler()
	assert.Len(t, tracesAt(t, handler, "/api/traces?service=busy").Data, 100)
	assert.Len(t, tracesAt(t, handler, "/api/traces?service=busy&limit=110").Data, 110)
	assert.Len(t, tracesAt(t, handler, "/api/traces?traceID=1&traceID=01&traceID=2").Data, 2)
}

func TestEverySpanCanBeShown(t *testing.T) {
	store := &tracestore.Store{}
	require.NoError(t, store.ExportSpans(t.Context(), tracetest.SpanStubs{{
		Name:        "odd \xff",
		SpanContext: spanContext(t, longID, "00000000000000a1", trace.TraceState{}),
		StartTime:   noon, EndTime: noon.Add(-time.Second),
		Attributes: []attribute.KeyValue{
			attribute.Float64("nan", math.NaN()),
			attribute.Float64("infinite", math.Inf(-1)),
			{Key: "nothing"},
		},
	}}.Snapshots()))
	a := tracesAt(t, store.Handler(), "/api/traces/"+longID+"?raw=1")
	require.Len(t, a.Data, 1)
	assert.Equal(t, "missing-service-name", a.Data[0].Processes["p1"].ServiceName)
	values := map[string]any{}
	for _, tag := range a.Data[0].Spans[0].Tags {
		values[tag.Key] = tag.Value
	}
	assert.Equal(t, map[string]any{"nan": "NaN", "infinite": "-Inf", "nothing": ""}, values)
}

func TestPrettyPrint(t *testing.T) {
	handler := stored(t).Handler()
	assert.Contains(t, get(t, handler, "/api/services?prettyPrint=true").Body.String(), "\n    \"data\"")
	assert.NotContains(t, get(t, handler, "/api/services?prettyPrint=false").Body.String(), "\n")
}

func TestUI(t *testing.T) {
	handler := (&tracestore.Store{}).Handler()
	page := get(t, handler, "/").Body.String()
	require.Contains(t, page, `id="jaeger-ui-root"`)
	_, script, _ := strings.Cut(page, `src="./static/`)
	script, _, _ = strings.Cut(script, `"`)

	tests := []struct {
		name, method, path string
		status             int
		body               string // what is in it
		header             map[string]string
	}{
		{
			name: "has the graph in its menu", path: "/", status: 200,
			body: `"dependencies":{"menuEnabled":true}`,
		},
		{
			name: "is one page for all that it shows", path: "/trace/" + longID, status: 200,
			body:   `id="jaeger-ui-root"`,
			header: map[string]string{"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache"},
		},
		{
			name: "has a page to compare traces", path: "/trace/a...b", status: 200,
			body: `id="jaeger-ui-root"`,
		},
		{
			name: "has its script, for good", path: "/static/" + script, status: 200,
			body:   "jaeger",
			header: map[string]string{"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "max-age=31536000, immutable"},
		},
		{name: "lists no files", path: "/static/", status: 404},
		{name: "has no other files", path: "/static/none.js", status: 404},
		{name: "has no files elsewhere", path: "/static/../index.html", status: 307},
		{name: "takes nothing", method: http.MethodPost, path: "/search", status: 405},
		{name: "asks only for what there is", path: "/api/v9/traces", status: 404, body: `"errors":[{"code":404`},
		{name: "is told that its server reads no OTLP files", method: http.MethodPost, path: "/api/transform", status: 501, body: `"errors":[{"code":501`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			method := tt.method
			if method == "" {
				method = http.MethodGet
			}
			w := ask(t, handler, method, "localhost", tt.path)
			assert.Equal(t, tt.status, w.Code)
			assert.Contains(t, w.Body.String(), tt.body)
			for name, value := range tt.header {
				assert.Equal(t, value, w.Header().Get(name))
			}
			assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
			assert.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
		})
	}
}

func TestPageRunsNoScriptsButItsOwn(t *testing.T) {
	policy := get(t, (&tracestore.Store{}).Handler(), "/").Header().Get("Content-Security-Policy")
	_, scripts, ok := strings.Cut(policy, "script-src ")
	require.True(t, ok)
	scripts, _, _ = strings.Cut(scripts, ";")
	assert.NotContains(t, scripts, "'unsafe-inline'")
	assert.NotContains(t, scripts, "'unsafe-eval'")
	assert.NotContains(t, scripts, "http")
	assert.Contains(t, policy, "frame-ancestors 'none'")
}

func TestOnlyThisMachinesNamesAreAnswered(t *testing.T) {
	handler := stored(t).Handler()
	tests := []struct {
		name, host string
		status     int
	}{
		{"localhost", "localhost:16686", 200},
		{"localhost in capitals and with a dot", "LOCALHOST.:16686", 200},
		{"a name below localhost", "jaeger.localhost", 200},
		{"an address", "127.0.0.1:16686", 200},
		{"an address without a port", "127.0.0.1", 200},
		{"an address of version 6", "[::1]:16686", 200},
		{"an address of version 6 without a port", "[::1]", 200},
		{"an address in the network, where -listen moved it", "192.168.1.7:16686", 200},
		{"a name that was made to lead here", "attacker.example:16686", 421},
		{"a name that begins like an address", "127.0.0.1.attacker.example", 421},
		{"a name that ends like localhost", "notlocalhost", 421},
		{"no name", "", 421},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/api/services", "/"} {
				w := ask(t, handler, http.MethodGet, tt.host, path)
				assert.Equal(t, tt.status, w.Code)
				if tt.status != 200 {
					assert.NotContains(t, w.Body.String(), "sleep")
				}
			}
		})
	}
}

func FuzzSearch(f *testing.F) {
	f.Add("service=sleep&start=1772362800000000&end=1772370000000000&limit=20&lookback=1h&maxDuration&minDuration=1ms&tags=%7B%22error%22%3A%22true%22%7D")
	f.Add("service=flaskapp&operation=GET+%2Ffetch&tag=a:b&raw=true&prettyPrint=true")
	f.Add("traceID=" + longID + "&traceID=a3ce929d0e0e4736&traceID=1")
	f.Add("service=a&limit=1500&start=-9223372036854775808&end=9223372036854775807")
	handler := stored(f).Handler()
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{Method: http.MethodGet, Host: "localhost", URL: &url.URL{Path: "/api/traces", RawQuery: query}}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r.WithContext(t.Context()))
		var a traces
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
		switch w.Code {
		case http.StatusOK:
			assert.LessOrEqual(t, len(a.Data), 2, "no trace twice")
		case http.StatusBadRequest:
			assert.Len(t, a.Errors, 1)
			assert.Nil(t, a.Data)
		default:
			assert.Fail(t, "what status is this", "%d", w.Code)
		}
	})
}

func FuzzTraceID(f *testing.F) {
	for _, id := range []string{longID, strings.ToUpper(longID), shortID, shortID[16:], "1", "0", "", "xyz", longID + "0", "+1", " 1", "1_0"} {
		f.Add(id)
	}
	handler := stored(f).Handler()
	f.Fuzz(func(t *testing.T, id string) {
		r := &http.Request{Method: http.MethodGet, Host: "localhost", URL: &url.URL{Path: "/api/traces", RawQuery: url.Values{"traceID": {id}}.Encode()}}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r.WithContext(t.Context()))

		valid := id != "" && len(id) <= 32 && strings.Trim(id, "0123456789abcdefABCDEF") == ""
		assert.Equal(t, valid, w.Code == http.StatusOK, "%q: %d", id, w.Code)
		var a traces
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
		for _, tr := range a.Data {
			assert.Equal(t, strings.TrimLeft(strings.ToLower(id), "0"), strings.TrimLeft(tr.TraceID, "0"))
		}
	})
}
