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
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/propagationtest"
)

// Conforms runs the conformance kit on a service that relays the families, all of
// Istio's unless they are named.
func Conforms(t *testing.T, service example.Service, families ...propagation.Family) {
	t.Helper()
	propagationtest.Run(t, propagationtest.Service{Handler: service, Families: relayed(families)})
}

func relayed(families []propagation.Family) propagation.Families {
	if len(families) == 0 {
		return propagation.Istio()
	}
	return propagation.Of(families...)
}

// ConformsLater is Conforms for a service that has others make its calls: it puts
// the URL in its query, ?url=, into a message, and a consumer calls that with
// the client, in a context that comes from no request. Families are what the
// message can carry, all of Istio's unless they are named.
func ConformsLater(t *testing.T, start func(client *http.Client) http.Handler, families ...propagation.Family) {
	t.Helper()
	l := &later{called: make(map[string]chan struct{})}
	service := start(&http.Client{Transport: &middleware.Transport{Base: l}})
	propagationtest.Run(t, propagationtest.Service{
		Handler:  func(string, *http.Client) http.Handler { return l.answered(service) },
		Path:     "/?url={upstream}",
		Families: relayed(families),
	})
}

// later has a service answer when its call was made, which the kit waits for.
type later struct {
	mu     sync.Mutex
	called map[string]chan struct{} // by URL
}

func (l *later) wait(url string) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.called[url] == nil {
		l.called[url] = make(chan struct{}, 100)
	}
	return l.called[url]
}

func (l *later) answered(service http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		service.ServeHTTP(answer, r)
		if answer.Code == http.StatusOK {
			select {
			case <-l.wait(r.FormValue("url")):
			case <-r.Context().Done():
			}
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// RoundTrip tells the service that waits when the last hop of a redirect is over.
func (l *later) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && res.Header.Get("Location") != "" {
		return res, nil
	}
	first := r
	for first.Response != nil {
		first = first.Response.Request
	}
	l.wait(first.URL.String()) <- struct{}{}
	return res, err
}

// ConformsBy is Conforms for a service that is asked for a path.
func ConformsBy(t *testing.T, path string, service example.Service) {
	t.Helper()
	propagationtest.Run(t, propagationtest.Service{Handler: service, Path: path})
}

// ConformsPosted is Conforms for a service that JSON is posted to, in which
// {upstream} stands for what it calls.
func ConformsPosted(t *testing.T, path, body string, service example.Service) {
	t.Helper()
	propagationtest.Run(t, propagationtest.Service{
		Handler: service, Path: path, Body: body, Header: http.Header{"Content-Type": {"application/json"}},
	})
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
