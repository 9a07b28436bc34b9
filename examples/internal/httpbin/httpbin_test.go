package httpbin_test

import (
	"bufio"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tracebaton/tracebaton/examples/internal/httpbin"
	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestSpansAreNamedByTheRoutesOfGoHttpbin(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracing, err := telemetry.New(t.Context(), telemetry.Config{Processor: spans, Sampler: sdktrace.AlwaysSample()})
	require.NoError(t, err)
	h := httpbin.New(httpbin.Config{Tracing: tracing, Logger: slog.New(slog.DiscardHandler)})
	tests := []struct {
		method, path string
		status       int
		span         string
	}{
		{"GET", "/", 200, "GET /"},
		{"GET", "/ip", 200, "GET /ip"},
		{"HEAD", "/headers", 200, "HEAD /headers"},
		{"GET", "/headers?strings", 200, "GET /headers"},
		{"HEAD", "/headers?strings=1", 200, "HEAD /headers"},
		{"GET", "/get?a=1", 200, "GET /get"},
		{"GET", "/status/418", 418, "GET /status/{code}"},
		{"DELETE", "/anything/at/all", 200, "DELETE /anything/"},
		{"BREW", "/anything", 200, "HTTP /anything"},
		{"GET", "/nosuch/1234", 404, "GET"},
		{"OPTIONS", "/ip", 200, "OPTIONS"},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			spans.Reset()
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, nil))
			assert.Equal(t, tt.status, w.Code)
			require.Len(t, spans.Ended(), 1)
			assert.Equal(t, tt.span, spans.Ended()[0].Name())
		})
	}
}

func TestAnswersAreStreamed(t *testing.T) {
	s := httptest.NewServer(httpbin.New(httpbin.Config{Logger: slog.New(slog.DiscardHandler)}))
	defer s.Close()
	// The second event comes too late for the test to wait for: the first one
	// must be there before.
	res, err := http.Get(s.URL + "/sse?count=2&duration=10s")
	require.NoError(t, err)
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "event: ping\n", line)
	require.NoError(t, res.Body.Close())
}

func TestHeadersAreShownAsTheyCame(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/headers", nil)
	r.Header.Set("X-B3-Traceid", "463ac35c9f6413ad")
	w := httptest.NewRecorder()
	httpbin.New(httpbin.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}).ServeHTTP(w, r)
	assert.JSONEq(t, `{"headers": {"Host": ["example.com"], "X-B3-Traceid": ["463ac35c9f6413ad"]}}`, w.Body.String())
}

func TestHeadersAreShownAsStringsWhereThatIsAskedFor(t *testing.T) {
	h := httpbin.New(httpbin.Config{Logger: slog.New(slog.DiscardHandler)})
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/headers?strings", nil)
	r.Header = http.Header{"X-B3-Traceid": {"463ac35c9f6413ad"}, "Tracestate": {"a=1", "b=<2>"}, "X-Request-Id": {"r"}}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
	assert.Equal(t, `{
  "headers": {
    "Host": "example.com",
    "Tracestate": "a=1,b=<2>",
    "X-B3-Traceid": "463ac35c9f6413ad",
    "X-Request-Id": "r"
  }
}
`, w.Body.String())
}
