package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// soak is flaskapp under a steady load for a long time.
type soak struct {
	time    time.Duration
	every   time.Duration
	rate    int // calls a second
	workers int
}

func (s soak) run(ctx context.Context) error {
	if s.rate <= 0 || s.every <= 0 {
		return errors.New("rate and interval must be above 0")
	}
	l, err := newLab()
	if err != nil {
		return err
	}
	defer l.close()
	var services []*service
	for _, program := range []string{"flaskapp", "httpbin"} {
		if err := l.build(ctx, program, program, probe); err != nil {
			return err
		}
		service, err := l.start(ctx, program)
		if err != nil {
			return err
		}
		services = append(services, service)
	}
	flaskapp := services[0]
	d := newDriver(s.workers)
	to := through(flaskapp, services[1])

	fmt.Println("| time   | heap, garbage collected | resident | goroutines |")
	fmt.Println("| ---    | --:                     | --:      | --:        |")
	look := func(when string) (state, error) {
		now, err := flaskapp.look(true)
		if err == nil {
			fmt.Printf("| %-6s | %23s | %8s | %10d |\n", when, mib(now.Heap), mib(now.Resident), now.Goroutines)
		}
		return now, err
	}
	idle, err := look("idle")
	if err != nil {
		return err
	}

	loaded, stop := context.WithTimeout(ctx, s.time)
	defer stop()
	pace := time.NewTicker(time.Second / time.Duration(s.rate))
	defer pace.Stop()
	type outcome struct {
		took times
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		took, err := d.drive(loaded, to, pace.C)
		done <- outcome{took, err}
	}()

	var seen []state
	samples := time.NewTicker(s.every)
	defer samples.Stop()
	start := time.Now()
	for {
		select {
		case <-samples.C:
			now, err := look(time.Since(start).Round(time.Second).String())
			if err != nil {
				return err
			}
			seen = append(seen, now)
		case end := <-done:
			if end.err != nil {
				return fmt.Errorf("after %d calls: %w", len(end.took), end.err)
			}
			fmt.Printf("%d calls, each with its request ID at the upstream; p50 %s, p99 %s\n",
				len(end.took), end.took.percentile(50), end.took.percentile(99))
			d.client.CloseIdleConnections()
			// Two goroutines an idle connection to httpbin, which flaskapp's
			// transport keeps.
			limit := idle.Goroutines + 2*int64(s.workers)
			if err := settle(ctx, flaskapp, limit); err != nil {
				return err
			}
			last, err := look("after")
			if err != nil {
				return err
			}
			return s.judge(seen, last, limit)
		}
	}
}

// settle waits until the service has noticed that its connections were closed:
// that it has no more goroutines than the limit. It gives up after a while.
func settle(ctx context.Context, s *service, limit int64) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		now, err := s.look(false)
		if err != nil || now.Goroutines <= limit {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// judge returns an error if what was seen grows, from the first third of it to
// the last, by more than the number of connections in use accounts for, or if
// more goroutines are left than the limit when all is over.
func (s soak) judge(seen []state, last state, limit int64) error {
	var errs []error
	if third := len(seen) / 3; third > 0 {
		first, end := mean(seen[:third]), mean(seen[len(seen)-third:])
		if end.Heap > first.Heap*11/10+int64(s.workers)<<15 {
			errs = append(errs, fmt.Errorf("the heap grew from %s to %s", mib(first.Heap), mib(end.Heap)))
		}
		if end.Goroutines > first.Goroutines+int64(s.workers) {
			errs = append(errs, fmt.Errorf("the goroutines grew from %d to %d", first.Goroutines, end.Goroutines))
		}
	}
	if last.Goroutines > limit {
		errs = append(errs, fmt.Errorf("%d goroutines are left, where idle connections account for %d at most", last.Goroutines, limit))
	}
	return errors.Join(errs...)
}

func mean(all []state) state {
	var sum state
	for _, s := range all {
		sum.Heap += s.Heap
		sum.Goroutines += s.Goroutines
	}
	n := int64(len(all))
	return state{Heap: sum.Heap / n, Goroutines: sum.Goroutines / n}
}
