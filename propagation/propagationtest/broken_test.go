package propagationtest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/propagationtest"
)

// walkthrough are the headers of the copy loop in the walkthrough, and those of
// the newer sidecars.
var walkthrough = []string{
	"x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "b3",
	"traceparent", "tracestate", "x-ot-span-context",
}

// loop is a service that copies headers by hand.
func loop(copyHeaders func(out, in http.Header)) propagationtest.Service {
	return propagationtest.Service{Handler: func(upstream string, client *http.Client) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, upstream, nil)
			copyHeaders(req.Header, r.Header)
			pass(w, client, req)
		})
	}}
}

// all copies every header as it is.
func all(out, in http.Header) {
	for _, name := range walkthrough {
		for _, v := range in.Values(name) {
			if v != "" {
				out.Add(name, v)
			}
		}
	}
}

// relaying is a service on this repository's middleware, with a client of the
// test's own between that and the network, and one above.
func relaying(below, above func(http.RoundTripper) http.RoundTripper) propagationtest.Service {
	return propagationtest.Service{Handler: func(upstream string, client *http.Client) http.Handler {
		if below != nil {
			client.Transport = below(client.Transport)
		}
		client.Transport = &middleware.Transport{Base: client.Transport}
		if above != nil {
			client.Transport = above(client.Transport)
		}
		return middleware.Relay(propagation.Istio())(fetch(upstream, client))
	}}
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func newID(digits int) string {
	b := make([]byte, digits/2)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// child writes a new span into x-b3-* and into the other headers named.
func child(out http.Header, names ...string) {
	span := newID(16)
	if out.Get("x-b3-spanid") != "" {
		out.Set("x-b3-spanid", span)
		out.Del("x-b3-parentspanid")
	}
	for _, name := range names {
		switch v := strings.Split(out.Get(name), "-"); {
		case name == "b3" && len(v) > 1:
			v[1] = span
			out.Set(name, strings.Join(v[:min(len(v), 3)], "-"))
		case name == "traceparent" && len(v) == 4:
			v[2] = span
			out.Set(name, strings.Join(v, "-"))
		}
	}
}

func TestABrokenServiceFailsWithTheMessageThatNamesItsFault(t *testing.T) {
	t.Parallel()
	own := func(s propagationtest.Service) propagationtest.Service {
		s.Spans = propagationtest.OwnSpans
		return s
	}
	tests := map[string]struct {
		service propagationtest.Service
		message string
		only    bool // no other case fails
	}{
		"forgets one header": {
			loop(func(out, in http.Header) { all(out, in); out.Del("x-b3-spanid") }),
			"headers of all families arrive together: x-b3-spanid was lost from x-b3-*, and the rest arrived",
			false,
		},
		"mixes values between requests": {
			inOnePlace(),
			"many requests at once keep their own: x-request-id, x-b3-traceid,",
			false,
		},
		"caches what the first request brought": {
			firstWins(),
			"arrived with the value of another request",
			false,
		},
		"lowercases values": {
			loop(func(out, in http.Header) {
				all(out, in)
				for name, values := range out {
					for i, v := range values {
						out[name][i] = strings.ToLower(v)
					}
				}
			}),
			"headers of all families arrive together: tracestate and x-ot-span-context arrived in another case",
			false,
		},
		"sends empties": {
			loop(func(out, in http.Header) {
				for _, name := range walkthrough {
					out.Set(name, in.Get(name))
				}
			}),
			"where nothing came in, nothing is invented: b3, x-b3-sampled, traceparent, x-b3-traceid, x-b3-spanid, x-request-id, x-b3-parentspanid, x-b3-flags, tracestate and x-ot-span-context arrived empty",
			false,
		},
		"mutates the caller's request": {
			relaying(nil, func(base http.RoundTripper) http.RoundTripper {
				return roundTripFunc(func(r *http.Request) (*http.Response, error) {
					propagation.FromContext(r.Context()).Inject(r.Header)
					return base.RoundTrip(r)
				})
			}),
			"the caller's request is not changed: the caller's request was changed: it has b3, traceparent, tracestate, x-b3-parentspanid, x-b3-sampled, x-b3-spanid, x-b3-traceid, x-ot-span-context and x-request-id now",
			true,
		},
		"relays to the wrong host": {
			inside(loop(all)),
			"a redirect to another host does not: x-request-id, x-b3-traceid, x-b3-spanid, x-b3-parentspanid, x-b3-sampled, b3, traceparent, tracestate and x-ot-span-context arrived at outside.example",
			true,
		},
		"drops repeated values": {
			loop(func(out, in http.Header) {
				for _, name := range walkthrough {
					if v := in.Get(name); v != "" {
						out.Set(name, v)
					}
				}
			}),
			"every value of a repeated header arrives, in order: tracestate: member second was lost",
			true,
		},
		"uses context.Background": {
			relaying(nil, func(base http.RoundTripper) http.RoundTripper {
				return roundTripFunc(func(r *http.Request) (*http.Response, error) {
					return base.RoundTrip(r.WithContext(context.Background()))
				})
			}),
			"call:    GET /, which is call 1 of the request\n    seen:    the call was made with a context that does not come from the request's, such as context.Background()",
			false,
		},
		"generates a new request ID": {
			loop(func(out, in http.Header) { all(out, in); out.Set("x-request-id", "req-"+newID(8)) }),
			"x-request-id alone arrives: the new x-request-id is not a UUID",
			false,
		},
		"makes up a request ID of letters": {
			loop(func(out, in http.Header) {
				if all(out, in); out.Get("x-request-id") == "" {
					out.Set("x-request-id", "req-"+newID(8))
				}
			}),
			"where nothing came in, nothing is invented: the x-request-id that was made where none came in is not a UUID",
			false,
		},
		"keeps a stale b3 beside fresh x-b3-*": {
			own(loop(func(out, in http.Header) { all(out, in); child(out, "traceparent") })),
			"headers of all families arrive together: b3 arrived as sent, beside x-b3-* and traceparent, which name a new span",
			false,
		},
		"keeps a stale parent beside a new span": {
			own(loop(func(out, in http.Header) {
				all(out, in)
				parent := out.Get("x-b3-parentspanid")
				child(out, "b3", "traceparent")
				if parent != "" {
					out.Set("x-b3-parentspanid", parent)
				}
			})),
			"x-b3-* names a new span below the caller's own parent",
			false,
		},
		"makes spans and leaves them out": {
			own(loop(all)),
			"b3, x-b3-spanid and traceparent still name the caller's span",
			false,
		},
		"names spans that nobody exports": {
			loop(func(out, in http.Header) { all(out, in); child(out, "b3", "traceparent") }),
			"x-b3-* names a span that nobody exports",
			false,
		},
		"starts a trace of its own": {
			own(loop(func(out, _ http.Header) {
				out.Set("x-b3-traceid", newID(32))
				out.Set("x-b3-spanid", newID(16))
				out.Set("x-b3-sampled", "1")
			})),
			"x-b3-* names another trace than the one that was sent",
			false,
		},
		"pads trace IDs": {
			loop(func(out, in http.Header) {
				all(out, in)
				if id := out.Get("x-b3-traceid"); len(id) == 16 {
					out.Set("x-b3-traceid", strings.Repeat("0", 16)+id)
				}
			}),
			"a trace ID of 64 bits keeps its 16 digits: the 64-bit trace ID arrived with 32 digits in x-b3-*",
			true,
		},
		"cuts trace IDs": {
			loop(func(out, in http.Header) {
				all(out, in)
				if id := out.Get("x-b3-traceid"); len(id) == 32 {
					out.Set("x-b3-traceid", id[16:])
				}
			}),
			"the 128-bit trace ID arrived with 16 digits in x-b3-*",
			false,
		},
		"forgets the parent": {
			loop(func(out, in http.Header) { all(out, in); out.Del("x-b3-parentspanid") }),
			"the span's parent was lost from x-b3-*",
			false,
		},
		"invents that nothing is sampled": {
			loop(func(out, in http.Header) {
				all(out, in)
				if out.Get("x-b3-sampled") == "" {
					out.Set("x-b3-sampled", "0")
				}
			}),
			"where nothing came in, nothing is invented: x-b3-* says not sampled, and no decision was sent",
			false,
		},
		"decides again": {
			loop(func(out, in http.Header) {
				all(out, in)
				if out.Get("x-b3-traceid") != "" {
					out.Set("x-b3-sampled", "1")
				}
			}),
			"a trace that is not sampled stays so: not sampled became sampled: x-b3-sampled: 0 was sent, and x-b3-* says sampled",
			false,
		},
		"samples by the trace ID": {
			own(loop(func(out, in http.Header) {
				all(out, in)
				child(out, "b3", "traceparent")
				if v := out.Get("traceparent"); len(v) == 55 && v[19] == 'f' {
					out.Set("traceparent", v[:54]+"0")
				}
			})),
			"a trace keeps its decision, whatever its ID is: sampled became not sampled: traceparent with the flags 01 was sent, and traceparent says not sampled",
			false,
		},
		"replaces request IDs that it does not like": {
			loop(func(out, in http.Header) {
				all(out, in)
				if id := out.Get("x-request-id"); id != "" && len(id) != 36 {
					out.Set("x-request-id", "5c1e3d0d-5a1e-4c4b-8a59-"+newID(12))
				}
			}),
			"a request ID that is no UUID arrives, too: x-request-id arrived as another ID",
			true,
		},
		"loses a member of baggage": {
			baggage(loop(func(out, in http.Header) {
				all(out, in)
				if v := in.Get("baggage"); v != "" {
					out.Set("baggage", strings.Replace(v, "DF%2028", "DF+28", 1))
				}
			})),
			`serverNode of baggage arrived as "DF+28", and "DF 28" was sent`,
			false,
		},
		"adds a second request ID": {
			loop(func(out, in http.Header) { all(out, in); out.Add("x-request-id", "req-1") }),
			"x-request-id arrived as sent, and a second one beside it",
			false,
		},
		"relays x-request-id only": {
			loop(func(out, in http.Header) {
				if id := in.Get("x-request-id"); id != "" {
					out.Set("x-request-id", id)
				}
			}),
			"headers of all families arrive together: everything but x-request-id was lost",
			false,
		},
		"relays nothing": {
			loop(func(_, _ http.Header) {}),
			"headers of all families arrive together: none of the headers arrived",
			false,
		},
		"writes IDs in upper case": {
			loop(func(out, in http.Header) {
				all(out, in)
				out.Set("x-b3-spanid", strings.ToUpper(out.Get("x-b3-spanid")))
			}),
			"x-b3-spanid arrived in another case",
			false,
		},
		"joins values": {
			custom(loop(func(out, in http.Header) {
				all(out, in)
				if v := in.Values("end-user"); len(v) > 0 && v[0] != "" {
					out.Set("end-user", strings.Join(v, ", "))
				}
			})),
			"every value of a repeated header arrives, in order: end-user arrived with another value",
			true,
		},
		"mixes a call's own headers with the request's": {
			relaying(nil, func(base http.RoundTripper) http.RoundTripper {
				return roundTripFunc(func(r *http.Request) (*http.Response, error) {
					out := r.Clone(r.Context())
					for name, value := range propagation.FromContext(r.Context()).All() {
						if _, ok := r.Header[http.CanonicalHeaderKey(name)]; !ok {
							out.Header.Add(name, value)
						}
					}
					return base.RoundTrip(out)
				})
			}),
			"a header that the caller set itself wins, alone: the caller set x-b3-traceid and x-b3-spanid, and x-b3-parentspanid, x-b3-sampled and b3 of the request went out",
			true,
		},
		"overwrites a call's own headers": {
			relaying(func(base http.RoundTripper) http.RoundTripper {
				return roundTripFunc(func(r *http.Request) (*http.Response, error) {
					out := r.Clone(r.Context())
					for name := range propagation.FromContext(r.Context()).All() {
						out.Header.Del(name)
					}
					propagation.FromContext(r.Context()).Inject(out.Header)
					return base.RoundTrip(out)
				})
			}, nil),
			"a header that the caller set itself wins, alone: the caller set x-request-id, and x-request-id of the request went out",
			true,
		},
		"retries without them": {
			relaying(func(base http.RoundTripper) http.RoundTripper {
				return roundTripFunc(func(r *http.Request) (*http.Response, error) {
					res, err := base.RoundTrip(r)
					if err != nil || res.StatusCode != http.StatusInternalServerError {
						return res, err
					}
					_ = res.Body.Close()
					again, _ := http.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), nil)
					return base.RoundTrip(again)
				})
			}, nil),
			"an upstream that answers 500 got them too: none of the headers arrived",
			true,
		},
		"loses them on a redirect": {
			loseOnRedirect(),
			"a redirect takes them along: none of the headers arrived",
			false,
		},
		"forgets them when the response is out": {
			keeping(func(*kept) {}, func(k *kept, _ *http.Request) { k.drop() }),
			"work that goes on after the response keeps them: none of the headers arrived",
			false,
		},
		"reads bodies before it sends them": {
			relaying(func(base http.RoundTripper) http.RoundTripper {
				return roundTripFunc(func(r *http.Request) (*http.Response, error) {
					if r.Body != nil {
						b, err := io.ReadAll(r.Body)
						if err != nil {
							return nil, err
						}
						r = r.Clone(r.Context())
						r.Body = io.NopCloser(bytes.NewReader(b))
					}
					return base.RoundTrip(r)
				})
			}, nil),
			"nothing arrived while the body was being written",
			true,
		},
		"says that it recorded no such span": {
			parent(loop(func(out, in http.Header) { all(out, in); child(out, "b3", "traceparent") }), func(string) (string, bool) { return "", false }),
			"the span that calls hangs from the caller's: x-b3-* names a span that the service did not record",
			true,
		},
		"hangs its spans from nothing": {
			parent(loop(func(out, in http.Header) { all(out, in); child(out, "b3", "traceparent") }), func(string) (string, bool) { return "", true }),
			"the span that calls hangs from the caller's: the span in x-b3-* hangs from a root of the service's own, not from the caller's span",
			false,
		},
		"looks after its upstream meanwhile": {
			relaying(nil, func(base http.RoundTripper) http.RoundTripper {
				return roundTripFunc(func(r *http.Request) (*http.Response, error) {
					health, _ := http.NewRequest(http.MethodGet, "http://"+r.URL.Host+"/healthz", nil)
					if res, err := base.RoundTrip(health); err == nil {
						_ = res.Body.Close()
					}
					return base.RoundTrip(r)
				})
			}),
			"call:    GET /healthz, which is call 1 of the request\n    seen:    the call was made with a context that does not come from the request's",
			false,
		},
		"uses the headers up with the first call": {
			keeping((*kept).drop, func(*kept, *http.Request) {}),
			"two calls for one request carry the same: none of the headers arrived",
			false,
		},
		"lets go of the headers when the caller does": {
			keeping(func(*kept) {}, func(k *kept, r *http.Request) {
				if r.Context().Err() != nil {
					k.drop()
				}
			}),
			"a caller that goes away changes nothing: none of the headers arrived",
			true,
		},
		"drops a decision without IDs": {
			loop(func(out, in http.Header) {
				if all(out, in); out.Get("x-b3-traceid") == "" {
					out.Del("x-b3-sampled")
				}
			}),
			"a sampling decision without IDs is passed on: the decision x-b3-sampled: 1 was lost",
			true,
		},
		"writes a parent of zeros": {
			loop(func(out, in http.Header) {
				if all(out, in); out.Get("x-b3-spanid") != "" && out.Get("x-b3-parentspanid") == "" {
					out.Set("x-b3-parentspanid", "0000000000000000")
				}
			}),
			"a span without a parent gets none: x-b3-parentspanid arrived and was not sent",
			true,
		},
		"passes on empties": {
			loop(func(out, in http.Header) {
				for _, name := range walkthrough {
					for _, v := range in.Values(name) {
						out.Add(name, v)
					}
				}
			}),
			"an empty header is not passed on: b3, x-b3-sampled, traceparent,",
			true,
		},
		"does not call anybody": {
			propagationtest.Service{Handler: func(string, *http.Client) http.Handler { return http.NotFoundHandler() }, Path: "/fetch"},
			`cannot test the service: the service answered GET /fetch with 404 Not Found ("404 page not found") and did not call its upstream`,
			false,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := propagationtest.Test(propagationtest.Hasten(test.service))
			require.Error(t, err)
			if testing.Verbose() {
				t.Log("\n" + err.Error())
			}
			assert.ErrorContains(t, err, test.message)
			if only, _, ok := strings.Cut(test.message, ": "); ok && test.only {
				for _, err := range err.(interface{ Unwrap() []error }).Unwrap() { //nolint:errorlint // what Join returns
					assert.ErrorContains(t, err, only+": ", "another case fails too")
				}
			}
		})
	}
}

func TestAServiceThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		service  propagationtest.Service
		patience time.Duration
		message  string
	}{
		"from the first request on":  {loop(func(_, _ http.Header) { select {} }), 50 * time.Millisecond, "cannot test the service: the service did not answer GET /: "},
		"from the second request on": {once(), 300 * time.Millisecond, "propagationtest: the service stopped answering: the cases that follow were not tested"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.ErrorContains(t, propagationtest.Test(propagationtest.Impatient(test.service, test.patience)), test.message)
		})
	}
}

// inOnePlace keeps the headers of the request in a variable of its own.
func inOnePlace() propagationtest.Service {
	var mu sync.Mutex
	var last http.Header
	return propagationtest.Service{Handler: func(upstream string, client *http.Client) http.Handler {
		base := client.Transport
		client.Transport = roundTripFunc(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			mu.Lock()
			all(r.Header, last)
			mu.Unlock()
			return base.RoundTrip(r)
		})
		next := fetch(upstream, client)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			last = r.Header
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	}}
}

// once is a service that runs out of something with its first request.
func once() propagationtest.Service {
	connection := make(chan struct{}, 1)
	connection <- struct{}{}
	return loop(func(out, in http.Header) { <-connection; all(out, in) })
}

func firstWins() propagationtest.Service {
	var mu sync.Mutex
	first := http.Header{}
	return loop(func(out, in http.Header) {
		mu.Lock()
		defer mu.Unlock()
		if first.Get("x-b3-traceid") == "" {
			first.Set("x-b3-traceid", in.Get("x-b3-traceid"))
		}
		if all(out, in); out.Get("x-b3-traceid") != "" {
			out.Set("x-b3-traceid", first.Get("x-b3-traceid"))
		}
	})
}

func inside(s propagationtest.Service) propagationtest.Service {
	s.Match = middleware.Internal()
	return s
}

func custom(s propagationtest.Service) propagationtest.Service {
	s.Families = propagation.Istio().With(propagation.Custom("end-user"))
	return s
}

func baggage(s propagationtest.Service) propagationtest.Service {
	s.Families = propagation.Istio().With(propagation.Baggage)
	return s
}

func parent(s propagationtest.Service, f func(string) (string, bool)) propagationtest.Service {
	s.Spans, s.Parent = propagationtest.OwnSpans, f
	return s
}

func loseOnRedirect() propagationtest.Service {
	s := loop(all)
	handler := s.Handler
	s.Handler = func(upstream string, client *http.Client) http.Handler {
		client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			for name := range r.Header {
				if slices.Contains(walkthrough, strings.ToLower(name)) {
					delete(r.Header, name)
				}
			}
			return nil
		}
		return handler(upstream, client)
	}
	return s
}

// kept are the headers of a request for as long as its service keeps them.
type kept struct {
	mu sync.Mutex
	h  http.Header
}

func (k *kept) drop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.h = nil
}

// keeping is a service that adds to each call what it keeps of the request. It
// says when a call was made, and when the request has been served.
func keeping(called func(*kept), served func(*kept, *http.Request)) propagationtest.Service {
	type key struct{}
	return propagationtest.Service{Handler: func(upstream string, client *http.Client) http.Handler {
		base := client.Transport
		client.Transport = roundTripFunc(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			k := r.Context().Value(key{}).(*kept)
			k.mu.Lock()
			propagation.Istio().Extract(k.h).Inject(r.Header)
			k.mu.Unlock()
			called(k)
			return base.RoundTrip(r)
		})
		next := fetch(upstream, client)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			k := &kept{h: r.Header}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, k)))
			served(k, r)
		})
	}}
}
