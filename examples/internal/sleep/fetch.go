package sleep

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tracebaton/tracebaton/examples/internal/serve"
	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/term"
)

const usage = `Usage: sleep fetch [flags] URL

Calls the URL with GET, each time over a connection of its own. Redirects are
not followed.

`

const usageEnd = `
Answers (-body), and spans where OTEL_TRACES_EXPORTER is console, go to standard
output, all else to standard error. The exit status is 0 if every call was
answered with a status below 400, 1 if not, 2 if the command was wrong, and 130
if it was interrupted before the last call.

With OTEL_TRACES_EXPORTER=otlp (default), jaeger or console, sleep starts a
trace and gives each call an x-request-id, unless -H has headers of them; with
none it adds nothing, and the sidecar does.
`

const (
	maxCalls   = 1_000_000
	maxWorkers = 1_000
	keepBody   = 10 << 20

	flushTimeout = 5 * time.Second

	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// Command is "sleep fetch": what it is told and where it says what.
type Command struct {
	Getenv   func(string) string
	Stdout   io.Writer
	Stderr   io.Writer
	Terminal bool              // whether Stderr is one
	Base     http.RoundTripper // as Client has it
}

// Fetch runs "sleep fetch" in this process with the arguments that follow
// these two words, and returns its exit status.
func Fetch(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	c := Command{
		Getenv:   os.Getenv,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
		Terminal: term.IsTerminal(int(os.Stderr.Fd())),
	}
	return c.Run(ctx, args)
}

// options are the flags of a command.
type options struct {
	url      string
	header   http.Header
	body     bool
	verbose  bool
	calls    int
	workers  int
	interval time.Duration
	timeout  time.Duration
}

func (c Command) parse(args []string) (options, error) {
	o := options{header: make(http.Header)}
	flags := flag.NewFlagSet("sleep fetch", flag.ContinueOnError)
	flags.SetOutput(c.Stderr)
	flags.Usage = func() {
		c.say(usage)
		flags.PrintDefaults()
		c.say(usageEnd)
	}
	flags.Func("H", "send the header `'name: value'`; may be repeated", func(s string) error {
		name, value, ok := strings.Cut(s, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return errors.New("write it as 'name: value'")
		}
		switch http.CanonicalHeaderKey(name) {
		case "Content-Length", "Transfer-Encoding", "Trailer":
			return errors.New("a call without a body does not have this header")
		case "Host":
			host, err := httpguts.PunycodeHostPort(value)
			if err != nil || host == "" || !httpguts.ValidHostHeader(host) {
				return errors.New("write the host as name or name:port")
			}
		}
		o.header.Add(name, value)
		return nil
	})
	flags.BoolVar(&o.body, "body", false, "print the bodies of the answers")
	flags.BoolVar(&o.verbose, "v", false, "print the headers sent and received")
	flags.IntVar(&o.calls, "n", 1, "make this `many` calls")
	flags.IntVar(&o.workers, "c", 1, "make up to this `many` of them at once")
	flags.DurationVar(&o.interval, "interval", 0, "leave this `long` between the starts of two calls, such as 100ms")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Second, "give a call this `long`, its body included")
	if err := flags.Parse(args); err != nil {
		return o, err
	}

	// The flag package has told of its own errors; these are told likewise.
	wrong := func(format string, args ...any) (options, error) {
		err := fmt.Errorf(format, args...)
		c.say("%v\n", err)
		flags.Usage()
		return o, err
	}
	switch {
	case flags.NArg() == 0:
		return wrong("no URL to fetch")
	case flags.NArg() > 1:
		return wrong("one URL only, and flags before it: what is %q?", flags.Arg(1))
	case o.calls < 1 || o.calls > maxCalls:
		return wrong("-n %d: make 1 to %d calls", o.calls, maxCalls)
	case o.workers < 1 || o.workers > maxWorkers:
		return wrong("-c %d: make 1 to %d at once", o.workers, maxWorkers)
	case o.interval < 0:
		return wrong("-interval %s is negative", o.interval)
	case o.timeout <= 0:
		return wrong("-timeout %s leaves no time", o.timeout)
	}
	o.url = flags.Arg(0)
	u, err := url.Parse(o.url)
	if err != nil {
		return wrong("%w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return wrong("%q: write the URL as http://host/path", o.url)
	}
	return o, nil
}

// Run makes the calls that args describe, and returns the exit status. When
// ctx ends, so do the calls that are under way, and they do not count.
func (c Command) Run(ctx context.Context, args []string) int {
	o, err := c.parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage
	}
	cfg := telemetry.FromEnv(c.Getenv, "sleep")
	cfg.Logger = serve.NewLogger(c.Stderr)
	tracing, err := telemetry.New(ctx, cfg)
	if err != nil {
		c.say("sleep: %v\n", err)
		return exitUsage
	}

	client := &Client{Tracing: tracing, Base: c.Base, Timeout: o.timeout}
	if o.body {
		client.KeepBody = keepBody
	}
	r := c.run(ctx, o, client)
	if o.calls > 1 {
		r.summarize(c.Stderr, o.calls)
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := tracing.Shutdown(ctx); err != nil {
		c.say("sleep: %v\n", err)
	}
	switch {
	case r.failed > 0:
		return exitFailed
	case r.done < o.calls:
		return exitInterrupted
	}
	return 0
}

// run makes the calls, and returns what came of them.
func (c Command) run(ctx context.Context, o options, client *Client) *report {
	r := newReport()
	var mu sync.Mutex // guards the report, and keeps what is printed apart
	calls := make(chan int)
	var workers sync.WaitGroup
	for range min(o.workers, o.calls) {
		workers.Go(func() {
			for i := range calls {
				a, err := client.Get(ctx, o.url, o.header)
				if err != nil && ctx.Err() != nil {
					continue
				}
				mu.Lock()
				r.add(i, a, err)
				c.print(o, r, a, err)
				mu.Unlock()
			}
		})
	}
	c.start(ctx, o, calls)
	close(calls)
	workers.Wait()
	r.took = time.Since(r.start)
	if c.Terminal && o.calls > 1 {
		c.say("\r\x1b[K")
	}
	return r
}

// start hands out the calls, at the interval that was asked for.
func (c Command) start(ctx context.Context, o options, calls chan<- int) {
	var pause <-chan time.Time
	if o.interval > 0 {
		ticker := time.NewTicker(o.interval)
		defer ticker.Stop()
		pause = ticker.C
	}
	for i := range o.calls {
		if i > 0 && pause != nil {
			select {
			case <-pause:
			case <-ctx.Done():
				return
			}
		}
		select {
		case calls <- i:
		case <-ctx.Done():
			return
		}
	}
}

// print says what came of one call, as it was asked to.
func (c Command) print(o options, r *report, a *Answer, err error) {
	progress := c.Terminal && o.calls > 1
	if progress {
		c.say("\r\x1b[K")
	}
	switch {
	case err != nil && o.calls == 1:
		c.say("sleep: %v\n", err)
	case err == nil:
		if o.verbose {
			c.headers(o.url, a)
		}
		if o.body {
			_, _ = c.Stdout.Write(a.Body)
			if len(a.Body) > 0 && a.Body[len(a.Body)-1] != '\n' {
				_, _ = io.WriteString(c.Stdout, "\n")
			}
			if a.CutShort {
				c.say("sleep: the answer is longer than the %d bytes shown\n", len(a.Body))
			}
		}
		if o.calls == 1 && (!o.body || failed(a)) {
			c.say("%d %s in %s%s\n", a.Status, http.StatusText(a.Status), round(a.Took), identity(a))
		}
	}
	if progress {
		c.say("%d of %d, %d failed", r.done, o.calls, r.failed)
	}
}

func (c Command) headers(rawURL string, a *Answer) {
	u, _ := url.Parse(rawURL)
	c.say("> GET %s %s\n", u.RequestURI(), a.Proto)
	for _, name := range slices.Sorted(maps.Keys(a.Sent)) {
		for _, value := range a.Sent[name] {
			c.say("> %s: %s\n", name, value)
		}
	}
	c.say("< %s %d %s\n", a.Proto, a.Status, http.StatusText(a.Status))
	for _, name := range slices.Sorted(maps.Keys(a.Received)) {
		for _, value := range a.Received[name] {
			c.say("< %s: %s\n", name, value)
		}
	}
}

func (c Command) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c.Stderr, format, args...)
}
