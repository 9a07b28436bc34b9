package egress_test

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tracebaton/tracebaton/examples/internal/egress"
	"github.com/tracebaton/tracebaton/examples/internal/flaskapp"
)

// hostile are URLs that nobody has a good reason to have fetched for them.
// PORT is where a server listens on loopback, in IPv4 and IPv6.
var hostile = []struct {
	name   string
	url    string
	status int
	reason string
}{
	{"loopback", "http://127.0.0.1:PORT/", 403, "loopback"},
	{"another address of loopback", "http://127.8.9.10:PORT/", 403, "loopback"},
	{"loopback over TLS", "https://127.0.0.1:PORT/", 403, "loopback"},
	{"the sidecar's admin interface", "http://127.0.0.1:15000/config_dump", 403, "loopback"},
	{"the sidecar's admin interface in IPv6", "http://[::1]:15000/config_dump", 403, "loopback"},
	{"the sidecar's agent", "http://127.0.0.1:15020/quitquitquit", 403, "loopback"},
	{"the sidecar's health port", "http://localhost:15021/healthz/ready", 403, "loopback"},

	{"loopback in one decimal number", "http://2130706433:PORT/", 400, "a number"},
	{"loopback in one hexadecimal number", "http://0x7f000001:PORT/", 400, "a number"},
	{"loopback in one hexadecimal number in capitals", "http://0X7F000001:PORT/", 400, "a number"},
	{"loopback in one octal number", "http://017700000001:PORT/", 400, "a number"},
	{"loopback in octal parts", "http://0177.0.0.1:PORT/", 400, "a number"},
	{"loopback in hexadecimal parts", "http://0x7f.0x0.0x0.0x1:PORT/", 400, "a number"},
	{"loopback in two parts", "http://127.1:PORT/", 400, "a number"},
	{"loopback in three parts", "http://127.0.1:PORT/", 400, "a number"},
	{"loopback with zeros before its parts", "http://127.000.000.001:PORT/", 400, "a number"},
	{"loopback with the root's dot", "http://127.0.0.1.:PORT/", 400, "a number"},
	{"loopback in parts that overflow", "http://383.256.256.257:PORT/", 400, "a number"},
	{"metadata in one decimal number", "http://2852039166/latest/meta-data/", 400, "a number"},
	{"metadata in octal parts", "http://0251.0376.0251.0376/latest/meta-data/", 400, "a number"},
	{"zero, which is this host", "http://0:PORT/", 400, "a number"},
	{"the unspecified address", "http://0.0.0.0:PORT/", 403, "unspecified"},
	{"an address of this network", "http://0.1.2.3:PORT/", 403, "unspecified"},

	{"loopback in IPv6", "http://[::1]:PORT/", 403, "loopback"},
	{"loopback in IPv6 in full", "http://[0000:0000:0000:0000:0000:0000:0000:0001]:PORT/", 403, "loopback"},
	{"loopback mapped to IPv6", "http://[::ffff:127.0.0.1]:PORT/", 403, "loopback"},
	{"loopback mapped to IPv6 in hexadecimal", "http://[0:0:0:0:0:ffff:7f00:1]:PORT/", 403, "loopback"},
	{"loopback compatible with IPv6", "http://[::127.0.0.1]:PORT/", 403, "loopback"},
	{"loopback through NAT64", "http://[64:ff9b::127.0.0.1]:PORT/", 403, "loopback"},
	{"loopback through 6to4", "http://[2002:7f00:1::]:PORT/", 403, "loopback"},
	{"loopback through stateless translation", "http://[::ffff:0:127.0.0.1]:PORT/", 403, "loopback"},
	{"the unspecified address in IPv6", "http://[::]:PORT/", 403, "unspecified"},
	{"metadata mapped to IPv6", "http://[::ffff:a9fe:a9fe]/latest/meta-data/", 403, "metadata"},
	{"metadata compatible with IPv6", "http://[::169.254.169.254]/latest/meta-data/", 403, "metadata"},
	{"metadata through NAT64", "http://[64:ff9b::a9fe:a9fe]/latest/meta-data/", 403, "metadata"},
	{"metadata through 6to4", "http://[2002:a9fe:a9fe::1]/latest/meta-data/", 403, "metadata"},
	{"a link-local address in IPv6", "http://[fe80::1]:PORT/", 403, "link-local"},
	{"a link-local address with its zone", "http://[fe80::1%25lo]:PORT/", 400, "zone"},
	{"loopback with a zone", "http://[::1%25lo]:PORT/", 400, "zone"},
	{"a multicast address", "http://[ff02::1]:PORT/", 403, "multicast"},
	{"broadcast", "http://255.255.255.255:PORT/", 403, "multicast"},

	{"most clouds' metadata", "http://169.254.169.254/latest/meta-data/iam/security-credentials/", 403, "metadata"},
	{"credentials of containers", "http://169.254.170.2/v2/credentials", 403, "link-local"},
	{"Amazon's metadata in IPv6", "http://[fd00:ec2::254]/latest/meta-data/", 403, "metadata"},
	{"Google's metadata by its name", "http://metadata.google.internal/computeMetadata/v1/", 403, "metadata"},
	{"Google's metadata by its short name", "http://metadata/computeMetadata/v1/", 403, "metadata"},
	{"Google's metadata in IPv6", "http://[fd20:ce::254]/computeMetadata/v1/", 403, "metadata"},
	{"Azure's wire server", "http://168.63.129.16/machine?comp=goalstate", 403, "metadata"},
	{"Alibaba's metadata", "http://100.100.100.200/latest/meta-data/", 403, "metadata"},
	{"Alibaba's metadata in IPv6", "http://[fd00:100::100:200]/latest/meta-data/", 403, "metadata"},
	{"Oracle's metadata", "http://192.0.0.192/latest/meta-data/", 403, "metadata"},
	{"Oracle's metadata in IPv6", "http://[fd00:c1::a9fe:a9fe]/opc/v2/instance/", 403, "metadata"},
	{"Akamai's metadata in IPv6", "http://[fd00:a9fe:a9fe::1]/v1/instance", 403, "metadata"},
	{"Scaleway's metadata in IPv6", "http://[fd00:42::42]/conf", 403, "metadata"},
	{"a public address", "http://198.51.100.7/", 403, "public"},
	{"shared address space", "http://100.64.0.1/", 403, "public"},

	{"loopback's name", "http://localhost:PORT/", 403, "loopback"},
	{"loopback's name in capitals with the root's dot", "http://LOCALHOST.:PORT/", 403, "loopback"},
	{"a name that leads to loopback", "http://loopback.example:PORT/", 403, "loopback"},
	{"a name that leads to loopback in IPv6", "http://loopback6.example:PORT/", 403, "loopback"},
	{"a name that leads to a link-local address", "http://link-local.example:PORT/", 403, "link-local"},
	{"a name that leads to metadata", "http://metadata.example/latest/meta-data/", 403, "metadata"},
	{"a name that leads to loopback and to metadata", "http://mixed.example:PORT/", 403, "not allowed"},
	{"a name that leads to loopback and to a public address", "http://half-public.example:PORT/", 403, "not allowed"},
	{"a name that has loopback in it", "http://127.0.0.1.nip.example:PORT/", 403, "loopback"},
	{"a name in another alphabet", "http://bücher.example:PORT/", 403, "loopback"},
	{"a name in another alphabet as DNS has it", "http://xn--bcher-kva.example:PORT/", 403, "loopback"},

	{"a private host as the user of loopback", "http://httpbin:8000@127.0.0.1:PORT/", 403, "loopback"},
	{"a private address as the user and password of loopback", "http://10.0.0.1:80@[::1]:PORT/", 403, "loopback"},
	{"two users", "http://a@httpbin:8000@127.0.0.1:PORT/", 403, "loopback"},
	{"a private host in the fragment of loopback", "http://127.0.0.1:PORT#@httpbin:8000/", 403, "loopback"},
	{"a private host in the query of loopback", "http://127.0.0.1:PORT?@httpbin:8000/", 403, "loopback"},
	{"a backslash before a private host", `http://127.0.0.1:PORT\@httpbin:8000/`, 400, "invalid"},
	{"a backslash after a private host", `http://httpbin\@127.0.0.1:PORT/`, 400, "invalid"},
	{"backslashes for slashes", `http:\\127.0.0.1:PORT\`, 400, "names no host"},
	{"one slash too few", "http:/127.0.0.1:PORT/", 400, "names no host"},
	{"one slash too many", "http:///127.0.0.1:PORT/", 400, "names no host"},
	{"two ports", "http://127.0.0.1:80:PORT/", 400, "invalid"},
	{"a tab in the host", "http://127.0.0.1\t.example:PORT/", 400, "invalid control character"},
	{"a line break in the host", "http://127.0.0.1\r\n.example:PORT/", 400, "invalid control character"},
	{"a line break in the path", "http://127.0.0.1:PORT/ HTTP/1.1\r\nHost: httpbin\r\n\r\n", 400, "invalid control character"},
	{"a space in the host", "http://127.0.0.1 .example:PORT/", 400, "invalid character"},
	{"a NUL that is escaped", "http://127.0.0.1%00.example:PORT/", 400, "invalid URL escape"},
	{"digits that are escaped", "http://%31%32%37.0.0.1:PORT/", 400, "invalid URL escape"},
	{"digits of another alphabet", "http://１２７.0.0.1:PORT/", 403, "loopback"},
	{"one decimal number of another alphabet", "http://２１３０７０６４３３:PORT/", 400, "a number"},
	{"digits in circles", "http://①②⑦.⓪.⓪.①:PORT/", 403, "loopback"},
	{"letters in circles", "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:PORT/", 403, "loopback"},
	{"dots of another alphabet", "http://127。0。0。1:PORT/", 403, "loopback"},
	{"metadata with dots of another alphabet", "http://169｡254｡169｡254/latest/meta-data/", 403, "metadata"},
	{"a port that is none", "http://127.0.0.1:65536/", 400, "port 65536"},

	{"a file", "file:///etc/passwd", 400, "neither http nor https"},
	{"a file of a host", "file://127.0.0.1:PORT/etc/passwd", 400, "neither http nor https"},
	{"gopher", "gopher://127.0.0.1:PORT/_GET%20/", 400, "neither http nor https"},
	{"dict", "dict://127.0.0.1:PORT/d:x", 400, "neither http nor https"},
	{"FTP", "ftp://127.0.0.1:PORT/", 400, "neither http nor https"},
	{"a socket", "unix:///var/run/docker.sock", 400, "neither http nor https"},
	{"data", "data:text/plain,hello", 400, "neither http nor https"},
	{"an archive", "jar:http://127.0.0.1:PORT/!/", 400, "neither http nor https"},
	{"no scheme", "//127.0.0.1:PORT/", 400, "neither http nor https"},
}

// world is a flaskapp with its default policy, which resolves names that lead
// astray, and what else there is.
type world struct {
	dns      *dns
	conns    atomic.Int32 // to the server on loopback that no request may reach
	port     string       // of that server
	redirect string       // URL of a server that redirects to the URL in its query
	nested   string       // URL of the flaskapp, as seen by another
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dns: serveDNS(t, map[string][]string{
		"localhost.":                {"127.0.0.1 ::1"}, // where no file has it
		"loopback.example.":         {"127.0.0.1"},
		"loopback6.example.":        {"::1"},
		"link-local.example.":       {"169.254.10.10 fe80::1"},
		"metadata.example.":         {"169.254.169.254"},
		"metadata.google.internal.": {"169.254.169.254"},
		"metadata.":                 {"169.254.169.254"},
		"mixed.example.":            {"127.0.0.1 169.254.169.254 ::1 fd00:ec2::254"},
		"half-public.example.":      {"198.51.100.7 127.0.0.1"},
		"127.0.0.1.nip.example.":    {"127.0.0.1"},
		"xn--bcher-kva.example.":    {"127.0.0.1"},
		"allowed.example.":          {"127.0.0.1"},
	})}
	count := func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			w.conns.Add(1)
		}
	}
	serve := func(ln net.Listener, connState func(net.Conn, http.ConnState), h http.Handler) string {
		s := &httptest.Server{Listener: ln, Config: &http.Server{Handler: h, ConnState: connState}}
		s.Start()
		t.Cleanup(s.Close)
		_, port, err := net.SplitHostPort(ln.Addr().String())
		require.NoError(t, err)
		return port
	}
	listen := func(addr string) net.Listener {
		ln, err := net.Listen("tcp", addr)
		require.NoError(t, err)
		return ln
	}
	w.port = serve(listen("127.0.0.1:0"), count, http.NotFoundHandler())
	if ln, err := net.Listen("tcp", "[::1]:"+w.port); err == nil { // where there is IPv6
		serve(ln, count, http.NotFoundHandler())
	}
	w.redirect = "http://allowed.example:" + serve(listen("127.0.0.1:0"), nil,
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			to, _ := url.QueryUnescape(r.URL.RawQuery)
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		})) + "/?"
	w.nested = "http://allowed.example:" + serve(listen("127.0.0.1:0"), nil, w.app(t, "")) + "/fetch_with_trace?url="
	return w
}

func (w *world) app(t *testing.T, allow string) http.Handler {
	t.Helper()
	return flaskapp.New(flaskapp.Config{
		Dialer: &egress.Dialer{Policy: parse(t, allow), Resolver: w.dns.resolver()},
		Logger: slog.New(slog.DiscardHandler),
	})
}

// asked is what became of a request to have something fetched.
type asked struct {
	status    int
	body      string
	connected []string // addresses that were connected to
	refused   []error  // why others were not
}

// ask has app fetch what the query says.
func ask(t *testing.T, app http.Handler, query string) asked {
	t.Helper()
	var mu sync.Mutex
	var a asked
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		ConnectDone: func(_, addr string, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				a.connected = append(a.connected, addr)
				return
			}
			a.refused = append(a.refused, err)
		},
	})
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/fetch_with_trace", nil)
	r.URL.RawQuery = query
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	mu.Lock()
	defer mu.Unlock()
	a.status, a.body = w.Code, w.Body.String()
	return a
}

func TestHostileURLIsRefusedAndConnectsToNothing(t *testing.T) {
	w := newWorld(t)
	byDefault, chained := w.app(t, ""), w.app(t, "allowed.example")
	for _, tt := range hostile {
		target := strings.ReplaceAll(tt.url, "PORT", w.port)
		escaped := url.QueryEscape(target)
		ways := []struct {
			name      string
			app       http.Handler
			query     string
			status    int
			connected int // to the server on the way
		}{
			{"as it is", byDefault, "url=" + target, tt.status, 0},
			{"escaped", byDefault, "url=" + escaped, tt.status, 0},
			{"through another flaskapp", chained, "url=" + url.QueryEscape(w.nested+escaped), tt.status, 1},
		}
		if tt.status == http.StatusForbidden {
			ways = append(ways, ways[0])
			last := &ways[len(ways)-1]
			last.name, last.app, last.connected = "after a redirect", chained, 1
			last.query = "url=" + url.QueryEscape(w.redirect+escaped)
		}
		for _, way := range ways {
			t.Run(tt.name+"/"+way.name, func(t *testing.T) {
				got := ask(t, way.app, way.query)
				assert.Equal(t, way.status, got.status, got.body)
				assert.Contains(t, got.body, tt.reason)
				assert.LessOrEqual(t, len(got.connected), way.connected, "%v", got.connected)
				for _, err := range got.refused {
					var refused *egress.Refused
					assert.ErrorAs(t, err, &refused, "it was tried")
				}
				if way.connected == 0 && tt.status == http.StatusForbidden {
					assert.NotEmpty(t, got.refused, "by the policy")
				}
				assert.Zero(t, w.conns.Load(), "the server on loopback was connected to")
			})
		}
	}
}

func TestRedirectToWhatIsNoURLIsNotFollowed(t *testing.T) {
	w := newWorld(t)
	app := w.app(t, "allowed.example")
	for _, tt := range hostile {
		if tt.status == http.StatusForbidden || !strings.Contains(tt.url, "://") || strings.Contains(tt.url, "\n") {
			continue // what has no scheme is a path of the server that redirects, and no header holds a line break
		}
		t.Run(tt.name, func(t *testing.T) {
			target := strings.ReplaceAll(tt.url, "PORT", w.port)
			got := ask(t, app, "url="+url.QueryEscape(w.redirect+url.QueryEscape(target)))
			assert.Equal(t, http.StatusBadGateway, got.status, got.body)
			assert.Empty(t, got.refused)
			assert.Zero(t, w.conns.Load(), "the server on loopback was connected to")
		})
	}
}

// private is a private address of this machine.
func private(t *testing.T) netip.Addr {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().IsPrivate() {
			return prefix.Addr()
		}
	}
	t.Skip("this machine has no private address")
	return netip.Addr{}
}

func TestNameThatIsReboundLeadsToWhatWasChecked(t *testing.T) {
	here := private(t)
	var loopback, inside atomic.Int32
	serve := func(addr string, conns *atomic.Int32) string {
		ln, err := net.Listen("tcp", addr)
		require.NoError(t, err)
		s := &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.NotFoundHandler()}}
		s.Config.SetKeepAlivesEnabled(false)
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		}
		s.Start()
		t.Cleanup(s.Close)
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		return port
	}
	port := serve("127.0.0.1:0", &loopback)
	serve(net.JoinHostPort(here.String(), port), &inside)
	w := &world{dns: serveDNS(t, map[string][]string{
		"rebound.example.": {here.String(), "127.0.0.1"},
		"both.example.":    {"127.0.0.1 " + here.String()},
	})}
	app := w.app(t, "")

	first := ask(t, app, "url=http://rebound.example:"+port)
	require.Equal(t, http.StatusNotFound, first.status, first.body)
	a, aaaa := w.dns.queries("rebound.example.")
	assert.Equal(t, [2]int{1, 1}, [2]int{a, aaaa}, "what was checked is not looked up again")
	assert.Equal(t, []string{net.JoinHostPort(here.String(), port)}, first.connected)

	second := ask(t, app, "url=http://rebound.example:"+port)
	assert.Equal(t, http.StatusForbidden, second.status, second.body)
	assert.Contains(t, second.body, "rebound.example at 127.0.0.1: a loopback address")
	assert.Empty(t, second.connected)

	both := ask(t, app, "url=http://both.example:"+port)
	assert.Equal(t, http.StatusNotFound, both.status, both.body)
	assert.Equal(t, []string{net.JoinHostPort(here.String(), port)}, both.connected)

	assert.EqualValues(t, 2, inside.Load())
	assert.Zero(t, loopback.Load(), "the server on loopback was connected to")
}
