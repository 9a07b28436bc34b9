package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tracebaton/tracebaton/cmd/tracebaton/internal/spans"
	"github.com/tracebaton/tracebaton/internal/audit"
)

const auditUsage = `NAME
    tracebaton audit - name the services that lose traces, from stored spans

SYNOPSIS
    tracebaton audit [flags] URL | FILE | - ...

DESCRIPTION
    Audit reads spans and says which services lose the trace, on which route,
    for calls to which service. It reads the sidecars' spans and needs no access
    to the services. If, at one proxy and by one clock, a call begins a new
    trace while a request is being served, or just after, that request has
    likely caused the call. Audit counts such calls, and names a service only if
    chance would bring about so many in less than one mesh of a thousand.

    URL is that of Jaeger's UI or of Zipkin. FILE is one of

        Jaeger's JSON, as its UI saves it and /api/traces answers
        Zipkin's JSON of version 2
        OTLP as JSON, as the OpenTelemetry Collector's file exporter writes it

    plain or compressed with gzip or zstd, and - is standard input.

    A minute in which all requests are recorded is worth more than an hour with
    one of a hundred: eight calls must be stored together with the requests
    that caused them. docs/audit.md says how to record that, how often audit is
    right, and what it cannot know.

OPTIONS
    -since duration
        How far to look back in the store of a URL. Default: 1h.

    -limit n
        About how many traces to read from a URL, the newest first. Default:
        20000.

    -service name
        Read from a URL only traces of that service.

    -sampling percent
        The share of the requests that are recorded. Where it is known, audit
        can also say of a service that its calls are its own.

    -format text|json|github
        How to write the verdicts: as a table, as a JSON object, or as GitHub
        Actions' annotations. Default: text.

    -json
        The same as -format json: spans, traces, from, to, services (service,
        verdict, callees) and problems (kind, service, count, text). A callee
        has service, verdict, calls, begun, and, where the trace is dropped,
        kind, confidence, routes and examples.

    -h
        Write this text.

VERDICTS
    drops       proven: so many of the calls that begin a trace coincide with
                requests that it cannot be chance
    likely      none of the calls is passed on, and the service drops the trace
                of calls to others; too few to prove it for these
    cannot tell too few calls, or pods that are always busy
    begins      the calls are the service's own: a timer, a queue, a poller
    passes      the calls go on in the trace of the request
    speaks      the service's own tracer and its sidecars do not read each
                other's headers (W3C and B3, for instance)
    origin      no request came in: traces begin here

EXIT STATUS
    0   no service is named
    1   a service drops the trace
    2   nothing could be read, or the command was not understood

    Unclear verdicts do not count. Ctrl-C ends the reading; audit then writes
    what it knows.

ENVIRONMENT
    NO_COLOR    if not empty: no colour on a terminal
    HTTP_PROXY, HTTPS_PROXY, NO_PROXY
                the proxy to ask a URL through

EXAMPLES
    The last quarter of an hour:

        tracebaton audit -since 15m http://localhost:16686

    Files that the Collector has written, with all requests recorded:

        zcat spans-*.jsonl.gz | tracebaton audit -sampling 100 -
`

// auditor reads and tells.
type auditor struct {
	env
	format   string
	sampling float64
	store    spans.Store // of URLs

	mu      sync.Mutex // of what follows: reading may go on when it is told
	audit   audit.Auditor
	read    int
	stopped bool
	link    func(trace string) string // nil: there is no UI
}

func runAudit(ctx context.Context, args []string, e env) int {
	a := &auditor{env: e}
	fs := flag.NewFlagSet("audit", flag.ContinueOnError)
	fs.DurationVar(&a.store.Since, "since", time.Hour, "")
	fs.IntVar(&a.store.Limit, "limit", 20_000, "")
	fs.StringVar(&a.store.Service, "service", "", "")
	fs.Float64Var(&a.sampling, "sampling", 0, "")
	fs.StringVar(&a.format, "format", "text", "")
	asJSON := fs.Bool("json", false, "")
	if status, ok := parse(fs, args, auditUsage, e); !ok {
		return status
	}
	if *asJSON {
		a.format = "json"
	}
	switch {
	case fs.NArg() == 0:
		return fail(e, fs, errors.New("nothing to read: name the URL of Jaeger or Zipkin, a file, or - for standard input"))
	case a.format != "text" && a.format != "json" && a.format != "github":
		return fail(e, fs, fmt.Errorf("-format %q: write text, json or github", a.format))
	case !(a.sampling >= 0 && a.sampling <= 100):
		return fail(e, fs, fmt.Errorf("-sampling %v: write a percentage, up to 100", a.sampling))
	case a.store.Since <= 0:
		return fail(e, fs, fmt.Errorf("-since %v: write a duration such as 15m", a.store.Since))
	case a.store.Limit <= 0:
		return fail(e, fs, fmt.Errorf("-limit %d: write how many traces are enough", a.store.Limit))
	}
	if !slices.ContainsFunc(fs.Args(), isURL) {
		var err error
		fs.Visit(func(f *flag.Flag) {
			if f.Name == "since" || f.Name == "limit" || f.Name == "service" {
				err = fmt.Errorf("-%s chooses what a URL is asked for, and files are read whole", f.Name)
			}
		})
		if err != nil {
			return fail(e, fs, err)
		}
	}
	a.audit.Sampling = a.sampling / 100

	failed := a.readAll(ctx, fs.Args())
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	if a.read == 0 {
		if !failed {
			_, _ = fmt.Fprintln(e.stderr, "tracebaton audit: there are no spans")
		}
		return statusUnknown
	}
	report := a.audit.Report()
	if err := a.write(&report); err != nil {
		_, _ = fmt.Fprintf(e.stderr, "tracebaton audit: write the verdicts: %s\n", err)
		return statusUnknown
	}
	if len(report.Dropping()) > 0 {
		return statusBroken
	}
	return statusWhole
}

// readAll reads all sources, until the context ends, and tells of errors and,
// now and then, how far it is.
func (a *auditor) readAll(ctx context.Context, sources []string) (failed bool) {
	errs := make(chan error, len(sources))
	go func() {
		defer close(errs)
		for _, source := range sources {
			if err := a.readOne(ctx, source); err != nil && ctx.Err() == nil {
				errs <- err
			}
		}
	}()
	tell := func(format string, args ...any) {
		_, _ = fmt.Fprintf(a.stderr, "tracebaton audit: "+format+"\n", args...)
	}
	progress := time.NewTicker(5 * time.Second)
	defer progress.Stop()
	for {
		select {
		case err, more := <-errs:
			if !more {
				return failed
			}
			failed = true
			tell("%s", printable(err.Error()))
		case <-progress.C:
			a.mu.Lock()
			read := a.read
			a.mu.Unlock()
			tell("%s spans so far", thousands(read))
		case <-ctx.Done():
			tell("interrupted; this is what is known so far")
			return true
		}
	}
}

func (a *auditor) readOne(ctx context.Context, source string) error {
	r := &spans.Reader{Span: func(s audit.Span) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.stopped {
			a.read++
			a.audit.Add(s)
		}
	}}
	err := a.readFrom(ctx, source, r)
	if r.Unreadable > 0 {
		err = errors.Join(err, fmt.Errorf("left out %s spans without a service or with IDs that are not in hex digits", thousands(r.Unreadable)))
	}
	if err != nil && source == "-" {
		source = "standard input"
	}
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	return nil
}

func (a *auditor) readFrom(ctx context.Context, source string, r *spans.Reader) error {
	switch {
	case isURL(source):
		store := a.store
		err := store.ReadAll(ctx, source, r)
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.read > 0 {
			a.link = store.Link
		}
		return err
	case source == "-":
		return r.Read(until{ctx, a.stdin})
	}
	f, err := os.Open(source) // #nosec G304 -- the user names it
	if err != nil {
		return errors.Unwrap(err) // the caller says which
	}
	defer func() { _ = f.Close() }()
	return r.Read(until{ctx, f})
}

func isURL(source string) bool {
	return strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://")
}

// until is a reader that ends with the context.
type until struct {
	ctx context.Context
	io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(p)
}
