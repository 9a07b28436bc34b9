package hop_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tracebaton/tracebaton/propagation"
)

// upstream is where the calls go: so that nothing is optimized away.
type upstream struct{ header http.Header }

func (u *upstream) receive(h http.Header) { u.header = h }

func run(b *testing.B, p peer, in http.Header, calls int) {
	serve := newHop(b, p, in, calls, new(upstream).receive)
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		serve()
	}
}

// reportCPU returns a function that reports the time on all cores since: other
// programs on the machine disturb it less than the time on the clock.
func reportCPU(b *testing.B) func() {
	start := cpu()
	return func() {
		if spent := cpu() - start; spent > 0 {
			b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "cpu-ns/op")
		}
	}
}

// BenchmarkHop is one request and one call.
func BenchmarkHop(b *testing.B) {
	for _, set := range headerSets() {
		for _, p := range peers(set) {
			b.Run(fmt.Sprintf("in=%s/by=%s", set.name, p.name), func(b *testing.B) {
				run(b, p, set.in, 1)
			})
		}
	}
}

// BenchmarkFanOut is one request with the walkthrough's six headers and ten
// calls.
func BenchmarkFanOut(b *testing.B) {
	for _, p := range peers(six()) {
		b.Run("by="+p.name, func(b *testing.B) { run(b, p, walkthrough(), 10) })
	}
}

// BenchmarkParallel is BenchmarkHop with six headers on all cores at once. Its
// time on the clock is that of one core divided by their number.
func BenchmarkParallel(b *testing.B) {
	for _, p := range peers(six()) {
		b.Run("by="+p.name, func(b *testing.B) {
			b.ReportAllocs()
			defer reportCPU(b)()
			b.RunParallel(func(pb *testing.PB) {
				serve := newHop(b, p, walkthrough(), 1, new(upstream).receive)
				for pb.Next() {
					serve()
				}
			})
		})
	}
}

// BenchmarkTurns is BenchmarkHop with six headers, all rows in turn and a few
// hops at a time. It reports the fastest turn of each: what nothing has
// interrupted, neither another program nor the garbage collector.
func BenchmarkTurns(b *testing.B) {
	const hops = 20
	rows := peers(six())
	serve := make([]func(), len(rows))
	for i, p := range rows {
		serve[i] = newHop(b, p, walkthrough(), 1, new(upstream).receive)
	}
	fastest := slices.Repeat([]time.Duration{math.MaxInt64}, len(rows))
	for b.Loop() {
		for i, f := range serve {
			start := time.Now()
			for range hops {
				f()
			}
			fastest[i] = min(fastest[i], time.Since(start))
		}
	}
	for i, p := range rows {
		b.ReportMetric(float64(fastest[i].Nanoseconds())/hops, p.name+"-ns/hop")
	}
}

// BenchmarkHeaders is one request and one call, with a growing number of
// headers to relay.
func BenchmarkHeaders(b *testing.B) {
	for _, n := range []int{1, 2, 4, 6, 8, 12, 16, 24} {
		var families []propagation.Family
		in := http.Header{}
		for i := range n {
			name := fmt.Sprintf("x-custom-header-%02d", i)
			families = append(families, propagation.Custom(name))
			in.Set(name, "463ac35c9f6413ad")
		}
		for _, p := range []peer{{name: "baseline"}, relay(propagation.Of(families...))} {
			b.Run(fmt.Sprintf("n=%d/by=%s", n, p.name), func(b *testing.B) { run(b, p, in, 1) })
		}
	}
}

// BenchmarkCalls is one request with six headers, and a growing number of
// calls.
func BenchmarkCalls(b *testing.B) {
	for _, n := range []int{0, 1, 3, 10, 30} {
		for _, p := range []peer{{name: "baseline"}, relay(propagation.Istio())} {
			b.Run(fmt.Sprintf("n=%d/by=%s", n, p.name), func(b *testing.B) { run(b, p, walkthrough(), n) })
		}
	}
}
