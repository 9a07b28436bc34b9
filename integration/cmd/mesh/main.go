//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command with those arguments. It returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	verb := ""
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	var c config
	flags := flag.NewFlagSet("mesh", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { _, _ = io.WriteString(stderr, usage) }
	act := down
	switch verb {
	case "up":
		flags.StringVar(&c.envoy, "envoy", "", "")
		flags.StringVar(&c.kubelet, "kubelet", "", "")
		flags.StringVar(&c.apply, "apply", "deploy/istio", "")
		act = up
	case "down":
	case nodeVerb: // up's own: see node.go
		flags.StringVar(&c.kubelet, "kubelet", "", "")
		act = node
	case "-h", "-help", "--help", "help":
		_, _ = io.WriteString(stdout, usage)
		return 0
	default:
		flags.Usage()
		return exitUsage
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exitUsage
	}
	if flags.NArg() > 0 {
		_, _ = fmt.Fprintf(stderr, "mesh %s has no argument %q, only flags\n", verb, flags.Arg(0))
		return exitUsage
	}
	began := time.Now()
	c.say = func(format string, args ...any) {
		_, _ = fmt.Fprintf(stdout, "%5.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	c.stdout = stdout
	if err := act(&c); err != nil {
		_, _ = fmt.Fprintf(stderr, "mesh %s: %v\n", verb, err)
		return exitFailed
	}
	return 0
}
