// Package exampletest has what the tests of the examples share: the conformance
// kit, and a hop that is looked at by hand.
package exampletest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/propagationtest"
)

// Conforms runs the conformance kit on a service that relays the families of
// Istio.
func Conforms(t *testing.T, service example.Service) {
	t.Helper()
	propagationtest.Run(t, propagationtest.Service{Handler: service})
}

// ConformsBy is Conforms for a service that calls the URL in the path, {upstream},
// with a context that comes from no request: a message's, or a job's.
func ConformsBy(t *testing.T, path string, service example.Service) {
	t.Helper()
	propagationtest.Run(t, propagationtest.Service{Handler: service, Path: path})
}

// ConformsAt is Conforms for a service that listens at the URL, and calls that
// in the path, {upstream}.
func ConformsAt(t *testing.T, url, path string) {
	t.Helper()
	propagationtest.Run(t, propagationtest.Service{URL: url, Path: path})
}

// Trace returns headers of all families of Istio, which have the word in them.
func Trace(word string) http.Header {
	return http.Header{
		"X-Request-Id":      {word},
		"X-B3-Traceid":      {"80f198ee56343ba864fe8b2a57d3eff7"},
		"X-B3-Spanid":       {"e457b5a2e4d86bd1"},
		"X-B3-Sampled":      {"1"},
		"Traceparent":       {"00-80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-01"},
		"Tracestate":        {"a=" + word, "b=2"},
		"X-Ot-Span-Context": {word},
	}
}

// Upstream records the calls that it gets.
type Upstream struct {
	URL string

	mu    sync.Mutex
	calls []*http.Request
}

// NewUpstream returns an upstream that answers ok until the test ends.
func NewUpstream(t *testing.T) *Upstream {
	t.Helper()
	u := new(Upstream)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.calls = append(u.calls, r)
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(server.Close)
	u.URL = server.URL
	return u
}

// Calls returns the trace headers of each call so far, and forgets the calls.
func (u *Upstream) Calls() []http.Header {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all []http.Header
	for _, r := range u.calls {
		all = append(all, Relayed(r.Header))
	}
	u.calls = nil
	return all
}

// Relayed returns those of the headers that belong to the families of Istio.
func Relayed(h http.Header) http.Header {
	relayed := http.Header{}
	for _, name := range propagation.Istio().Names() {
		name = http.CanonicalHeaderKey(name)
		if values, ok := h[name]; ok {
			relayed[name] = values
		}
	}
	return relayed
}

// Serve serves the service until the test ends, and returns its URL.
func Serve(t *testing.T, service http.Handler) string {
	t.Helper()
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	return server.URL
}

// Get makes a request with the headers and returns the answer.
func Get(t *testing.T, url string, headers http.Header) string {
	t.Helper()
	status, body := Try(t, url, headers)
	require.Equal(t, http.StatusOK, status, body)
	return body
}

// Try is Get for an answer that may be a failure.
func Try(t *testing.T, url string, headers http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header = headers.Clone()
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	body, err := example.Read(res)
	require.NoError(t, err)
	return res.StatusCode, strings.TrimSpace(string(body))
}

// Arrived returns the trace headers of the one call that the service makes for
// a request with these headers.
func Arrived(t *testing.T, service example.Service, headers http.Header) http.Header {
	t.Helper()
	upstream := NewUpstream(t)
	Get(t, Serve(t, service(upstream.URL, &http.Client{})), headers)
	calls := upstream.Calls()
	require.Len(t, calls, 1)
	return calls[0]
}
