package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// known returns the headers of all families, from the README's table.
func known(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(readme), "## What is relayed")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "`Custom(")
	var names []string
	for _, row := range regexp.MustCompile("(?m)^\\| `[A-Za-z0-9]+` \\| (.*?) \\|").FindAllStringSubmatch(table, -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			names = append(names, name[1])
		}
	}
	require.Contains(t, names, "uber-trace-id", "the last of the table")
	require.Len(t, names, 23)
	return names
}

// serveOverTCP returns what the handler behind mw sees of a request with these
// headers that came over the network.
func serveOverTCP(t *testing.T, mw func(http.Handler) http.Handler, in http.Header) *http.Request {
	t.Helper()
	var seen *http.Request
	server := httptest.NewServer(mw(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r })))
	defer server.Close()
	r, err := http.NewRequest(http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	r.Header = in
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.NotNil(t, seen)
	return seen
}

func TestEdgeDropsTheTraceHeadersOfStrangers(t *testing.T) {
	families := propagation.Of(propagation.Custom("end-user"))
	in := http.Header{"accept": {"text/html"}, "END-USER": {"admin"}}
	for _, name := range append(known(t), "x-envoy-force-trace", "x-client-trace-id", "jaeger-debug-id", "jaeger-baggage",
		"uberctx-user", "ot-tracer-traceid", "OT-Baggage-user", "elastic-apm-traceparent") {
		in[name] = []string{"1", "2"}
	}

	stranger := func(*http.Request) bool { return false }
	friend := func(r *http.Request) bool { return strings.HasPrefix(r.RemoteAddr, "127.0.0.1:") }
	for name, row := range map[string]struct {
		accept  func(*http.Request) bool
		dropped bool
	}{
		"accept that is nil vouches for nobody": {nil, true},
		"a stranger's headers are dropped":      {stranger, true},
		"a friend's are kept":                   {friend, false},
	} {
		t.Run(name, func(t *testing.T) {
			seen := serveOverTCP(t, middleware.Edge(families, row.accept), in.Clone())
			for header, values := range in {
				if row.dropped && header != "accept" {
					values = nil
				}
				assert.Equal(t, values, seen.Header.Values(header), header)
			}
		})
	}
}

func TestNothingOfAStrangerIsRelayedBehindAnEdge(t *testing.T) {
	families := propagation.Istio().With(propagation.Baggage)
	behind := func(next http.Handler) http.Handler {
		return middleware.Edge(families, nil)(middleware.Relay(families)(next))
	}
	seen := serveOverTCP(t, behind, http.Header{"X-Request-Id": {"r"}, "B3": {"1"}, "Baggage": {"k=v"}})
	for name := range propagation.FromContext(seen.Context()).All() {
		t.Errorf("%s is relayed", name)
	}
}

func TestEdgeLeavesTheCallersRequestAlone(t *testing.T) {
	drop := middleware.Edge(propagation.Istio(), nil)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	accept := append(make([]string, 0, 2), "*/*")
	r.Header = http.Header{"X-Request-Id": {"r"}, "Accept": accept}
	drop(http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
		assert.Equal(t, http.Header{"Accept": {"*/*"}}, in.Header)
		in.Header.Add("Accept", "text/html")
		in.Pattern = "GET /{$}"
	})).ServeHTTP(httptest.NewRecorder(), r)
	assert.Equal(t, http.Header{"X-Request-Id": {"r"}, "Accept": {"*/*"}}, r.Header)
	assert.Empty(t, accept[:2][1], "what the handler appends is not the caller's")
	assert.Equal(t, "GET /{$}", r.Pattern, "the route's pattern is known outside")

	t.Run("a request without trace headers passes as it is, at no allocation", func(t *testing.T) {
		r.Header = http.Header{"Accept": {"*/*"}}
		var got *http.Request
		h := drop(http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) { got = in }))
		w := httptest.NewRecorder()
		assert.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }))
		assert.Same(t, r, got)
	})
}
