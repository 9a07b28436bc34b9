package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// walkthrough are the six headers that the sidecars of the walkthrough send.
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

func everyFamily() (propagation.Families, http.Header) {
	f := propagation.Of(propagation.RequestID, propagation.B3, propagation.W3C, propagation.OTSpanContext,
		propagation.Baggage, propagation.Datadog, propagation.SkyWalking, propagation.GoogleCloud,
		propagation.GRPCTraceBin, propagation.XRay, propagation.Jaeger)
	h := http.Header{}
	for _, name := range f.Names() {
		h.Set(name, "some value of "+name)
	}
	h.Set("grpc-trace-bin", "AAAB")
	return f, h
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// hop is one request served and one call made meanwhile, with nothing else
// around: what it costs is what this library costs.
type hop struct {
	serve func()
	sent  http.Header
}

func newHop(wrap func(http.Handler) http.Handler, client func(http.RoundTripper) http.RoundTripper, in, own http.Header) *hop {
	h := &hop{}
	res := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
	base := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		h.sent = r.Header
		return res, nil
	})
	rt := client(base)
	out := httptest.NewRequest(http.MethodGet, "http://httpbin:8000/ip", nil)
	out.Header, out.RequestURI = own, ""
	handler := wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		// What a client does for every call, with or without this library,
		// is left out as far as can be: only the context is new.
		call := out.WithContext(r.Context())
		if _, err := rt.RoundTrip(call); err != nil {
			panic(err)
		}
	}))
	req := httptest.NewRequest(http.MethodGet, "http://flaskapp/fetch_with_trace", nil)
	req.Header = in
	req = req.WithContext(context.WithValue(context.WithValue(context.Background(), http.ServerContextKey, 1), http.LocalAddrContextKey, 2))
	w := &discard{header: http.Header{}}
	h.serve = func() { handler.ServeHTTP(w, req) }
	return h
}

func plainServer(next http.Handler) http.Handler           { return next }
func plainClient(base http.RoundTripper) http.RoundTripper { return base }
func relayClient(base http.RoundTripper) http.RoundTripper { return &middleware.Transport{Base: base} }

// cost returns the allocations and bytes of one run of f.
func cost(f func()) (allocs, bytes float64) {
	const runs = 1000
	allocs = testing.AllocsPerRun(runs, f)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return allocs, float64(after.TotalAlloc-before.TotalAlloc) / runs
}

func TestAHopCostsAtMostFiveAllocationsAnd1350Bytes(t *testing.T) {
	own := http.Header{"Accept": {"*/*"}, "User-Agent": {"test"}}
	nothing := http.Header{"Accept": {"*/*"}}
	every, all := everyFamily()
	eight := walkthrough()
	eight.Set("traceparent", "00-463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-01")
	eight.Set("b3", "463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1")

	baseAllocs, baseBytes := cost(newHop(plainServer, plainClient, walkthrough(), own).serve)
	for name, row := range map[string]struct {
		families      propagation.Families
		in, own       http.Header
		allocs, bytes float64
	}{
		"nothing to relay":                       {in: nothing, own: own},
		"six headers and none of the caller's":   {in: walkthrough(), own: http.Header{}, allocs: 5, bytes: 1350},
		"six headers and two of the caller's":    {in: walkthrough(), own: own, allocs: 5, bytes: 1350},
		"eight headers and none of the caller's": {in: eight, own: http.Header{}, allocs: 7, bytes: 1750},
		"beyond eight, Go's small map ends":      {in: eight, own: own, allocs: 9, bytes: 2500},
		// Go 1.26 takes eleven, and Go 1.24 four more.
		"every header of every family, 25 in all": {families: every, in: all, own: own, allocs: 15, bytes: 4500},
	} {
		t.Run(name, func(t *testing.T) {
			allocs, bytes := cost(newHop(middleware.Relay(row.families), relayClient, row.in, row.own).serve)
			t.Logf("%.0f allocations, %.0f bytes over the baseline", allocs-baseAllocs, bytes-baseBytes)
			assert.LessOrEqual(t, allocs-baseAllocs, row.allocs)
			// The runtime may allocate a little meanwhile.
			assert.LessOrEqual(t, bytes-baseBytes, row.bytes+3)
		})
	}
}

func BenchmarkHop(b *testing.B) {
	own := http.Header{"Accept": {"*/*"}, "User-Agent": {"test"}}
	every, all := everyFamily()
	for _, row := range []struct {
		name string
		hop  *hop
	}{
		{"baseline", newHop(plainServer, plainClient, walkthrough(), own)},
		{"nothing to relay", newHop(middleware.Relay(propagation.Istio()), relayClient, http.Header{"Accept": {"*/*"}}, own)},
		{"six headers", newHop(middleware.Relay(propagation.Istio()), relayClient, walkthrough(), own)},
		{"every family", newHop(middleware.Relay(every), relayClient, all, own)},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				row.hop.serve()
			}
		})
	}
}
