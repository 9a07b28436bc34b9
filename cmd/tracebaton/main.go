// Command tracebaton finds out why a trace is in pieces.
//
//	tracebaton check [flags] URL     does this service pass the trace headers on?
//	tracebaton explain [header...]   what do these headers say?
//
// Both say with -h all that there is to know about them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode/utf8"
)

const usage = `NAME
    tracebaton - find out why a trace is in pieces

SYNOPSIS
    tracebaton check [flags] URL
    tracebaton explain [header ...]

DESCRIPTION
    check calls a service that runs, is the upstream that the service calls in
    turn, and says which trace headers were passed on, which were not, and what
    to do about it.

    explain reads headers and says what they mean.

    tracebaton check -h and tracebaton explain -h say more.
`

// The exit statuses, of both commands.
const (
	statusWhole   = 0
	statusBroken  = 1
	statusUnknown = 2 // could not tell, or was not asked rightly
)

// env is what the commands have of the world.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	color          bool
	random         io.Reader
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], newEnv())
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string, e env) int {
	if len(args) == 0 {
		_, _ = fmt.Fprint(e.stderr, usage)
		return statusUnknown
	}
	switch args[0] {
	case "check":
		return runCheck(ctx, args[1:], e)
	case "explain":
		return runExplain(args[1:], e)
	case "audit":
		return runAudit(ctx, args[1:], e)
	case "help", "-h", "-help", "--help":
		_, _ = fmt.Fprint(e.stdout, usage)
		return statusWhole
	default:
		_, _ = fmt.Fprintf(e.stderr, "tracebaton: there is no command %q; there are check and explain\n", args[0])
		return statusUnknown
	}
}

// parse parses a command's flags. It reports false, and the exit status, if
// there is nothing more to do.
func parse(fs *flag.FlagSet, args []string, help string, e env) (status int, ok bool) {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		_, _ = fmt.Fprint(e.stdout, help)
		return statusWhole, false
	case err != nil:
		return fail(e, fs, err), false
	}
	return statusWhole, true
}

// fail says why a command was not asked rightly.
func fail(e env, fs *flag.FlagSet, err error) int {
	_, _ = fmt.Fprintf(e.stderr, "tracebaton %s: %s\nRun tracebaton %[1]s -h for help.\n", fs.Name(), err)
	return statusUnknown
}

// wrap breaks text into lines of a readable length, indented.
func wrap(text, indent string) string {
	const width = 80
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+utf8.RuneCountInString(word) > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += utf8.RuneCountInString(word)
	}
	return b.String()
}
