package propagationtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/propagationtest"
)

// get calls the URL and parses the answer, as most services do.
func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	var parsed map[string]any
	return json.NewDecoder(res.Body).Decode(&parsed)
}

// inTurn calls two others, the second with the context that the function
// makes of the request's.
func inTurn(second func(context.Context) context.Context) propagationtest.Service {
	return propagationtest.Service{Handler: func(upstream string, client *http.Client) http.Handler {
		client.Transport = &middleware.Transport{Base: client.Transport}
		return middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			err := get(r.Context(), client, upstream+"/customer")
			if err == nil {
				err = get(second(r.Context()), client, upstream+"/route")
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
			}
		}))
	}}
}

func same(ctx context.Context) context.Context { return ctx }

func TestASecondCallIsSeenWhereTheFirstAnswerIsParsed(t *testing.T) {
	t.Parallel()
	assert.NoError(t, propagationtest.Test(propagationtest.Hasten(inTurn(same))))
	err := propagationtest.Test(propagationtest.Hasten(inTurn(func(context.Context) context.Context { return context.Background() })))
	assert.ErrorContains(t, err, "headers of all families arrive together: none of the headers arrived")
	assert.ErrorContains(t, err, "call:    GET /route, which is call 2 of the request")
	assert.NotContains(t, err.Error(), "call:    GET /customer")
}

func TestAllCallsThatShowAFaultAreNamed(t *testing.T) {
	err := propagationtest.Test(propagationtest.Hasten(propagationtest.Service{Handler: func(upstream string, client *http.Client) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for _, path := range []string{"/details", "/reviews", "/reviews", "/ratings"} {
				req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, upstream+path, nil)
				if path != "/details" {
					propagation.Istio().Extract(r.Header).Inject(req.Header)
				}
				if path == "/reviews" || path == "/ratings" {
					req.Header.Del("X-Request-Id")
				}
				if res, err := client.Do(req); err == nil {
					_ = res.Body.Close()
				}
			}
		})
	}}))
	assert.ErrorContains(t, err, "none of the headers arrived\n")
	assert.ErrorContains(t, err, "call:    GET /details, which is call 1 of the request\n")
	assert.ErrorContains(t, err, "x-request-id was lost (3 times)\n")
	assert.ErrorContains(t, err, "call:    GET /reviews, which is call 2 of the request; also GET /ratings\n")
}

func TestAServiceThatFailsIsNotSaidToPass(t *testing.T) {
	t.Parallel()
	s := inTurn(same)
	s.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	err := propagationtest.Test(propagationtest.Hasten(s))
	assert.ErrorContains(t, err, `headers of all families arrive together: the service answered GET / with 502 Bad Gateway ("invalid character 'o' looking for beginning of value"): calls that it makes after that are not seen.`)
	assert.ErrorContains(t, err, "Service.Upstream says what else it needs")
}

func TestTheUpstreamIsTheServicesToChoose(t *testing.T) {
	t.Parallel()
	var paths sync.Map
	s := inTurn(same)
	s.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths.Store(r.URL.Path, true)
		_, _ = io.WriteString(w, `{"customer":1}`)
	})
	assert.NoError(t, propagationtest.Test(propagationtest.Hasten(s)))
	var seen []string
	paths.Range(func(path, _ any) bool { seen = append(seen, path.(string)); return true })
	slices.Sort(seen)
	assert.Subset(t, seen, []string{"/customer", "/route"})
	for _, path := range seen {
		assert.NotContains(t, path, "/p/", "the kit's own part of the path is not the service's")
	}
}

// group calls two others at once, and gives both up when one fails, as an
// errgroup does.
func group(upstream string, client *http.Client) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		var calls sync.WaitGroup
		for _, path := range []string{"/details", "/reviews"} {
			calls.Add(1)
			go func() {
				defer calls.Done()
				if err := get(ctx, client, upstream+path); err != nil {
					cancel(err)
				}
			}()
		}
		calls.Wait()
		if err := context.Cause(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})
}

func TestCallsInAGroupNeverFailACorrectService(t *testing.T) {
	t.Parallel()
	for _, upstream := range []http.Handler{nil, http.NotFoundHandler()} {
		for range 3 {
			err := propagationtest.Test(propagationtest.Hasten(propagationtest.Service{Upstream: upstream, Handler: func(upstream string, client *http.Client) http.Handler {
				client.Transport = &middleware.Transport{Base: client.Transport}
				return middleware.Relay(propagation.Istio())(group(upstream, client))
			}}))
			if upstream == nil {
				assert.NoError(t, err)
				continue
			}
			// It fails, and for that reason only.
			assert.ErrorContains(t, err, "the service answered GET / with 502 Bad Gateway")
			assert.NotContains(t, err.Error(), "\nthe")
			assert.NotContains(t, err.Error(), "client failed")
		}
	}
}

func TestBaggageIsASetThatMayBeJoinedAndReordered(t *testing.T) {
	t.Parallel()
	s := loop(func(out, in http.Header) {
		all(out, in)
		members := strings.Split(strings.Join(in.Values("baggage"), ","), ",")
		slices.Reverse(members)
		if members[0] != "" {
			out.Set("baggage", strings.Join(members, ","))
		}
	})
	s.Families = propagation.Istio().With(propagation.Baggage)
	assert.NoError(t, propagationtest.Test(propagationtest.Hasten(s)))
}

func TestAServiceIsCalledAsItAsksToBe(t *testing.T) {
	t.Parallel()
	s := loop(all)
	handler := s.Handler
	s.Handler = func(upstream string, client *http.Client) http.Handler {
		next := handler(upstream, client)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.Method != http.MethodPut || string(body) != `{"q":1}` || r.Header.Get("Authorization") != "Bearer x" {
				http.Error(w, "no", http.StatusBadRequest)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	assert.ErrorContains(t, propagationtest.Test(propagationtest.Impatient(s, time.Second)), "cannot test the service: the service answered GET / with 400 Bad Request")
	s.Method, s.Body, s.Header = http.MethodPut, `{"q":1}`, http.Header{"Authorization": {"Bearer x"}}
	assert.NoError(t, propagationtest.Test(propagationtest.Hasten(s)))
}

func TestAServiceIsToldItsUpstreamInABody(t *testing.T) {
	t.Parallel()
	s := propagationtest.Service{Body: "{upstream}", Handler: func(string, *http.Client) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			target, _ := io.ReadAll(r.Body)
			req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, string(target), nil)
			all(req.Header, r.Header)
			pass(w, http.DefaultClient, req)
		})
	}}
	assert.NoError(t, propagationtest.Test(propagationtest.Hasten(s)))
}

// ginContext is a context that does what gin's does without
// ContextWithFallback: it knows itself, and nothing of the request.
type ginContext struct{ context.Context }

func (c ginContext) Value(key any) any {
	if key == "_gin-gonic/gin/contextkey" {
		return c
	}
	return nil
}

func TestGinsOwnContextGetsThatReason(t *testing.T) {
	t.Parallel()
	s := inTurn(func(context.Context) context.Context { return ginContext{context.Background()} })
	err := propagationtest.Test(propagationtest.Hasten(s))
	assert.ErrorContains(t, err, "engine.ContextWithFallback = true, or make the call with c.Request.Context()")
	assert.ErrorContains(t, err, "call:    GET /route")
}

func TestAProxyGetsAdviceForAProxy(t *testing.T) {
	t.Parallel()
	s := propagationtest.Service{Handler: func(upstream string, client *http.Client) http.Handler {
		u, _ := url.Parse(upstream)
		return &httputil.ReverseProxy{Transport: client.Transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }}
	}}
	err := propagationtest.Test(propagationtest.Hasten(s))
	assert.ErrorContains(t, err, "an empty header is not passed on: b3, x-b3-sampled,")
	assert.ErrorContains(t, err, "A proxy passes an empty header on as it came")
	assert.NotContains(t, err.Error(), "In a copy loop")
}

// A service that never names a client sends with http.DefaultTransport.
func TestAServiceOnTheDefaultTransportIsDriven(t *testing.T) {
	before := http.DefaultTransport
	seen := func(s propagationtest.Service) error {
		s.DefaultTransport = true
		return propagationtest.Test(propagationtest.Hasten(s))
	}
	handler := func(wrap func(http.RoundTripper) http.RoundTripper) propagationtest.Service {
		return propagationtest.Service{Match: middleware.Internal(), Handler: func(upstream string, _ *http.Client) http.Handler {
			_, ok := http.DefaultTransport.(*http.Transport)
			assert.True(t, ok, "programs rely on the type")
			http.DefaultTransport = wrap(http.DefaultTransport)
			return middleware.Relay(propagation.Istio())(fetch(upstream, http.DefaultClient))
		}}
	}
	assert.NoError(t, seen(handler(func(base http.RoundTripper) http.RoundTripper {
		return &middleware.Transport{Base: base, Match: middleware.Internal()}
	})))
	err := seen(handler(func(base http.RoundTripper) http.RoundTripper {
		return roundTripFunc(func(r *http.Request) (*http.Response, error) {
			propagation.FromContext(r.Context()).Inject(r.Header)
			return base.RoundTrip(r)
		})
	}))
	assert.ErrorContains(t, err, "the caller's request is not changed: the caller's request was changed")
	assert.ErrorContains(t, err, "arrived at outside.example")
	assert.Same(t, before, http.DefaultTransport)
}

func TestAServiceThatCallsOverGRPCsProtocolIsSeen(t *testing.T) {
	t.Parallel()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	defer client.CloseIdleConnections()
	s := propagationtest.Service{Handler: func(upstream string, _ *http.Client) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			req, _ := http.NewRequestWithContext(r.Context(), http.MethodPost, upstream+"/shop.Cart/Get", bytes.NewReader(make([]byte, 5)))
			all(req.Header, r.Header)
			req.Header.Set("Content-Type", "application/grpc")
			req.Header.Set("Te", "trailers")
			if res, err := client.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		})
	}}
	// Requests at once that carry nothing cannot be told apart without the kit's client.
	assert.NoError(t, propagationtest.Test(propagationtest.Hasten(s)))
}

func TestAHandlerThatPanicsOnItsSecondRequestIsServedAgain(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	s := loop(all)
	handler := s.Handler
	s.Handler = func(upstream string, client *http.Client) http.Handler {
		next := handler(upstream, client)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) == 2 {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}
	// The client sends the request again, on a connection of its own.
	assert.NoError(t, propagationtest.Test(propagationtest.Hasten(s)))
}

// A service that makes one call at a time keeps the kit's own waiting, so that
// upstream handlers run late.
func TestAServiceThatMakesOneCallAtATimeIsTested(t *testing.T) {
	t.Parallel()
	s := relaying(func(base http.RoundTripper) http.RoundTripper {
		var one sync.Mutex
		return roundTripFunc(func(r *http.Request) (*http.Response, error) {
			one.Lock()
			defer one.Unlock()
			return base.RoundTrip(r)
		})
	}, nil)
	assert.NoError(t, propagationtest.Test(propagationtest.Impatient(s, time.Second)))
}
