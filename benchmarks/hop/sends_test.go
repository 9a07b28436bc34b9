package hop_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

// sent returns the headers of the calls that p makes while it serves a request
// with the headers in.
func sent(tb testing.TB, p peer, in http.Header, calls int) []http.Header {
	var all []http.Header
	newHop(tb, p, in, calls, func(h http.Header) { all = append(all, h.Clone()) })()
	return all
}

// TestEveryRowDoesItsWork says what each row is timed doing.
func TestEveryRowDoesItsWork(t *testing.T) {
	for _, set := range headerSets() {
		for _, p := range peers(set) {
			t.Run(set.name+"/"+p.name, func(t *testing.T) {
				got := sent(t, p, set.in, 2)
				require.Len(t, got, 2)
				for _, h := range got {
					for name, values := range own {
						assert.Equal(t, values, h[name], "the caller's own headers stay")
						delete(h, name)
					}
					assertSent(t, p.name, set, h)
				}
				assert.Len(t, own, 2, "the caller's own headers are not written to")
			})
		}
	}
}

func assertSent(t *testing.T, by string, set headers, got http.Header) {
	t.Helper()
	traced := set.name != "none"
	switch by {
	case "baseline":
		assert.Empty(t, got)
	case "relay", "handler", "propagator", "floor", "loop", "loop-middleware", "otelhttp-noop-ours":
		assert.Equal(t, only(set.in, otelprop.Propagator{Families: set.families}.Fields()), got, "what came in goes out")
	case "loop-bookinfo":
		assert.Equal(t, only(set.in, bookinfo), got, "what came in goes out")
	case "b3", "otelhttp-noop-b3":
		want := http.Header{"X-B3-Sampled": {"0"}} // invented, where nothing came in
		if traced {
			want = only(set.in, []string{"x-b3-traceid", "x-b3-spanid", "x-b3-sampled"})
		}
		assert.Equal(t, want, got)
	case "otelhttp-unsampled-ours":
		if traced {
			assert.Equal(t, only(set.in, otelprop.Propagator{Families: set.families}.Fields()), got, "what came in goes out")
		} else {
			assertSpan(t, set, got, "0")
		}
	case "otelhttp-unsampled-b3":
		assertSpan(t, set, got, "0")
		assert.Len(t, got, 3)
	case "otelhttp-sampled-b3":
		assertSpan(t, set, got, "1")
		assert.Len(t, got, 3)
	case "otelhttp-sampled-ours":
		assertSpan(t, set, got, "1")
		if traced {
			assert.NotContains(t, got, "X-B3-Parentspanid", "no stale header beside a new span")
			for name, values := range only(set.in, otelprop.Propagator{Families: set.families}.Fields()) {
				if !strings.Contains(name, "B3") && name != "Traceparent" {
					assert.Equal(t, values, got[name])
				}
			}
		}
	case "zipkin-go", "opentracing":
		assertSpan(t, set, got, "1")
		assert.NotEmpty(t, got.Get("x-b3-parentspanid"))
	default:
		t.Fatalf("what %s should send is not written here", by)
	}
}

// assertSpan expects the headers of a new span, in the trace that came in if
// one did.
func assertSpan(t *testing.T, set headers, got http.Header, sampled string) {
	t.Helper()
	assert.Len(t, got.Get("x-b3-spanid"), 16)
	assert.NotEqual(t, set.in.Get("x-b3-spanid"), got.Get("x-b3-spanid"))
	assert.Equal(t, sampled, got.Get("x-b3-sampled"))
	if want := set.in.Get("x-b3-traceid"); want != "" {
		assert.Equal(t, want, got.Get("x-b3-traceid"))
	} else {
		assert.NotEmpty(t, got.Get("x-b3-traceid"))
	}
}

// only returns the headers of h that are named.
func only(h http.Header, names []string) http.Header {
	h = maps.Clone(h)
	for name := range h {
		found := false
		for _, n := range names {
			found = found || strings.EqualFold(n, name)
		}
		if !found {
			delete(h, name)
		}
	}
	return h
}

// TestTheFloorMakesTheSameChecks keeps the floor an honest one.
func TestTheFloorMakesTheSameChecks(t *testing.T) {
	floor := peer{name: "floor", server: floorServer, client: floorClient}
	for name, change := range map[string]func(in, out http.Header){
		"as it comes":                           func(_, _ http.Header) {},
		"a value that cannot be sent":           func(in, _ http.Header) { in.Set("x-b3-spanid", "a\nb") },
		"a request ID that cannot be sent":      func(in, _ http.Header) { in.Set("x-request-id", "\x7f") },
		"a family above 8 KiB":                  func(in, _ http.Header) { in.Set("x-b3-spanid", strings.Repeat("a", 8<<10)) },
		"another family above 8 KiB":            func(in, _ http.Header) { in.Set("x-ot-span-context", strings.Repeat("a", 8<<10+1)) },
		"empty values":                          func(in, _ http.Header) { in.Set("x-b3-sampled", ""); in.Set("x-request-id", "") },
		"blank values":                          func(in, _ http.Header) { in.Set("x-b3-sampled", " \t") },
		"nothing but a decision":                func(in, _ http.Header) { clear(in); in.Set("x-b3-sampled", "0") },
		"the caller set one of a family":        func(_, out http.Header) { out.Set("x-b3-sampled", "0") },
		"the caller set one that came not":      func(_, out http.Header) { out.Set("b3", "0") },
		"the caller set one to nil":             func(_, out http.Header) { out["X-B3-Flags"] = nil },
		"the caller wrote it in another case":   func(_, out http.Header) { out["x-b3-TRACEID"] = []string{"1"} },
		"the caller set a request ID":           func(_, out http.Header) { out.Set("x-request-id", "mine") },
		"the caller set a span context":         func(_, out http.Header) { out.Set("x-ot-span-context", "mine") },
		"the caller set one of each":            func(_, out http.Header) { out["X-Request-Id"], out["B3"], out["X-Ot-Span-Context"] = nil, nil, nil },
		"the caller set others of such lengths": func(_, out http.Header) { out.Set("x-nothing-1", "1"); out.Set("a2", "1"); out.Set("x-aa-flags", "1") },
	} {
		t.Run(name, func(t *testing.T) {
			in := walkthrough()
			change(in, http.Header{})
			prepare := func(out, _ http.Header) { change(http.Header{}, out) }
			ours := relay(propagation.Istio())
			ours.copies, floor.copies = prepare, prepare
			assert.Equal(t, sent(t, ours, in, 1), sent(t, floor, in, 1))
		})
	}
}

// TestThePropagatorAllocatesLessThanContribB3 is the part of the comparison that
// does not depend on the machine.
func TestThePropagatorAllocatesLessThanContribB3(t *testing.T) {
	allocs := make(map[string]float64)
	for _, p := range peers(six()) {
		allocs[p.name] = testing.AllocsPerRun(100, newHop(t, p, walkthrough(), 1, new(upstream).receive))
	}
	for ours, theirs := range map[string]string{
		"propagator":              "b3",
		"otelhttp-noop-ours":      "otelhttp-noop-b3",
		"otelhttp-unsampled-ours": "otelhttp-unsampled-b3",
		"otelhttp-sampled-ours":   "otelhttp-sampled-b3",
	} {
		assert.Less(t, allocs[ours], allocs[theirs], ours)
	}
}
