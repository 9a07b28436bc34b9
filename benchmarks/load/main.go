// Load measures whole services over loopback: flaskapp in relay mode, in front
// of httpbin.
//
//	GOWORK=off go run ./load compare    flaskapp with and without the middleware
//	GOWORK=off go run ./load soak       ten minutes: do memory and goroutines grow?
//
// Each takes flags; see -h. It needs Linux and the repository's source.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("say what to measure: compare or soak")
	}
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	workers := flags.Int("c", 16, "`calls` at once")
	switch args[0] {
	case "compare":
		var c comparison
		flags.IntVar(&c.pairs, "pairs", 60, "how often to measure each")
		flags.DurationVar(&c.each, "each", 500*time.Millisecond, "for how long each time")
		_ = flags.Parse(args[1:])
		c.workers = *workers
		return c.run(ctx)
	case "soak":
		var s soak
		flags.DurationVar(&s.time, "for", 10*time.Minute, "how long")
		flags.DurationVar(&s.every, "every", 30*time.Second, "how often to look")
		flags.IntVar(&s.rate, "rate", 500, "calls a second")
		_ = flags.Parse(args[1:])
		s.workers = *workers
		return s.run(ctx)
	}
	return fmt.Errorf("cannot measure %q: say compare or soak", args[0])
}
