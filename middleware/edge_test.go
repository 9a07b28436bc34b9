package middleware_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
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
	_, table, ok := strings.Cut(string(readme), "## Where headers go")
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
	families := propagation.Of(propagation.Custom("end-user"), propagation.Custom("Tenant_ID"))
	in := http.Header{"accept": {"text/html"}, "END-USER": {"admin"}, "tenant_id": {"7"}, "Tenant-Id": {"7"}}
	for _, name := range append(known(t), "x-envoy-force-trace", "x-client-trace-id", "jaeger-debug-id", "jaeger-baggage",
		"uberctx-user", "ot-tracer-traceid", "OT-Baggage-user", "elastic-apm-traceparent", "x_b3_sampled", "X-B3_Traceid", "end_user") {
		in[name] = []string{"1", "2"}
	}

	stranger := func(*http.Request) bool { return false }
	for name, row := range map[string]struct {
		accept  middleware.Peer
		dropped bool
	}{
		"accept that is nil vouches for nobody": {nil, true},
		"a stranger's headers are dropped":      {stranger, true},
		"a friend's are kept":                   {middleware.Peers("10.0.0.0/8", "127.0.0.1"), false},
		"Peers() believes nobody":               {middleware.Peers(), true},
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

func TestEdgeMakesAStrangerOfTheRequestAltogether(t *testing.T) {
	families := propagation.Istio()
	inside := func(next http.Handler) http.Handler {
		return middleware.Relay(families)(middleware.Edge(families, nil)(next))
	}
	seen := serveOverTCP(t, inside, http.Header{"X-Request-Id": {"r"}, "B3": {"1"}})
	assert.Empty(t, seen.Header.Get("b3"))
	for name := range propagation.FromContext(seen.Context()).All() {
		t.Errorf("%s is relayed", name)
	}

	t.Run("also where somebody has deleted the headers in between", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(serving(walkthrough()))
		middleware.Edge(families, nil)(http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
			for name := range propagation.FromContext(in.Context()).All() {
				t.Errorf("%s is relayed", name)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	})
}

func TestPeersJudgesByTheAddressOfTheConnection(t *testing.T) {
	peers := middleware.Peers("10.1.0.0/16", "192.168.1.1", "fd00::/8", "::ffff:172.16.0.1")
	for addr, want := range map[string]bool{
		"10.1.2.3:4567": true, "192.168.1.1:1": true, "[fd12::1]:80": true, "[fd12::1%eth0]:80": true, "[::ffff:10.1.2.3]:80": true, "172.16.0.1:1": true,
		"10.2.0.1:1": false, "192.168.1.2:1": false, "[fe80::1]:80": false, "": false, "@": false, "10.1.2.3": false, "host:80": false,
	} {
		assert.Equal(t, want, peers(&http.Request{RemoteAddr: addr, Host: "10.1.2.3", Header: http.Header{"X-Forwarded-For": {"10.1.2.3"}}}), addr)
	}
	for _, prefix := range []string{"", "localhost", "10.0.0.0/33", "10.0.0.1:80", "::ffff:10.0.0.0/104", "fe80::1%eth0"} {
		assert.Panics(t, func() { middleware.Peers(prefix) }, prefix)
	}
}

// Whom to believe and where headers may go are told apart by the compiler.
func TestADestinationIsNoPeer(t *testing.T) {
	snippets := []struct{ code, want string }{
		{`middleware.Edge(propagation.Istio(), middleware.Internal())`, "cannot use middleware.Internal()"},
		{`middleware.Edge(propagation.Istio(), middleware.Hosts("reviews"))`, "cannot use middleware.Hosts"},
		{`(&middleware.Transport{Match: middleware.Peers("10.0.0.0/8")}).CloseIdleConnections()`, "cannot use middleware.Peers"},
		{`middleware.Edge(propagation.Istio(), middleware.Peers("10.0.0.0/8"))`, ""},
		{`middleware.Edge(propagation.Istio(), func(r *http.Request) bool { return r.TLS != nil })`, ""},
		{`(&middleware.Transport{Match: middleware.Internal()}).CloseIdleConnections()`, ""},
	}
	// One line for each: the compiler takes as long for all as for one.
	source := `package snippets; import ("net/http"; "github.com/tracebaton/tracebaton/middleware"; "github.com/tracebaton/tracebaton/propagation"); var _ http.Handler; func _() {`
	for _, s := range snippets {
		source += "\n" + s.code
	}
	file := filepath.Join(t.TempDir(), "snippets.go")
	require.NoError(t, os.WriteFile(file, []byte(source+"\n}"), 0o600))
	out, err := exec.Command("go", "build", file).CombinedOutput()
	require.Error(t, err)
	for i, s := range snippets {
		t.Run(s.code, func(t *testing.T) {
			said := regexp.MustCompile(fmt.Sprintf(`(?m)snippets\.go:%d:\d+: (.*)$`, i+2)).FindSubmatch(out)
			if s.want == "" {
				require.Nil(t, said, string(out))
				return
			}
			require.NotNil(t, said, string(out))
			require.Contains(t, string(said[1]), s.want)
		})
	}
}

func TestEdgeOutsideAnUpgradeToHTTP2LetsNoStrangerPast(t *testing.T) {
	edge := middleware.Edge(propagation.Istio(), nil)
	served := func(r *http.Request) (in *http.Request, status int) {
		w := httptest.NewRecorder()
		edge(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { in = r })).ServeHTTP(w, r)
		return in, w.Code
	}
	preface := &http.Request{Method: "PRI", RequestURI: "*", Proto: "HTTP/2.0", ProtoMajor: 2, URL: &url.URL{Path: "*"}, Header: http.Header{}}
	in, status := served(preface)
	assert.Nil(t, in, "the requests of the connection would pass unseen")
	assert.Equal(t, http.StatusHTTPVersionNotSupported, status)

	upgrade := httptest.NewRequest(http.MethodGet, "/", nil)
	upgrade.Header = http.Header{"Upgrade": {"h2c"}, "Connection": {"Upgrade, HTTP2-Settings"}, "B3": {"1"}}
	in, _ = served(upgrade)
	assert.Empty(t, in.Header["Upgrade"])
	assert.Empty(t, in.Header["B3"])
}
