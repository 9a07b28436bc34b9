package telemetry_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func (b *buffer) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Split(strings.TrimSuffix(b.b.String(), "\n"), "\n")
}

func logTo(b *buffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// recorded returns the Tracing of a service, and its spans.
func recorded(t *testing.T, service string) (*telemetry.Tracing, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	tracing, err := telemetry.New(t.Context(), telemetry.Config{
		Service: service, Version: "v1", Processor: spans, Sampler: sdktrace.ParentBased(sdktrace.AlwaysSample()),
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, tracing.Shutdown(context.Background())) })
	return tracing, spans
}

// off is every way to have no SDK.
func off(t *testing.T) map[string]*telemetry.Tracing {
	t.Helper()
	none, err := telemetry.New(t.Context(), telemetry.Config{Exporter: "none"})
	require.NoError(t, err)
	return map[string]*telemetry.Tracing{"none": none, "nil": nil, "zero": {}}
}

// roundTrip is a base transport that only keeps the requests.
type roundTrip struct{ sent []*http.Request }

func (rt *roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	rt.sent = append(rt.sent, r)
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

// relay serves a request with the headers by calling urls, and returns the
// headers of these calls.
func relay(t *testing.T, tracing *telemetry.Tracing, header http.Header, urls ...string) []http.Header {
	t.Helper()
	var base roundTrip
	client := tracing.Transport(&base)
	h := tracing.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, url := range urls {
			req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url, nil)
			require.NoError(t, err)
			res, err := client.RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
		}
	}))
	in := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	in.Header = header
	h.ServeHTTP(httptest.NewRecorder(), in)
	var sent []http.Header
	for _, r := range base.sent {
		sent = append(sent, r.Header)
	}
	return sent
}

var fromSidecar = http.Header{
	"X-Request-Id":      {"7ab5d1cd-7c9c-9e5b-8ac9-dd5eac57b3b3"},
	"X-B3-Traceid":      {"463ac35c9f6413ad"},
	"X-B3-Spanid":       {"a2fb4a1d1a96d312"},
	"X-B3-Parentspanid": {"0020000000000001"},
	"X-B3-Sampled":      {"1"},
	"End-User":          {"bob"},
}

func TestWithoutSDKHeadersAreRelayedByteForByte(t *testing.T) {
	for name, tracing := range off(t) {
		t.Run(name, func(t *testing.T) {
			assert.False(t, tracing.MakesSpans())
			sent := relay(t, tracing, fromSidecar, "http://httpbin:8000/ip")
			assert.Equal(t, fromSidecar, sent[0])
			assert.NoError(t, tracing.Shutdown(t.Context()))
		})
	}
}

func TestWithoutSDKNothingIsInvented(t *testing.T) {
	for name, tracing := range off(t) {
		t.Run(name, func(t *testing.T) {
			sent := relay(t, tracing, http.Header{"Accept": {"*/*"}}, "http://httpbin:8000/ip")
			assert.Empty(t, sent[0])
		})
	}
}

func TestUserStaysInside(t *testing.T) {
	withSDK, _ := recorded(t, "flaskapp")
	for name, tracing := range map[string]*telemetry.Tracing{"without SDK": nil, "with SDK": withSDK} {
		t.Run(name, func(t *testing.T) {
			sent := relay(t, tracing, fromSidecar, "http://httpbin:8000/ip", "http://10.0.0.1/", "https://api.example.com/")
			assert.Equal(t, "bob", sent[0].Get("End-User"))
			assert.Equal(t, "bob", sent[1].Get("End-User"))
			assert.NotContains(t, sent[2], "End-User")
			for _, h := range sent {
				assert.Equal(t, fromSidecar.Get("X-Request-Id"), h.Get("X-Request-Id"))
				assert.Equal(t, fromSidecar.Get("X-B3-Traceid"), h.Get("X-B3-Traceid"))
			}
		})
	}
}

func TestSpansJoinTheTraceThatCameIn(t *testing.T) {
	tracing, spans := recorded(t, "flaskapp")
	require.True(t, tracing.MakesSpans())
	sent := relay(t, tracing, fromSidecar, "http://httpbin:8000/ip?secret=1")
	ended := spans.Ended()
	require.Len(t, ended, 2)
	client, server := ended[0], ended[1]

	assert.Equal(t, "a2fb4a1d1a96d312", server.Parent().SpanID().String())
	assert.Equal(t, trace.SpanKindServer, server.SpanKind())
	assert.Equal(t, server.SpanContext().SpanID(), client.Parent().SpanID())
	assert.Equal(t, trace.SpanKindClient, client.SpanKind())
	assert.Equal(t, client.SpanContext().SpanID().String(), sent[0].Get("X-B3-Spanid"))
	assert.Equal(t, "GET", client.Name())
	attrs := attribute.NewSet(client.Attributes()...)
	for _, key := range []attribute.Key{"http.request.method", "url.full", "server.address", "server.port", "http.response.status_code"} {
		assert.True(t, attrs.HasValue(key), "%s in %v", key, client.Attributes())
	}
	for _, span := range ended {
		assert.Contains(t, span.Attributes(), attribute.StringSlice("http.request.header.x-request-id", fromSidecar["X-Request-Id"]))
	}
	res := attribute.NewSet(server.Resource().Attributes()...)
	for key, want := range map[attribute.Key]string{"service.name": "flaskapp", "service.version": "v1"} {
		got, _ := res.Value(key)
		assert.Equal(t, want, got.AsString())
	}
}

func TestServicesOfOneProcessHaveNamesOfTheirOwn(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "environment")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=attributes,deployment.environment.name=test")
	for _, service := range []string{"flaskapp", "httpbin"} {
		tracing, spans := recorded(t, service)
		relay(t, tracing, nil)
		res := attribute.NewSet(spans.Ended()[0].Resource().Attributes()...)
		name, _ := res.Value("service.name")
		assert.Equal(t, service, name.AsString())
		env, _ := res.Value("deployment.environment.name")
		assert.Equal(t, "test", env.AsString())
	}
}

func TestServerSpanIsNamedByMethodAndRoute(t *testing.T) {
	nothing := func(http.ResponseWriter, *http.Request) {}
	tracing, spans := recorded(t, "flaskapp")
	inRouter := chi.NewRouter()
	inRouter.Use(tracing.Handler)
	inRouter.Get("/", nothing)
	inRouter.Get("/env/{name}", nothing)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", nothing)
	mux.HandleFunc("GET /env/{name}", nothing)
	mux.HandleFunc("/any/", nothing)
	mux.HandleFunc("/cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	around := tracing.Handler(mux)

	tests := []struct {
		name         string
		h            http.Handler
		method, path string
		span, route  string
	}{
		{"chi's root", inRouter, "GET", "/", "GET /", "/"},
		{"chi's parameter is not filled in", inRouter, "GET", "/env/PATH", "GET /env/{name}", "/env/{name}"},
		{"chi's missing route is no name", inRouter, "GET", "/wp-login.php", "GET", ""},
		{"an unknown method is no name in chi", inRouter, "BREW", "/", "HTTP", ""},
		{"ServeMux's root", around, "GET", "/", "GET /", "/"},
		{"ServeMux's parameter is not filled in", around, "GET", "/env/PATH", "GET /env/{name}", "/env/{name}"},
		{"ServeMux's missing route is no name", around, "GET", "/wp-login.php", "GET", ""},
		{"ServeMux's subtree has one name", around, "POST", "/any/thing", "POST /any/", "/any/"},
		{"an unknown method is no name in ServeMux", around, "BREW", "/any/thing", "HTTP /any/", "/any/"},
		{"a request that is cut off", around, "GET", "/cut", "GET /cut", "/cut"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spans.Reset()
			func() {
				defer func() { _ = recover() }()
				tt.h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, nil))
			}()
			require.Len(t, spans.Ended(), 1)
			span := spans.Ended()[0]
			assert.Equal(t, tt.span, span.Name())
			attrs := attribute.NewSet(span.Attributes()...)
			route, _ := attrs.Value("http.route")
			assert.Equal(t, tt.route, route.AsString())
			if tt.path == "/cut" {
				assert.Equal(t, codes.Error, span.Status().Code)
			}
		})
	}
}

func TestSamplerIsTheEnvironmentsUnlessGiven(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	spans := tracetest.NewSpanRecorder()
	tracing, err := telemetry.New(t.Context(), telemetry.Config{Processor: spans})
	require.NoError(t, err)
	defer func() { assert.NoError(t, tracing.Shutdown(t.Context())) }()
	sent := relay(t, tracing, fromSidecar, "http://httpbin:8000/ip")
	assert.Empty(t, spans.Ended())
	assert.Equal(t, fromSidecar, sent[0], "what is not sampled here is relayed")

	given, spans := recorded(t, "flaskapp")
	relay(t, given, fromSidecar)
	assert.Len(t, spans.Ended(), 1)
}

func TestConfigIsReadFromTheEnvironment(t *testing.T) {
	env := map[string]string{}
	getenv := func(name string) string { return env[name] }
	assert.Equal(t, telemetry.Config{Service: "sleep"}, telemetry.FromEnv(getenv, "sleep"))
	env["OTEL_SERVICE_NAME"], env["OTEL_TRACES_EXPORTER"], env["version"] = "s", "jaeger", "v2"
	assert.Equal(t, telemetry.Config{Service: "s", Exporter: "jaeger", Version: "v2"}, telemetry.FromEnv(getenv, "sleep"))
	env["OTEL_PROPAGATORS"] = "tracecontext"
	assert.Equal(t, "tracecontext", telemetry.FromEnv(getenv, "sleep").Propagators)
	env["OTEL_SDK_DISABLED"] = "true"
	assert.Equal(t, "none", telemetry.FromEnv(getenv, "sleep").Exporter)
}

func TestTraceBeginsInBothFormatsAndOneIsBelieved(t *testing.T) {
	for propagators, believed := range map[string]string{
		"":                      "X-B3-Traceid",
		"b3multi":               "X-B3-Traceid",
		"b3multi,tracecontext":  "X-B3-Traceid",
		"tracecontext":          "Traceparent",
		"tracecontext, baggage": "Traceparent",
	} {
		t.Run(propagators, func(t *testing.T) {
			tracing, err := telemetry.New(t.Context(), telemetry.Config{
				Service: "sleep", Propagators: propagators, Processor: tracetest.NewSpanRecorder(), Sampler: sdktrace.AlwaysSample(),
			})
			require.NoError(t, err)
			begun := relay(t, tracing, http.Header{}, "http://flaskapp/")[0]
			assert.NotEmpty(t, begun.Get("X-B3-Traceid"))
			assert.Equal(t, "00-"+begun.Get("X-B3-Traceid")+"-"+begun.Get("X-B3-Spanid")+"-01", begun.Get("Traceparent"))

			// Where two traces came in, it is that of the sidecars' format.
			const ofB3, ofW3C = "463ac35c9f6413ad48485a3953bb6124", "4bf92f3577b34da6a3ce929d0e0e4736"
			joined := tracing.Context(t.Context(), http.Header{
				"X-B3-Traceid": {ofB3}, "X-B3-Spanid": {"a2fb4a1d1a96d312"}, "X-B3-Sampled": {"1"},
				"Traceparent": {"00-" + ofW3C + "-00f067aa0ba902b7-01"},
			})
			want := map[string]string{"X-B3-Traceid": ofB3, "Traceparent": ofW3C}[believed]
			assert.Equal(t, want, trace.SpanContextFromContext(joined).TraceID().String())
		})
	}
}

func TestWrongExporterIsRefusedWithTheRightOnes(t *testing.T) {
	_, err := telemetry.New(t.Context(), telemetry.Config{Exporter: "zipkin"})
	require.ErrorContains(t, err, "otlp, jaeger, console or none")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	_, err = telemetry.New(t.Context(), telemetry.Config{})
	require.ErrorContains(t, err, "http/protobuf")
}

func TestEndpointThatIsNoURLIsRefusedAtStartup(t *testing.T) {
	const general, own, jaeger = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_JAEGER_ENDPOINT"
	tests := []struct {
		name     string
		exporter string
		env      map[string]string
		says     string // "" is not refused
	}{
		{"a host and a port", "otlp", map[string]string{general: "localhost:4318"}, `read OTEL_EXPORTER_OTLP_ENDPOINT: "localhost:4318" is no URL: begin it with http://`},
		{"an address and a port", "otlp", map[string]string{general: "10.1.2.3:4318"}, `"10.1.2.3:4318" is no URL`},
		{"a host", "otlp", map[string]string{general: "collector"}, `"collector" is no URL`},
		{"another scheme", "otlp", map[string]string{general: "grpc://collector:4317"}, `"grpc://collector:4317" is no URL`},
		{"no host", "otlp", map[string]string{general: "http://:4318"}, `"http://:4318" is no URL`},
		{"that of the traces", "otlp", map[string]string{own: "localhost:4318/v1/traces"}, own},
		{"Jaeger's", "jaeger", map[string]string{jaeger: "jaeger:14268/api/traces"}, jaeger},
		{"a URL", "otlp", map[string]string{general: "https://collector.example/otlp"}, ""},
		{"a URL with spaces around it", "otlp", map[string]string{general: " http://[::1]:4318 "}, ""},
		{"spaces alone are none", "otlp", map[string]string{general: " "}, ""},
		{"what does not count is not judged", "otlp", map[string]string{own: "http://collector:4318/v1/traces", general: "collector:4317"}, ""},
		{"what another exporter has is not judged", "jaeger", map[string]string{general: "collector:4317"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			tracing, err := telemetry.New(t.Context(), telemetry.Config{Exporter: tt.exporter, Logger: logTo(&buffer{})})
			if tt.says != "" {
				require.ErrorContains(t, err, tt.says)
				return
			}
			require.NoError(t, err)
			require.NoError(t, tracing.Shutdown(t.Context()))
		})
	}
}

// collector keeps what is posted to it, by path.
func collector(t *testing.T, h http.HandlerFunc) (url string, posted func(path string) string) {
	t.Helper()
	var mu sync.Mutex
	got := make(map[string]string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		got[r.URL.Path] += string(body)
		mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(func() {
		s.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return s.URL, func(path string) string {
		mu.Lock()
		defer mu.Unlock()
		return got[path]
	}
}

func TestShutdownSendsTheLastSpans(t *testing.T) {
	url, posted := collector(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	tests := []struct{ exporter, env, value, path string }{
		{"", "OTEL_EXPORTER_OTLP_ENDPOINT", url, "/v1/traces"},
		{"otlp", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url + "/own", "/own"},
		{"jaeger", "OTEL_EXPORTER_JAEGER_ENDPOINT", url + "/api/traces", "/api/traces"},
	}
	for _, tt := range tests {
		t.Run(tt.exporter+" to "+tt.path, func(t *testing.T) {
			t.Setenv(tt.env, tt.value)
			var log buffer
			tracing, err := telemetry.New(t.Context(), telemetry.Config{Service: "flaskapp-of-the-test", Exporter: tt.exporter, Logger: logTo(&log)})
			require.NoError(t, err)
			relay(t, tracing, fromSidecar)
			require.NoError(t, tracing.Shutdown(t.Context()))
			assert.Contains(t, posted(tt.path), "flaskapp-of-the-test")
			assert.Contains(t, posted(tt.path), "GET")
			assert.Equal(t, []string{""}, log.lines())
		})
	}
}

func TestShutdownEndsInTimeWhenTheBackendHangs(t *testing.T) {
	hang := make(chan struct{})
	url, _ := collector(t, func(http.ResponseWriter, *http.Request) { <-hang })
	defer close(hang)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
	var log buffer
	tracing, err := telemetry.New(t.Context(), telemetry.Config{Logger: logTo(&log)})
	require.NoError(t, err)
	relay(t, tracing, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, tracing.Shutdown(ctx), context.DeadlineExceeded)
	// The export itself is given up as well, which goleak checks at the end
	// and the log says.
	require.Eventually(t, func() bool { return strings.Contains(log.lines()[0], "spans_lost=1") }, 10*time.Second, time.Millisecond)
}

func TestShutdownStopsWhereTheTimeIsUpBefore(t *testing.T) {
	url, _ := collector(t, func(http.ResponseWriter, *http.Request) {})
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
	tracing, err := telemetry.New(t.Context(), telemetry.Config{Logger: logTo(&buffer{})})
	require.NoError(t, err)
	relay(t, tracing, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, tracing.Shutdown(ctx), context.Canceled)
	// goleak checks at the end that nothing is left.
}

func TestUnreachableBackendIsToldOnceAMinuteAtMost(t *testing.T) {
	for _, exporter := range []string{"otlp", "jaeger"} {
		t.Run(exporter, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv("OTEL_EXPORTER_JAEGER_ENDPOINT", "http://127.0.0.1:1/api/traces")
			synctest.Test(t, func(t *testing.T) {
				var log buffer
				tracing, err := telemetry.New(t.Context(), telemetry.Config{Exporter: exporter, Logger: logTo(&log)})
				require.NoError(t, err)
				for range 60 { // one span a second, sent in batches every five
					relay(t, tracing, fromSidecar)
					time.Sleep(time.Second)
				}
				require.Len(t, log.lines(), 1)
				assert.Contains(t, log.lines()[0], "connection refused")
				for range 10 {
					relay(t, tracing, fromSidecar)
					time.Sleep(time.Second)
				}
				require.Len(t, log.lines(), 2)
				assert.Regexp(t, `spans_lost=(5[5-9]|6\d)\b`, log.lines()[1])
				require.NoError(t, tracing.Shutdown(t.Context()))
				require.Len(t, log.lines(), 3)
				lost := 0
				for _, n := range regexp.MustCompile(`spans_lost=(\d+)`).FindAllStringSubmatch(strings.Join(log.lines(), "\n"), -1) {
					i, err := strconv.Atoi(n[1])
					require.NoError(t, err)
					lost += i
				}
				assert.Equal(t, 70, lost, "what was lost after the last line is told at the end")
			})
		})
	}
}

func TestFullQueueDropsSpansAndServesRequests(t *testing.T) {
	hang := make(chan struct{})
	url, _ := collector(t, func(http.ResponseWriter, *http.Request) { <-hang })
	defer close(hang)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
	tracing, err := telemetry.New(t.Context(), telemetry.Config{Logger: logTo(&buffer{})})
	require.NoError(t, err)
	for range 1000 { // would never end if one of them waited for the backend
		relay(t, tracing, fromSidecar)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, tracing.Shutdown(ctx), context.DeadlineExceeded)
}

func TestLogLinesNameTheRequestAndItsTrace(t *testing.T) {
	withSDK, spans := recorded(t, "flaskapp")
	tests := []struct {
		name    string
		tracing *telemetry.Tracing
		header  http.Header
		want    string
	}{
		{"B3", nil, http.Header{"X-Request-Id": {"r-1"}, "X-B3-Traceid": {"463ac35c9f6413ad"}, "X-B3-Spanid": {"a2fb4a1d1a96d312"}}, "request_id=r-1 trace_id=463ac35c9f6413ad"},
		{"B3 in one header", nil, http.Header{"B3": {"463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1"}}, "trace_id=463ac35c9f6413ad48485a3953bb6124"},
		{"a decision alone is no trace", nil, http.Header{"B3": {"0"}}, "hello"},
		{"W3C", nil, http.Header{"Traceparent": {"00-463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-01"}}, "trace_id=463ac35c9f6413ad48485a3953bb6124"},
		{"what is no ID is not logged", nil, http.Header{"X-B3-Traceid": {"463ac35c9f6413aX"}, "Traceparent": {"00-00000000000000000000000000000000-"}}, "hello"},
		{"nothing", nil, nil, "hello"},
		{"an SDK's trace", withSDK, http.Header{"X-Request-Id": {"r-1"}}, "request_id=r-1 trace_id=SPAN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b buffer
			log := slog.New(telemetry.Log(slog.NewTextHandler(&b, nil))).With("a", 1)
			spans.Reset()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.Header = tt.header
			tt.tracing.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				log.InfoContext(r.Context(), "hello")
			})).ServeHTTP(httptest.NewRecorder(), r)
			want := tt.want
			if ended := spans.Ended(); len(ended) > 0 {
				want = strings.ReplaceAll(want, "SPAN", ended[0].SpanContext().TraceID().String())
			}
			if want == "hello" {
				assert.True(t, strings.HasSuffix(b.lines()[0], "msg=hello a=1"), b.lines()[0])
				return
			}
			assert.True(t, strings.HasSuffix(b.lines()[0], "msg=hello a=1 "+want), b.lines()[0])
		})
	}
}
