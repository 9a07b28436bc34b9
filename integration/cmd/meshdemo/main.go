// Meshdemo runs the walkthrough as a mesh does: the services make no spans, the
// Envoys beside them do, and only the headers that flaskapp relays make them
// one trace.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/tracebaton/tracebaton/integration/envoy"
)

const usage = `Usage: meshdemo [flags]

Starts Jaeger, httpbin and flaskapp, and an Envoy beside each of them and beside
sleep, each a process of its own at a free port of 127.0.0.1, and has sleep call
flaskapp through them:

  1  /fetch              does not relay the trace headers: the trace breaks in two
  2  /fetch_with_trace   does: one request, one trace, of all sidecars
  3  /fetch_with_header  what flaskapp gets, and what httpbin gets
  4  many calls at once
  5  services that make spans, too

What came of it is printed as it happens, and is to be seen in the Jaeger UI
until Ctrl-C. make mesh-demo builds and fetches what it needs.

  -format F  trace headers that Envoy reads and writes: b3 (default), w3c, or
             b3+w3c for both.
  -once      end when the story is told.

ENVOY names the Envoy to run: by default the one that make envoy fetched, or the
one on PATH.

The exit status is 0 if everything was as it should be, 1 if not, 2 if the
command was wrong, and 130 if it was interrupted. NO_COLOR turns colours off.
`

const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command with those arguments. It returns the exit status.
func run(args []string, stdout *os.File, stderr io.Writer) int {
	flags := flag.NewFlagSet("meshdemo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { _, _ = io.WriteString(stderr, usage) }
	once := flags.Bool("once", false, "")
	format := flags.String("format", "b3", "")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exitUsage
	}
	if flags.NArg() > 0 {
		_, _ = fmt.Fprintf(stderr, "meshdemo has no argument %q, only flags\n", flags.Arg(0))
		flags.Usage()
		return exitUsage
	}
	tracer, ok := map[string]envoy.Tracer{"b3": envoy.Zipkin, "w3c": envoy.OpenTelemetry, "b3+w3c": envoy.ZipkinW3C}[*format]
	if !ok {
		_, _ = fmt.Fprintf(stderr, "meshdemo: -format is b3, w3c or b3+w3c, not %q\n", *format)
		return exitUsage
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	s := &scene{ctx: ctx, stderr: stderr}
	defer s.end()
	s.play(func() { tell(s, newPaper(stdout), tracer, *once) })
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case s.Failed():
		return exitFailed
	case !*once:
		<-ctx.Done()
	}
	return 0
}
