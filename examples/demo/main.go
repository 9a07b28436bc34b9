// Demo runs the whole walkthrough in one process: sleep calls flaskapp, which
// calls httpbin. It shows where a trace breaks and where it holds together, in
// the terminal and in the Jaeger UI.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // httpbin's answers may name any time zone

	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
	"github.com/tracebaton/tracebaton/examples/internal/tracestore"
)

const usage = `Usage: demo [flags]

Starts httpbin, flaskapp v1, flaskapp v2 and sleep in this process, each at a
free port of its own on 127.0.0.1, and sends requests from one to the next:

  1  /fetch             does not relay the trace headers: the trace breaks in two
  2  /fetch_with_trace  does: one request, one trace
  3  /env/version       answered by v1 and v2 in turn
  4  a URL in a URL in a URL
  5  who loses the trace, as tracebaton audit finds it from the spans

What came of it is printed as it happens, and served in the Jaeger UI until
Ctrl-C.

  -listen ADDRESS  where the UI is: 127.0.0.1:16686, or a free port with -once.
                   127.0.0.1:0 is a free port, too.
  -once            end when the story is told.
  -traces WHERE    memory, from which the UI is served, or otlp, a collector at
                   OTEL_EXPORTER_OTLP_ENDPOINT (http://localhost:4318), which
                   has a UI of its own. Default: memory.
  -v               print the services' logs, too.

The exit status is 0 if everything was as it should be, 1 if not, 2 if the
command was wrong, and 130 if it was interrupted. NO_COLOR turns colours off.
`

const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130

	defaultListen = "127.0.0.1:16686"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process
	d := &demo{
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		getenv:   os.Getenv,
		patience: 10 * time.Second,
		pause:    10 * time.Millisecond,
	}
	status := d.run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// demo is one run of the command.
type demo struct {
	stdout, stderr io.Writer
	getenv         func(string) string
	patience       time.Duration // for spans that must come
	pause          time.Duration // between calls for a verdict, or up to three times that

	// front, unless it is nil, is put in front of each service and of the UI.
	// The tests break one with it, to see that the demo notices.
	front func(instance string, service http.Handler) http.Handler
}

type options struct {
	listen  string
	once    bool
	traces  string
	verbose bool
}

func (d *demo) parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(d.stderr)
	flags.StringVar(&o.listen, "listen", "", "")
	flags.BoolVar(&o.once, "once", false, "")
	flags.StringVar(&o.traces, "traces", "memory", "")
	flags.BoolVar(&o.verbose, "v", false, "")
	flags.Usage = func() { _, _ = io.WriteString(d.stderr, usage) }
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("demo has no argument %q, only flags", flags.Arg(0))
	case o.traces != "memory" && o.traces != "otlp":
		err = fmt.Errorf("-traces %q: write memory or otlp", o.traces)
	case o.traces == "otlp" && o.listen != "":
		err = errors.New("-listen is where the UI is, and with -traces otlp there is none: the collector's has the traces")
	}
	if err != nil {
		_, _ = fmt.Fprintln(d.stderr, err)
		flags.Usage()
	}
	if o.listen == "" {
		o.listen = defaultListen
		if o.once {
			o.listen = "127.0.0.1:0"
		}
	}
	return o, err
}

// run is the command with those arguments. It returns the exit status.
func (d *demo) run(ctx context.Context, args []string) int {
	o, err := d.parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage
	}
	err = d.play(ctx, o)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	_, _ = fmt.Fprintln(d.stderr, "demo:", err)
	return exitFailed
}

// play starts everything, tells the story, and serves the UI.
func (d *demo) play(ctx context.Context, o options) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelInfo
	}
	log := slog.New(telemetry.Log(slog.NewTextHandler(d.stderr, &slog.HandlerOptions{Level: level})))

	store := &tracestore.Store{}
	s := &story{Paper: newPaper(d.stdout, d.getenv), store: store, once: o.once, patience: d.patience, pause: d.pause}
	cfg := meshConfig{store: store, log: log, front: d.front}
	if o.traces == "otlp" {
		if s.collector, err = newCollector(ctx); err != nil {
			return err
		}
		cfg.collector = s.collector
	} else {
		h := store.Handler()
		if d.front != nil {
			h = d.front("ui", h)
		}
		ui, err := serveUI(ctx, o.listen, h)
		if err != nil {
			return err
		}
		defer ui.stop()
		s.ui = ui.url
	}

	m, err := startMesh(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		cancel()
		err = errors.Join(err, m.wait())
	}()
	s.mesh = m

	if err := s.tell(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err() // whatever went wrong, it went wrong because of that
		}
		if o.once || s.ui == "" {
			return err
		}
		_, _ = fmt.Fprintf(d.stderr, "demo: %v\n\n%s shows what there is, until Ctrl-C.\n", err, s.ui)
		<-ctx.Done()
		return errors.New("not all of it was as it should be")
	}
	if !o.once {
		<-ctx.Done()
	}
	return nil
}

// ui is the server of the Jaeger UI.
type ui struct {
	url    string
	server *http.Server
}

func serveUI(ctx context.Context, addr string, h http.Handler) (*ui, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken, maybe by a Jaeger or another demo: choose another address for the UI with -listen, such as -listen 127.0.0.1:0 for a free port", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot serve the UI at %s (-listen chooses where): %w", addr, err)
	}
	at := ln.Addr().(*net.TCPAddr)
	host := at.IP.String()
	if at.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	u := &ui{
		url: "http://" + net.JoinHostPort(host, fmt.Sprint(at.Port)),
		server: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      time.Minute,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    64 << 10,
		},
	}
	go func() { _ = u.server.Serve(ln) }() // ends with stop
	return u, nil
}

// stop ends the server. What the browser still waits for is not worth waiting
// for.
func (u *ui) stop() { _ = u.server.Close() }
