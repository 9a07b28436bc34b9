// Package hop measures what it costs to pass trace headers through a service:
// one request served, and the calls made meanwhile, with no network, so that
// what differs between two rows is what the two do about tracing.
package hop_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tracebaton/tracebaton/propagation"
)

// headers are what comes in with a request, and the families that they belong
// to.
type headers struct {
	name     string
	in       http.Header
	families propagation.Families
}

// walkthrough are the six headers that the sidecars of Istio's walkthrough
// send.
func walkthrough() http.Header {
	return http.Header{
		"X-Request-Id":      {"5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10"},
		"X-B3-Traceid":      {"463ac35c9f6413ad48485a3953bb6124"},
		"X-B3-Spanid":       {"a2fb4a1d1a96d312"},
		"X-B3-Parentspanid": {"0020000000000001"},
		"X-B3-Sampled":      {"1"},
		"X-Ot-Span-Context": {"463ac35c9f6413ad;a2fb4a1d1a96d312;0020000000000001;cs"},
	}
}

func six() headers { return headers{name: "six", in: walkthrough()} }

func everyFamily() propagation.Families {
	return propagation.Of(propagation.RequestID, propagation.B3, propagation.W3C, propagation.OTSpanContext,
		propagation.Baggage, propagation.Datadog, propagation.SkyWalking, propagation.GoogleCloud,
		propagation.GRPCTraceBin, propagation.XRay, propagation.Jaeger)
}

// headerSets are the requests that are compared.
func headerSets() []headers {
	all := walkthrough()
	for name, value := range map[string]string{
		"x-b3-flags":                  "0",
		"b3":                          "463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1-0020000000000001",
		"traceparent":                 "00-463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-01",
		"tracestate":                  "vendor=t61rcWkgMzE",
		"baggage":                     "tenant=blue",
		"x-datadog-trace-id":          "5208512171318403364",
		"x-datadog-parent-id":         "11744061942159299346",
		"x-datadog-sampling-priority": "1",
		"x-datadog-origin":            "synthetics",
		"x-datadog-tags":              "_dd.p.dm=-1",
		"sw8":                         "1-NDYzYWMzNWM5ZjY0MTNhZA==-YTJmYjRhMWQxYTk2ZDMxMg==-3-Zmxhc2thcHA=-djE=-L2ZldGNo-aHR0cGJpbjo4MDAw",
		"sw8-correlation":             "dGVuYW50:Ymx1ZQ==",
		"sw8-x":                       "0- ",
		"x-cloud-trace-context":       "463ac35c9f6413ad48485a3953bb6124/11744061942159299346;o=1",
		"grpc-trace-bin":              "AABGOsNcn2QTrUhIWjlTu2EkAaL7Sh0altMSAgE",
		"x-amzn-trace-id":             "Root=1-463ac35c-9f6413ad48485a3953bb6124;Parent=a2fb4a1d1a96d312;Sampled=1",
		"uber-trace-id":               "463ac35c9f6413ad48485a3953bb6124:a2fb4a1d1a96d312:20000000000001:1",
	} {
		all.Set(name, value)
	}
	busy := walkthrough()
	for i := range 20 {
		busy.Set(fmt.Sprintf("x-unrelated-%02d", i), "some value")
	}
	return []headers{
		{name: "none", in: http.Header{"Accept": {"*/*"}}},
		six(),
		{name: "all", in: all, families: everyFamily()},
		{name: "six+20", in: busy},
	}
}

// peer is one way to pass trace headers on. Each of its parts may be nil.
type peer struct {
	name   string
	server func(http.Handler) http.Handler
	client func(http.RoundTripper) http.RoundTripper
	// copies is what the application's own code does to each request it is
	// about to send.
	copies func(out http.Header, in http.Header)
}

// own are the headers that the caller sets itself.
var own = http.Header{"Accept": {"*/*"}, "User-Agent": {"test"}}

// newHop returns a function that serves one request and makes the given number
// of calls meanwhile; sent is told the headers of each. What it returns is not
// safe for use by several goroutines.
func newHop(tb testing.TB, p peer, in http.Header, calls int, sent func(http.Header)) (serve func()) {
	var rt http.RoundTripper = roundTripFunc(func(r *http.Request) (*http.Response, error) {
		sent(r.Header)
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
	})
	if p.client != nil {
		rt = p.client(rt)
	}
	template, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, "http://httpbin:8000/ip", nil)
	if err != nil {
		tb.Fatal(err)
	}
	var handler http.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for range calls {
			// A new request with headers of its own, as every client makes
			// one, but for the parsing of its URL.
			out := template.WithContext(r.Context())
			out.Header = maps.Clone(own)
			if p.copies != nil {
				p.copies(out.Header, r.Header)
			}
			res, err := rt.RoundTrip(out)
			if err != nil {
				panic(err)
			}
			_ = res.Body.Close()
		}
	})
	if p.server != nil {
		handler = p.server(handler)
	}
	// The context of a request is net/http's server's, with two values.
	ctx := context.WithValue(tb.Context(), http.ServerContextKey, new(http.Server))
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, 0)
	r := httptest.NewRequest(http.MethodGet, "http://flaskapp/fetch_with_trace", nil).WithContext(ctx)
	r.Header = in
	w := discard{header: http.Header{}}
	return func() { handler.ServeHTTP(w, r) }
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
