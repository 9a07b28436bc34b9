// Command tracebaton finds out why a trace is in pieces.
//
//	tracebaton check [flags] URL           does this service relay the trace headers?
//	tracebaton explain [header...]         what do these headers say?
//	tracebaton audit [flags] URL|FILE ...  which service loses the traces that are stored?
//	tracebaton version                     which version is this?
//
// With -h, each describes itself in full.
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
	"time"
	"unicode/utf8"
)

const usage = `NAME
    tracebaton - find out why a trace is in pieces

SYNOPSIS
    tracebaton command [flags] [argument ...]

COMMANDS
`

// commands are what there is to run, in the order of the usage text.
var commands = []struct {
	name, about string
	run         func(ctx context.Context, args []string, e env) int
}{
	{"check", "call a running service, stand in for its upstream, and say which trace headers it relays", runCheck},
	{"explain", "read headers and say what they mean", func(_ context.Context, args []string, e env) int { return runExplain(args, e) }},
	{"audit", "read stored traces and name the service that loses them", runAudit},
	{"version", "say which version this is", runVersion},
}

// The exit statuses, of all commands.
const (
	statusWhole   = 0
	statusBroken  = 1
	statusUnknown = 2 // could not tell, or the command was not understood
)

// env is what the commands have of the world.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	color          bool
	width          int // of the terminal in columns; 0 is 80
	random         io.Reader

	// background is how long check waits for a call after the service has
	// answered, and together for two requests to meet. Zero is a second.
	background, together time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], newEnv())
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string, e env) int {
	if len(args) == 0 {
		_, _ = fmt.Fprint(e.stderr, usageText())
		return statusUnknown
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		_, _ = fmt.Fprint(e.stdout, usageText())
		return statusWhole
	case "-version", "--version":
		args[0] = "version"
	}
	var names []string
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(ctx, args[1:], e)
		}
		names = append(names, c.name)
	}
	_, _ = fmt.Fprintf(e.stderr, "tracebaton: there is no command %q; did you mean %s?\nRun tracebaton -h for the list.\n", args[0], nearest(args[0], names))
	return statusUnknown
}

func usageText() string {
	var b strings.Builder
	b.WriteString(usage)
	for _, c := range commands {
		text := strings.TrimSpace(wrap(c.about, "             "))
		fmt.Fprintf(&b, "    %-8s %s\n", c.name, text)
	}
	b.WriteString("\n    tracebaton COMMAND -h says more.\n")
	return b.String()
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

// parseAll is parse for flags that may come after arguments, which it returns.
func parseAll(fs *flag.FlagSet, args []string, help string, e env) (arguments []string, status int, ok bool) {
	for {
		if status, ok := parse(fs, args, help, e); !ok {
			return nil, status, false
		}
		if fs.NArg() == 0 {
			return arguments, statusWhole, true
		}
		if rest := len(args) - fs.NArg(); rest > 0 && args[rest-1] == "--" {
			return append(arguments, fs.Args()...), statusWhole, true
		}
		arguments = append(arguments, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

// fail says why a command was not asked rightly.
func fail(e env, fs *flag.FlagSet, err error) int {
	_, _ = fmt.Fprintf(e.stderr, "tracebaton %s: %s\nRun tracebaton %[1]s -h for help.\n", fs.Name(), err)
	return statusUnknown
}

// wrap breaks text into lines of 80 columns, indented.
func wrap(text, indent string) string { return wrapAt(text, indent, 80) }

// wrap is wrap for the terminal's width, within what is easy to read.
func (e env) wrap(text, indent string) string {
	width := 80
	if e.width > 0 {
		width = min(max(e.width, 40), 100)
	}
	return wrapAt(text, indent, width)
}

func wrapAt(text, indent string, width int) string {
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

// nearest returns the word that takes the fewest changes to become s.
func nearest(s string, words []string) string {
	best, least := "", len(s)+100
	for _, w := range words {
		if d := distance(s, w); d < least {
			best, least = w, d
		}
	}
	return best
}

// distance is how many letters must be put in, taken out or changed to make b
// of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
