package middleware_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// dialed returns the host that net/http connects to for r: what a Match must
// have judged, however the URL writes it. It reports false if net/http sends
// no such request.
func dialed(r *http.Request) (host string, ok bool) {
	stop := errors.New("far enough")
	transport := &http.Transport{DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
		var err error
		if host, _, err = net.SplitHostPort(addr); err != nil {
			return nil, err
		}
		if addr, err := netip.ParseAddr(host); err == nil {
			host = addr.WithZone("").String()
		}
		host = strings.ToLower(strings.TrimSuffix(host, "."))
		return nil, stop
	}}
	r = r.Clone(r.Context())
	r.Header = http.Header{}
	_, err := transport.RoundTrip(r) //nolint:bodyclose // there is no response
	return host, errors.Is(err, stop)
}

// otherwise returns other ways to write where r goes.
func otherwise(r *http.Request) map[string]*http.Request {
	requests := make(map[string]*http.Request)
	add := func(why, host string) { requests[why] = &http.Request{URL: &url.URL{Scheme: "http", Host: host}} }
	host := r.URL.Host
	add("in upper case", strings.Map(func(c rune) rune {
		if 'a' <= c && c <= 'z' {
			return c - 'a' + 'A'
		}
		return c
	}, host))
	if !strings.Contains(host, ":") || strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		add("with a port", host+":8443")
	}
	if !strings.ContainsAny(host, ":[]%") && !strings.HasSuffix(host, ".") && net.ParseIP(host) == nil {
		add("with the root's dot", host+".")
	}
	return requests
}

// A last label that is a number makes an address of a name (WHATWG URL, "ends
// in a number").
var number = regexp.MustCompile(`^([0-9]+|0x[0-9a-f]*)$`)

// FuzzInternal checks that what is judged internal is dialled inside.
func FuzzInternal(f *testing.F) {
	f.Add("reviews.prod.svc.cluster.local:9080")
	f.Add("100.64.0.1")
	f.Add("a.clusterset.local")
	to, ok := dialed(&http.Request{URL: &url.URL{Scheme: "http", Host: "Reviews:9080"}})
	require.True(f, ok, "nothing is dialled, and nothing compared")
	require.Equal(f, "reviews", to)
	f.Fuzz(func(t *testing.T, host string) {
		r := &http.Request{URL: &url.URL{Scheme: "http", Host: host}}
		inside := middleware.Internal()(r)
		if utf8.ValidString(host) {
			for why, other := range otherwise(r) {
				assert.Equal(t, inside, middleware.Internal()(other), "%q, %s: %q", host, why, other.URL.Host)
			}
		}
		to, ok := dialed(r)
		if !inside || !ok {
			return
		}
		if ip := net.ParseIP(to); ip != nil {
			_, shared, _ := net.ParseCIDR("100.64.0.0/10")
			require.True(t, ip.IsLoopback() || ip.IsPrivate() || shared.Contains(ip), "%q is dialled as %s", host, to)
			return
		}
		labels := strings.Split(to, ".")
		require.NotRegexp(t, number, labels[len(labels)-1], "%q is dialled as %s, which is an address to some", host, to)
		require.True(t, len(labels) == 1 || strings.HasSuffix(to, ".svc") || strings.HasSuffix(to, ".cluster.local") ||
			strings.HasSuffix(to, ".clusterset.local") || strings.HasSuffix(to, ".localhost"),
			"%q is dialled as %s", host, to)
	})
}

// FuzzHosts compares with package net, and with what is dialled.
func FuzzHosts(f *testing.F) {
	f.Add("*.corp.example.com", "a.b.corp.example.com:443")
	name := regexp.MustCompile(`^(\*\.)?[a-z0-9_-][a-z0-9._-]*$`)
	inDNS := regexp.MustCompile(`^[a-z0-9._-]+$`)
	f.Fuzz(func(t *testing.T, pattern, host string) {
		plain := strings.TrimSuffix(pattern, ".")
		ip, network, err := net.ParseCIDR(plain)
		_, length, _ := strings.Cut(plain, "/")
		// A range that both families could mean.
		mapped := strings.Contains(plain, ":") && ip.To4() != nil
		valid := err == nil && !mapped && (length == "0" || length[0] != '0') || net.ParseIP(plain) != nil || name.MatchString(ascii(plain))

		var match func(*http.Request) bool
		failed := recovered(func() { match = middleware.Hosts(pattern) }) != nil
		require.Equal(t, valid, !failed, "whether %q is a pattern", pattern)
		if failed {
			return
		}
		r := &http.Request{URL: &url.URL{Scheme: "http", Host: host}}
		got := match(r)
		if utf8.ValidString(host) {
			for why, other := range otherwise(r) {
				assert.Equal(t, got, match(other), "%q, %s: %q", host, why, other.URL.Host)
			}
		}
		to, ok := dialed(r)
		if !ok {
			return
		}
		want := ascii(plain) == to
		if below, ok := strings.CutPrefix(ascii(plain), "*."); ok {
			want = strings.HasSuffix(to, "."+below)
		}
		if ip := net.ParseIP(to); ip != nil {
			want = network != nil && network.Contains(ip) || network == nil && ip.Equal(net.ParseIP(plain))
		}
		if got != want {
			// Names in other alphabets are written as in DNS, or not matched, and
			// so are those that no DNS has: net/http dials a line break, too.
			require.False(t, got, "%q matches %q, which is dialled as %s", pattern, host, to)
			require.False(t, isASCII(host) && inDNS.MatchString(to), "%q does not match %q, which is dialled as %s", pattern, host, to)
		}
	})
}

// ascii returns s with the letters of ASCII, and no others, in lower case.
func ascii(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c - 'A' + 'a'
		}
	}
	return string(b)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c > unicode.MaxASCII })
}

// recovered returns what f panics with, or nil.
func recovered(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

// FuzzEdge checks that nothing of a stranger gets past, however it is written,
// and that all else does.
func FuzzEdge(f *testing.F) {
	f.Add("X-B3-TraceId", "1", "accept", "*/*")
	custom := propagation.Istio().With(propagation.Custom("end-user"))
	f.Fuzz(func(t *testing.T, name, value, other, otherValue string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header = http.Header{name: {value}, other: {otherValue, value}}
		if r.Header["Upgrade"] != nil {
			return // TestAConnectionIsNotUpgradedInsideRelay
		}
		before := r.Header.Clone()
		served := false
		relay := middleware.Relay(custom.With(propagation.Baggage, propagation.Datadog, propagation.XRay))
		middleware.Edge(custom, nil)(relay(http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
			served = true
			for name := range propagation.FromContext(in.Context()).All() {
				t.Errorf("%s is relayed", name)
			}
			want := before.Clone()
			for name := range want {
				if stranger.MatchString(name) {
					delete(want, name)
				}
			}
			require.Equal(t, want, in.Header)
		}))).ServeHTTP(httptest.NewRecorder(), r)
		require.True(t, served)
		require.Equal(t, before, r.Header)
	})
}

// stranger are the headers that a stranger must not send. In ASCII alone: the
// sign for kelvin is no k, and a name that has it is not a header's.
var stranger = func() *regexp.Regexp {
	names := strings.Fields("x-request-id x-b3-(traceid|spanid|parentspanid|sampled|flags) b3 traceparent tracestate x-ot-span-context baggage " +
		"x-datadog-(trace-id|parent-id|sampling-priority|origin|tags) sw8(-correlation|-x)? x-cloud-trace-context grpc-trace-bin x-amzn-trace-id uber-trace-id end-user " +
		"x-envoy-force-trace x-client-trace-id jaeger-(debug-id|baggage) ot-tracer-(traceid|spanid|sampled) elastic-apm-traceparent")
	for i := range names { // CGI and WSGI take one for the other
		names[i] = strings.ReplaceAll(names[i], "-", "[-_]")
	}
	var either []byte
	for _, c := range []byte("^(" + strings.Join(names, "|") + ")$|^(uberctx|ot[-_]baggage)[-_]") {
		if 'a' <= c && c <= 'z' {
			either = append(either, '[', c, c-'a'+'A', ']')
		} else {
			either = append(either, c)
		}
	}
	return regexp.MustCompile(string(either))
}()
