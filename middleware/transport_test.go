package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// serving returns the context of a request that brought the header.
func serving(h http.Header) context.Context {
	return propagation.NewContext(context.Background(), propagation.Istio().Extract(h))
}

func request(ctx context.Context, t *testing.T, target string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	require.NoError(t, err)
	return r
}

func TestTheCallersRequestIsNeverModified(t *testing.T) {
	var sent *http.Request
	res := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
	transport := &middleware.Transport{Base: roundTripFunc(func(r *http.Request) (*http.Response, error) {
		sent = r
		return res, nil
	})}
	call := func(r *http.Request) {
		_, err := transport.RoundTrip(r) //nolint:bodyclose // it is NoBody
		require.NoError(t, err)
	}

	t.Run("it is sent as a copy that carries the headers", func(t *testing.T) {
		r := request(serving(walkthrough()), t, "http://httpbin/")
		r.Header.Set("Accept", "*/*")
		r.Pattern = "kept"
		call(r)
		assert.Equal(t, http.Header{"Accept": {"*/*"}}, r.Header)
		want := walkthrough()
		want.Set("Accept", "*/*")
		assert.Equal(t, want, sent.Header)
		sent.Header = r.Header
		assert.Equal(t, r, sent, "everything else is the same")
	})
	t.Run("without headers it is copied too", func(t *testing.T) {
		r := request(serving(walkthrough()), t, "http://httpbin/")
		r.Header = nil
		call(r)
		assert.Nil(t, r.Header)
		assert.Equal(t, walkthrough(), sent.Header)
	})
	for name, r := range map[string]*http.Request{
		"outside any request":               request(context.Background(), t, "http://httpbin/"),
		"in a request that brought nothing": request(serving(http.Header{"Accept": {"*/*"}}), t, "http://httpbin/"),
		"with all families there already": func() *http.Request {
			r := request(serving(http.Header{"X-B3-Sampled": {"1"}}), t, "http://httpbin/")
			r.Header.Set("b3", "0")
			return r
		}(),
	} {
		t.Run(name+" the very same request is sent", func(t *testing.T) {
			call(r)
			assert.Same(t, r, sent)
			assert.Zero(t, testing.AllocsPerRun(100, func() { call(r) }))
		})
	}
	t.Run("where Match says no and nothing came along the very same request is sent", func(t *testing.T) {
		transport.Match = func(*http.Request) bool { return false }
		r := request(serving(walkthrough()), t, "http://httpbin/")
		call(r)
		assert.Same(t, r, sent)
		assert.Zero(t, testing.AllocsPerRun(100, func() { call(r) }))
	})
}

func TestEveryHopOfARedirectIsJudgedAgain(t *testing.T) {
	type hop struct{ path, id string }
	var hops []hop
	record := func(r *http.Request) { hops = append(hops, hop{r.Host + r.URL.Path, r.Header.Get("x-request-id")}) }
	mux := http.NewServeMux()
	mux.HandleFunc("/inside", func(w http.ResponseWriter, r *http.Request) {
		record(r)
		http.Redirect(w, r, "http://outside.example/away", http.StatusFound)
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		record(r)
		http.Redirect(w, r, "http://reviews/back", http.StatusFound)
	})
	mux.HandleFunc("/back", func(_ http.ResponseWriter, r *http.Request) { record(r) })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	// All names lead to the one server.
	to, err := url.Parse(srv.URL)
	require.NoError(t, err)
	client := &http.Client{Transport: &middleware.Transport{
		Base: &http.Transport{Proxy: http.ProxyURL(to)}, Match: middleware.Internal(),
	}}
	defer client.CloseIdleConnections()

	res, err := client.Do(request(serving(walkthrough()), t, "http://reviews/inside"))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	id := walkthrough().Get("x-request-id")
	assert.Equal(t, []hop{{"reviews/inside", id}, {"outside.example/away", ""}, {"reviews/back", id}}, hops)
}

type idler struct {
	http.RoundTripper
	closed int
}

func (i *idler) CloseIdleConnections() { i.closed++ }

func TestTheClientReachesTheBaseTransport(t *testing.T) {
	t.Run("to close idle connections", func(t *testing.T) {
		base := &idler{}
		client := &http.Client{Transport: &middleware.Transport{Base: base}}
		client.CloseIdleConnections()
		assert.Equal(t, 1, base.closed)
	})
	t.Run("which need not keep any", func(t *testing.T) {
		client := &http.Client{Transport: &middleware.Transport{Base: roundTripFunc(nil)}}
		assert.NotPanics(t, client.CloseIdleConnections)
	})
	t.Run("or is http.DefaultTransport", func(t *testing.T) {
		base := &idler{}
		original := http.DefaultTransport
		http.DefaultTransport = base
		defer func() { http.DefaultTransport = original }()
		client := &http.Client{Transport: &middleware.Transport{}}
		client.CloseIdleConnections()
		assert.Equal(t, 1, base.closed)
	})
	t.Run("whose error it sees", func(t *testing.T) {
		down := errors.New("upstream is down")
		client := &http.Client{Transport: &middleware.Transport{Base: roundTripFunc(func(*http.Request) (*http.Response, error) {
			return nil, down
		})}}
		_, err := client.Do(request(serving(walkthrough()), t, "http://httpbin/")) //nolint:bodyclose // there is none
		assert.ErrorIs(t, err, down)
	})
	t.Run("which is http.DefaultTransport when none is given", func(t *testing.T) {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, walkthrough().Get("x-b3-traceid"), r.Header.Get("x-b3-traceid"))
			w.WriteHeader(http.StatusTeapot)
		}))
		defer srv.Close()
		res, err := (&http.Client{Transport: &middleware.Transport{}}).Do(request(serving(walkthrough()), t, srv.URL))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, http.StatusTeapot, res.StatusCode)
	})
}
