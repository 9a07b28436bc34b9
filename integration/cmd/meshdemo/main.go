// Meshdemo runs the walkthrough as a mesh does: the services make no spans, the
// sidecars beside them do, and only the headers that flaskapp relays make them
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
)

const usage = `Usage: meshdemo [flags]

Starts Jaeger, httpbin and flaskapp, and a sidecar for each way in and out of
them, each a process of its own at a free port of 127.0.0.1, and has sleep call
flaskapp through them:

  1  /fetch              does not relay the trace headers: the trace breaks in two
  2  /fetch_with_trace   does: one request, one trace, of all sidecars
  3  /fetch_with_header  what flaskapp gets, and what httpbin gets
  4  many calls at once
  5  services that make spans, too

What came of it is printed as it happens, and is to be seen in the Jaeger UI
until Ctrl-C. Run it within the repository, after make servers.

  -once  end when the story is told.

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

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	s := &scene{ctx: ctx, stderr: stderr}
	defer s.end()
	s.play(func() { tell(s, newPaper(stdout), *once) })
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
