package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

const (
	baseline = "baseline"
	ours     = "relay"
	oursGRPC = "grpcrelay"
)

// titles say what the tables are of, by the names of the benchmarks.
var titles = map[string]string{
	"Hop none":   "One request without trace headers, one call",
	"Hop six":    "One request with six trace headers, one call",
	"Hop all":    "One request with all 23 headers of all families, one call",
	"Hop six+20": "One request with six trace headers and 20 others, one call",
	"FanOut":     "One request with six trace headers, ten calls",
	"Turns":      "One request with six trace headers, one call: the fastest turns, with no garbage collection in them",
	"Unary":      "gRPC: a unary call with six trace headers, client and server together",
	"Stream":     "gRPC: a stream with six trace headers, opened and closed",
	"Message":    "gRPC: a message there and back over a stream that is open",
	"Parallel":   "One request with six trace headers, one call, on all cores at once",
}

// rows are those of a table, by their names in the benchmarks.
var rows = []struct{ by, label string }{
	{baseline, "nothing (baseline)"},
	{ours, "**tracebaton** `Relay` and `Transport`"},
	{"handler", "**tracebaton** in the handler, `Extract` and `Inject`"},
	{"floor", "the same for six fixed headers, written out by hand"},
	{"loop", "loop in the handler, the same headers"},
	{"loop-bookinfo", "loop in the handler, Bookinfo's 15 headers"},
	{"loop-middleware", "loop as middleware and round-tripper"},
	{"propagator", "**tracebaton** `Propagator`, `Extract` and `Inject` alone"},
	{"b3", "contrib/b3 `Extract` and `Inject` alone"},
	{"otelhttp-noop-ours", "otelhttp without SDK, **tracebaton** `Propagator`"},
	{"otelhttp-noop-b3", "otelhttp without SDK, contrib/b3"},
	{"otelhttp-unsampled-ours", "otelhttp, SDK, not sampled, **tracebaton** `Propagator`"},
	{"otelhttp-unsampled-b3", "otelhttp, SDK, not sampled, contrib/b3"},
	{"otelhttp-sampled-ours", "otelhttp, SDK, sampled, **tracebaton** `Propagator`"},
	{"otelhttp-sampled-b3", "otelhttp, SDK, sampled, contrib/b3"},
	{oursGRPC, "**tracebaton** `grpcrelay`, client and server"},
	{"grpcrelay-server", "**tracebaton** `grpcrelay`, server alone"},
	{"grpcrelay-client", "**tracebaton** `grpcrelay`, client alone"},
	{"otelgrpc-noop-w3c", "otelgrpc without SDK, TraceContext"},
	{"otelgrpc-noop-ours", "otelgrpc without SDK, **tracebaton** `Propagator`"},
	{"otelgrpc-sampled-w3c", "otelgrpc, SDK, sampled, TraceContext"},
	{"otelgrpc-sampled-ours", "otelgrpc, SDK, sampled, **tracebaton** `Propagator`"},
	{"zipkin-go", "zipkin-go, sampled"},
	{"opentracing", "opentracing-contrib/go-stdlib, jaeger-client-go, sampled"},
}

// print writes the tables, in Markdown that is read as it is.
func (all *results) print(w io.Writer) error {
	var growth []string
	for _, table := range all.tables {
		if titles[table] == "" {
			growth = append(growth, table)
			continue
		}
		_, _ = fmt.Fprintf(w, "### %s\n\n", titles[table])
		if err := all.peers(w, table); err != nil {
			return err
		}
	}
	for _, g := range []struct{ prefix, title, column string }{
		{"Headers ", "By the number of headers, one call, over the baseline", "headers"},
		{"Calls ", "By the number of calls, six headers, over the baseline", "calls"},
	} {
		tables := slices.DeleteFunc(slices.Clone(growth), func(t string) bool { return !strings.HasPrefix(t, g.prefix) })
		if len(tables) == 0 {
			continue
		}
		_, _ = fmt.Fprintf(w, "### %s\n\n", g.title)
		t := newTable(w, g.column, "ns", "B", "allocs")
		for _, table := range tables {
			t.row(strings.TrimPrefix(table, g.prefix), number(all.over(table, ours, all.time)),
				number(all.over(table, ours, "B/op")), number(all.over(table, ours, "allocs/op")))
		}
		if err := t.end(); err != nil {
			return err
		}
	}
	return nil
}

// peers writes the table that compares this library with its peers.
func (all *results) peers(w io.Writer, table string) error {
	units := []string{all.time, "B/op", "allocs/op"}
	columns := []string{"", "ns", "B", "allocs", "over: ns", "over: B", "over: allocs", "times ours"}
	if all.values[row{table, baseline}][turn] != nil {
		units, columns = []string{turn}, []string{"", "ns", "over: ns", "times ours"}
	}
	own := ours
	if all.values[row{table, oursGRPC}] != nil {
		// Of a call between goroutines, times say more about the scheduler.
		own, units = oursGRPC, []string{"allocs/op", "B/op"}
		columns = []string{"", "allocs", "B", "over: allocs", "over: B", "times ours"}
	}
	t := newTable(w, columns...)
	reference := all.over(table, own, units[0])
	for _, r := range rows {
		by := r.by
		if all.values[row{table, by}] == nil {
			continue
		}
		cells := []string{r.label}
		for _, unit := range units {
			cells = append(cells, number(all.of(table, by, unit)))
		}
		if by == baseline {
			t.row(append(cells, make([]string, len(columns)-len(cells))...)...)
			continue
		}
		for _, unit := range units {
			cells = append(cells, number(all.over(table, by, unit)))
		}
		times := "–" // of next to nothing
		if reference > 0 && (own == oursGRPC || reference > all.of(table, baseline, units[0])) {
			times = fmt.Sprintf("%.2f", all.over(table, by, units[0])/reference)
		}
		t.row(append(cells, times)...)
	}
	return t.end()
}

// turn is the unit of BenchmarkTurns.
const turn = "ns/hop"

// of returns what a row costs: the median of the rounds, or of turns the
// fastest.
func (all *results) of(table, by, unit string) float64 {
	values := all.values[row{table, by}][unit]
	if unit == turn {
		return slices.Min(values)
	}
	return median(values)
}

// over returns what a row costs over the baseline: the median of the
// differences within each round, or that of the fastest turns.
func (all *results) over(table, by, unit string) float64 {
	if unit == turn {
		return all.of(table, by, unit) - all.of(table, baseline, unit)
	}
	base, values := all.values[row{table, baseline}][unit], all.values[row{table, by}][unit]
	diffs := make([]float64, min(len(base), len(values)))
	for i := range diffs {
		diffs[i] = values[i] - base[i]
	}
	return median(diffs)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// markdown is a table in the making.
type markdown struct{ w *tabwriter.Writer }

func newTable(w io.Writer, columns ...string) *markdown {
	t := &markdown{tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)}
	t.row(columns...)
	rule := make([]string, len(columns))
	for i := range rule {
		rule[i] = "--:"
	}
	rule[0] = "---"
	t.row(rule...)
	return t
}

func (t *markdown) row(cells ...string) {
	_, _ = fmt.Fprintf(t.w, "| %s\t|\n", strings.Join(cells, "\t| "))
}

func (t *markdown) end() error {
	_, _ = fmt.Fprintln(t.w)
	return t.w.Flush()
}
