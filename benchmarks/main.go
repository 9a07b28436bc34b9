// Benchmarks measures what it costs to pass trace headers on, with this library
// and with its peers, and prints the tables of docs/performance.md:
//
//	GOWORK=off go run . -o bench.txt
//	GOWORK=off go tool benchstat -col /by -row /in bench.txt
//
// All rows are measured in turn, and that again and again, so that whatever
// else the machine does meets all of them alike. The tables have medians, and
// of the times that on all cores, garbage collection included, where it can be
// had: it depends less on what else runs than the time on the clock, which is
// beside it in the file.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/perf/benchfmt"
)

func main() {
	var o options
	flag.StringVar(&o.bench, "bench", ".", "benchmarks to run, as go test takes it; the baseline is needed too")
	flag.IntVar(&o.rounds, "rounds", 30, "how often to measure every row")
	flag.DurationVar(&o.benchtime, "benchtime", 20*time.Millisecond, "how long to measure a row each time")
	flag.StringVar(&o.raw, "o", "", "`file` for the measurements, in the format that benchstat reads")
	flag.Parse()
	if err := run(o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

type options struct {
	bench     string
	rounds    int
	benchtime time.Duration
	raw       string
}

func run(o options, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp("", "benchmarks")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var binaries []string
	for _, pkg := range []string{"hop", "grpc"} {
		binary := filepath.Join(dir, pkg+".test")
		build := exec.Command("go", "test", "-c", "-o", binary, "./"+pkg) // #nosec G204 -- a folder of our own
		build.Env = append(os.Environ(), "GOWORK=off")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build the benchmarks: %w\n%s", err, out)
		}
		// What arrives upstream comes first: a row that does not do its work must
		// not be timed.
		if out, err := exec.Command(binary).CombinedOutput(); err != nil { // #nosec G204 -- it was just built
			return fmt.Errorf("test what each row sends: %w\n%s", err, out)
		}
		binaries = append(binaries, binary)
	}

	var raw bytes.Buffer
	for i := range o.rounds {
		_, _ = fmt.Fprintf(stderr, "\rround %d of %d", i+1, o.rounds)
		for _, binary := range binaries {
			cmd := exec.Command(binary, "-test.run", "^$", "-test.bench", o.bench, // #nosec G204 -- its arguments are the user's own
				"-test.benchtime", o.benchtime.String())
			cmd.Stdout, cmd.Stderr = &raw, stderr
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("run the benchmarks: %w", err)
			}
		}
	}
	_, _ = fmt.Fprintln(stderr)
	if o.raw != "" {
		if err := os.WriteFile(o.raw, raw.Bytes(), 0o600); err != nil {
			return err
		}
	}
	all, err := read(&raw)
	if err != nil {
		return err
	}
	return all.print(stdout)
}

// row names one row of one table: in which table it is and who does the work.
type row struct{ table, by string }

// results are the measurements of every row, by unit, in the order of rounds.
type results struct {
	values map[row]map[string][]float64
	tables []string // in the order in which they came
	time   string   // the unit of the times in the tables
}

func read(raw io.Reader) (*results, error) {
	all := &results{values: make(map[row]map[string][]float64), time: "ns/op"}
	r := benchfmt.NewReader(raw, "benchmarks")
	for r.Scan() {
		res, ok := r.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		for _, v := range res.Values {
			if v.OrigUnit != "" {
				v.Value, v.Unit = v.OrigValue, v.OrigUnit
			}
			if by, ok := strings.CutSuffix(v.Unit, "-"+turn); ok {
				all.add(row{string(res.Name.Base()), by}, turn, v.Value)
			} else if key := rowOf(res.Name); key.by != "" {
				all.add(key, v.Unit, v.Value)
			}
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	if len(all.tables) == 0 {
		return nil, errors.New("no benchmark has that name")
	}
	return all, nil
}

func (all *results) add(key row, unit string, value float64) {
	if all.values[key] == nil {
		all.values[key] = make(map[string][]float64)
		if !slices.Contains(all.tables, key.table) {
			all.tables = append(all.tables, key.table)
		}
	}
	all.values[key][unit] = append(all.values[key][unit], value)
	if unit == "cpu-ns/op" {
		all.time = unit
	}
}

// rowOf takes apart a name such as Hop/in=six/by=relay-2.
func rowOf(name benchfmt.Name) row {
	base, parts := name.Parts()
	key := row{table: string(base)}
	for _, part := range parts {
		switch k, v, _ := bytes.Cut(part, []byte("=")); string(k) {
		case "/by":
			key.by = string(v)
		case "/in", "/n":
			key.table += " " + string(v)
		}
	}
	return key
}

// number writes a measurement as one reads it.
func number(v float64) string {
	s := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if v < 0 && s != "0" {
		return "-" + s
	}
	return s
}
