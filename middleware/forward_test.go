package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// forwarded returns the trace headers with which a request arrives behind a
// reverse proxy that has Relay outside it and transport inside.
func forwarded(t *testing.T, transport *middleware.Transport, rewrite func(*httputil.ProxyRequest), in http.Header) http.Header {
	t.Helper()
	var arrived http.Header
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { arrived = r.Header }))
	defer upstream.Close()
	to, err := url.Parse(upstream.URL)
	require.NoError(t, err)
	base := http.DefaultTransport.(*http.Transport).Clone()
	defer base.CloseIdleConnections()
	transport.Base = base
	gateway := httptest.NewServer(middleware.Relay(propagation.Istio())(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			if rewrite != nil {
				rewrite(r)
			}
		},
		Transport: transport,
	}))
	defer gateway.Close()
	r, err := http.NewRequest(http.MethodGet, gateway.URL, nil)
	require.NoError(t, err)
	r.Header = in
	r.Header["User-Agent"] = []string{""} // none
	res, err := gateway.Client().Do(r)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Empty(t, arrived["User-Agent"], "a proxy's own empty header is no trace header")
	for _, name := range []string{"Accept-Encoding", "Connection"} {
		arrived.Del(name)
	}
	return arrived
}

func TestAReverseProxyForwardsWhatItWasNotToldToDrop(t *testing.T) {
	in := http.Header{"X-Request-Id": {"r"}, "X-B3-Traceid": {"t"}, "X-B3-Sampled": {""}, "B3": {""}, "Tracestate": {"", "a=1"}, "Baggage": {" "}, "End-User": {"jason"}}
	no := func(*http.Request) bool { return false }
	for name, row := range map[string]struct {
		match   middleware.Destination
		rewrite func(*httputil.ProxyRequest)
		drop    string // what the client names in Connection
		out     http.Header
	}{
		"all but what came in empty": {
			out: http.Header{"X-Request-Id": {"r"}, "X-B3-Traceid": {"t"}, "Tracestate": {"a=1"}, "End-User": {"jason"}},
		},
		"nothing that the proxy has deleted": {
			rewrite: func(r *httputil.ProxyRequest) { r.Out.Header.Del("x-request-id") },
			out:     http.Header{"X-B3-Traceid": {"t"}, "Tracestate": {"a=1"}, "End-User": {"jason"}},
		},
		"nothing that is hop-by-hop": {
			drop: "x-request-id, tracestate",
			out:  http.Header{"X-B3-Traceid": {"t"}, "End-User": {"jason"}},
		},
		"nothing that came in where Match says no": {
			match: no,
			out:   http.Header{"End-User": {"jason"}},
		},
		"but what the proxy has set instead": {
			match:   no,
			rewrite: func(r *httputil.ProxyRequest) { r.Out.Header.Set("x-request-id", "mine") },
			out:     http.Header{"X-Request-Id": {"mine"}, "End-User": {"jason"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			came := in.Clone()
			if row.drop != "" {
				came.Set("Connection", row.drop)
			}
			assert.Equal(t, row.out, forwarded(t, &middleware.Transport{Match: row.match}, row.rewrite, came))
		})
	}
}

func TestAForwardedRequestLeavesNothingThatTheSnapshotHasNotEither(t *testing.T) {
	no := func(*http.Request) bool { return false }
	in := http.Header{"X-Request-Id": {"r"}, "Traceparent": {"p"}, "Tracestate": {strings.Repeat("x", 8200)}, "Baggage": {"user=1"}, "Accept": {"*/*"}}
	assert.Equal(t, http.Header{"Accept": {"*/*"}}, forwarded(t, &middleware.Transport{Match: no}, nil, in.Clone()))

	t.Run("nor what Only left out of it", func(t *testing.T) {
		var sent http.Header
		transport := &middleware.Transport{Match: no, Base: roundTripFunc(func(r *http.Request) (*http.Response, error) {
			sent = r.Header
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		})}
		r := httptest.NewRequest(http.MethodGet, "http://api.example.com/", nil)
		r.Header = http.Header{"X-Request-Id": {"r"}, "B3": {"0"}, "User-Agent": {""}}
		h := propagation.Istio().Extract(r.Header).Only(propagation.Of(propagation.RequestID))
		_, err := transport.RoundTrip(r.WithContext(propagation.NewContext(r.Context(), h))) //nolint:bodyclose // there is none
		require.NoError(t, err)
		assert.Equal(t, http.Header{"User-Agent": {""}}, sent)
	})
}

func TestWhereMatchSaysNoNothingThatCameInLeaves(t *testing.T) {
	var sent *http.Request
	transport := &middleware.Transport{
		Base: roundTripFunc(func(r *http.Request) (*http.Response, error) {
			sent = r
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		}),
		Match: middleware.Internal(),
	}
	ctx := serving(http.Header{"X-Request-Id": {"r"}, "B3": {"0"}, "Tracestate": {"a=1", "b=2"}})
	r := request(ctx, t, "http://api.example.com/")
	r.Header = http.Header{"X-Request-Id": {"r"}, "Tracestate": {"a=1", "b=2"}, "B3": {"mine"}, "Traceparent": {"mine"}, "Accept": {"*/*"}, "User-Agent": {""}}
	before := r.Header.Clone()
	_, err := transport.RoundTrip(r) //nolint:bodyclose // there is none
	require.NoError(t, err)
	assert.Equal(t, http.Header{"B3": {"mine"}, "Traceparent": {"mine"}, "Accept": {"*/*"}, "User-Agent": {""}}, sent.Header)
	assert.Equal(t, before, r.Header, "the caller's request is not modified")
}

func TestWhereMatchSaysNoASpanOfTheCallersOwnLeavesWhole(t *testing.T) {
	var sent *http.Request
	transport := &middleware.Transport{
		Base: roundTripFunc(func(r *http.Request) (*http.Response, error) {
			sent = r
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		}),
		Match: middleware.Internal(),
	}
	in := http.Header{"X-Request-Id": {"r"}, "X-B3-Traceid": {"t"}, "X-B3-Spanid": {"s"}, "X-B3-Sampled": {"1"}}
	r := request(serving(in), t, "http://api.example.com/")
	r.Header = in.Clone()
	r.Header.Set("x-b3-spanid", "mine")
	_, err := transport.RoundTrip(r) //nolint:bodyclose // there is none
	require.NoError(t, err)
	assert.Equal(t, http.Header{"X-B3-Traceid": {"t"}, "X-B3-Spanid": {"mine"}, "X-B3-Sampled": {"1"}}, sent.Header)
}

func TestATransportAssignedToTheDefaultWorks(t *testing.T) {
	original := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = original })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("got", r.Header.Get("x-request-id"))
	}))
	defer server.Close()
	for name, standard := range map[string]http.RoundTripper{
		"the zero value":             &middleware.Transport{},
		"one inside another":         &middleware.Transport{Base: &middleware.Transport{}},
		"one with a base of its own": &middleware.Transport{Base: original},
	} {
		t.Run(name, func(t *testing.T) {
			http.DefaultTransport = standard
			for who, client := range map[string]*http.Client{
				"the default client":       http.DefaultClient,
				"a client that has it too": {Transport: &middleware.Transport{}},
			} {
				res, err := client.Do(request(serving(http.Header{"X-Request-Id": {"r"}}), t, server.URL))
				require.NoError(t, err, who)
				require.NoError(t, res.Body.Close())
				assert.Equal(t, "r", res.Header.Get("got"), who)
			}
		})
	}
	t.Run("a base that is not the standard library's is kept", func(t *testing.T) {
		called := false
		http.DefaultTransport = &middleware.Transport{Base: roundTripFunc(func(*http.Request) (*http.Response, error) {
			called = true
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		})}
		_, err := (&middleware.Transport{}).RoundTrip(request(t.Context(), t, server.URL)) //nolint:bodyclose // there is none
		require.NoError(t, err)
		assert.True(t, called)
	})
}
