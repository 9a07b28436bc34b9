package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

// comparison is of a flaskapp with the middleware and of one without, in turn.
type comparison struct {
	pairs   int
	each    time.Duration
	workers int
}

// variant is one of the two.
type variant struct {
	service *service
	target  target
	runs    []measured
}

// measured is what one run came to.
type measured struct{ rate, p50, p99, cpu float64 } // a second, µs, µs, µs a call

func (c comparison) run(ctx context.Context) error {
	l, err := newLab()
	if err != nil {
		return err
	}
	defer l.close()
	if err := errors.Join(
		l.build(ctx, "flaskapp", "flaskapp", probe, noIDsInLog),
		l.build(ctx, "flaskapp", "flaskapp-without", probe, noIDsInLog, noMiddleware),
		l.build(ctx, "httpbin", "httpbin", probe, noIDsInLog),
		l.build(ctx, "sleep", "sleep", probe),
	); err != nil {
		return err
	}
	var services []*service // flaskapp with and without, httpbin, sleep
	for _, program := range []string{"flaskapp", "flaskapp-without", "httpbin", "sleep"} {
		s, err := l.start(ctx, program)
		if err != nil {
			return err
		}
		services = append(services, s)
	}
	idle, err := states(services)
	if err != nil {
		return err
	}

	httpbin := services[2]
	variants := [2]*variant{
		{service: services[0], target: plain(services[0], httpbin)},
		{service: services[1], target: plain(services[1], httpbin)},
	}
	d := newDriver(c.workers)
	// What is measured is what it says it is.
	if err := d.call(ctx, through(services[0], httpbin)); err != nil {
		return fmt.Errorf("call through the middleware: %w", err)
	}
	switch err := d.call(ctx, through(services[1], httpbin)); {
	case err == nil:
		return errors.New("call without the middleware: the request ID arrived upstream all the same")
	case !errors.Is(err, errLost):
		return fmt.Errorf("call without the middleware: %w", err)
	}
	for i := range c.pairs + 1 {
		for j := range variants {
			v := variants[(i+j)%2] // each is first in turn
			m, err := c.measure(ctx, d, v)
			if err != nil {
				return err
			}
			if i > 0 { // the first pair warms up
				v.runs = append(v.runs, m)
			}
		}
		_, _ = fmt.Fprintf(os.Stderr, "\rpair %d of %d", i, c.pairs)
	}
	_, _ = fmt.Fprintln(os.Stderr)
	loaded, err := states(services[:3])
	if err != nil {
		return err
	}
	fetching, err := c.fetching(ctx, l, variants[0].target)
	if err != nil {
		return err
	}
	return c.print(variants, idle, append(loaded, fetching))
}

// plain is a target whose answer is the same whatever headers arrive.
func plain(flaskapp, httpbin *service) target {
	return target{url: flaskapp.url + "/fetch_with_trace?url=" + httpbin.url + "/ip"}
}

func states(services []*service) ([]state, error) {
	all := make([]state, len(services))
	for i, s := range services {
		var err error
		if all[i], err = s.look(false); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (c comparison) measure(ctx context.Context, d *driver, v *variant) (measured, error) {
	before, err := v.service.look(true) // none pays for the garbage of the run before
	if err != nil {
		return measured{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.each)
	defer cancel()
	start := time.Now()
	took, err := d.drive(ctx, v.target, nil)
	if err != nil {
		return measured{}, err
	}
	seconds := time.Since(start).Seconds()
	after, err := v.service.look(false)
	if err != nil {
		return measured{}, err
	}
	calls := float64(len(took))
	return measured{
		rate: calls / seconds,
		p50:  float64(took.percentile(50).Microseconds()),
		p99:  float64(took.percentile(99).Microseconds()),
		cpu:  float64(after.CPU-before.CPU) / 1000 / calls,
	}, nil
}

// fetching returns the most memory that sleep has while it makes calls.
func (c comparison) fetching(ctx context.Context, l *lab, to target) (state, error) {
	s, err := l.start(ctx, "sleep", "fetch", "-n", "20000", "-c", strconv.Itoa(c.workers), "-H", "x-request-id: soak", to.url)
	if err != nil {
		return state{}, err
	}
	var most state
	for {
		select {
		case <-s.ended:
			if most.Resident == 0 {
				return state{}, fmt.Errorf("sleep fetch was not seen: %s", s.cmd.ProcessState)
			}
			return most, nil
		case <-time.After(50 * time.Millisecond):
			if now, err := s.look(false); err == nil && now.Resident > most.Resident {
				most = now
			}
		}
	}
}

func (c comparison) print(variants [2]*variant, idle, loaded []state) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	line("| medians of %d pairs of %s, %d calls at once\t| with\t| without\t| difference\t| half of all pairs between\t|", c.pairs, c.each, c.workers)
	line("| ---\t| --:\t| --:\t| --:\t| --:\t|")
	for _, m := range []struct {
		name, unit string
		of         func(measured) float64
	}{
		{"throughput", "calls/s", func(m measured) float64 { return m.rate }},
		{"p50", "µs", func(m measured) float64 { return m.p50 }},
		{"p99", "µs", func(m measured) float64 { return m.p99 }},
		{"CPU time of flaskapp", "µs a call", func(m measured) float64 { return m.cpu }},
	} {
		with, without, diff := make([]float64, c.pairs), make([]float64, c.pairs), make([]float64, c.pairs)
		for i := range c.pairs {
			with[i], without[i] = m.of(variants[0].runs[i]), m.of(variants[1].runs[i])
			diff[i] = 100 * (with[i] - without[i]) / without[i]
		}
		line("| %s\t| %.1f %s\t| %.1f %s\t| %+.1f %%\t| %+.1f and %+.1f %%\t|", m.name,
			quantile(with, 0.5), m.unit, quantile(without, 0.5), m.unit,
			quantile(diff, 0.5), quantile(diff, 0.25), quantile(diff, 0.75))
	}
	line("\n| resident memory\t| idle\t| at load\t|")
	line("| ---\t| --:\t| --:\t|")
	for i, name := range []string{"flaskapp", "flaskapp without the middleware", "httpbin", "sleep"} {
		line("| %s\t| %s\t| %s\t|", name, mib(idle[i].Resident), mib(loaded[i].Resident))
	}
	return w.Flush()
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
