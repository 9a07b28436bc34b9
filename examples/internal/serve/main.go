package serve

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
)

// Env is what a service is made from.
type Env struct {
	Getenv  func(string) string
	Logger  *slog.Logger
	Tracing *telemetry.Tracing
}

// Program is what is special about a service's main function.
type Program struct {
	Name string // unless OTEL_SERVICE_NAME says otherwise
	Addr string // unless -addr or ADDR says otherwise
	Also string // lines of usage below that of the service, for -h
	Help string // what else the environment can say, for -h

	// Service returns the service to run. Its Tracing, Logger and Delay are
	// filled in.
	Service func(Env) (*Service, error)
}

// Main runs the program with the process's arguments and environment until a
// SIGINT or SIGTERM, and returns its exit status: 2 if it was used wrongly, 1
// if it failed. A second signal ends it at once.
func (p Program) Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return p.Run(ctx, os.Args[1:], os.Getenv, os.Stderr)
}

// Run is Main with all that it takes from the process, until ctx is done.
func (p Program) Run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", cmp.Or(getenv("ADDR"), p.Addr), "`address` to listen on; port 0 is a free one (ADDR)")
	flags.Usage = func() { p.usage(flags) }
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		_, _ = fmt.Fprintf(stderr, "%s: unknown argument %q\n", p.Name, flags.Arg(0))
		flags.Usage()
		return 2
	}

	cfg := telemetry.FromEnv(getenv, p.Name)
	log := NewLogger(stderr).With("service", cfg.Service)
	cfg.Logger = log
	if err := p.serve(ctx, *addr, getenv, cfg); err != nil {
		log.Error("failed", "error", err)
		return 1
	}
	return 0
}

func (p Program) serve(ctx context.Context, addr string, getenv func(string) string, cfg telemetry.Config) error {
	var delay time.Duration
	if s := getenv("SHUTDOWN_DELAY"); s != "" {
		var err error
		if delay, err = time.ParseDuration(s); err != nil || delay < 0 {
			return fmt.Errorf("read SHUTDOWN_DELAY: %q is no duration such as 5s", s)
		}
	}
	tracing, err := telemetry.New(ctx, cfg)
	if err != nil {
		return err
	}
	s, err := p.Service(Env{Getenv: getenv, Logger: cfg.Logger, Tracing: tracing})
	if err != nil {
		return errors.Join(err, tracing.Shutdown(ctx))
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return errors.Join(fmt.Errorf("listen (-addr chooses where): %w", err), tracing.Shutdown(ctx))
	}
	s.Tracing, s.Logger, s.Delay = tracing, cfg.Logger, delay
	return s.Run(ctx, ln)
}

func (p Program) usage(flags *flag.FlagSet) {
	w := flags.Output()
	_, _ = fmt.Fprintf(w, "Usage: %s [-addr address]\n%s\n", p.Name, p.Also)
	flags.PrintDefaults()
	_, _ = fmt.Fprintf(w, `
Environment:
  ADDR                  address to listen on, default %s
%s  OTEL_SERVICE_NAME     name in traces and logs, default %s
  OTEL_TRACES_EXPORTER  where spans go: otlp (default, over HTTP), jaeger, console,
                        or none: no spans are made, the sidecar's headers are relayed
  OTEL_PROPAGATORS      trace format of the sidecars, which is believed where W3C and B3
                        name different traces: tracecontext (W3C), else B3
  OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_JAEGER_ENDPOINT, OTEL_TRACES_SAMPLER, …
                        as OpenTelemetry has them
  SHUTDOWN_DELAY        how long to go on after a SIGTERM while /readyz says 503,
                        such as 5s; default 0s
`, p.Addr, p.Help, p.Name)
}
