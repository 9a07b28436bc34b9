// Package process runs the programs that a test needs beside it, and leaves
// none of them behind.
package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	patience = 5 * time.Minute
	tick     = 20 * time.Millisecond
)

// T is what is needed of a test. A [testing.TB] is one, and so is a program
// that runs the same things to be looked at.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	FailNow()
	Failed() bool
	Skip(args ...any)
	Cleanup(func())
}

// Process is a program that a test has started. It is killed when the test
// ends, and what it printed is shown when the test has failed.
type Process struct {
	name string
	cmd  *exec.Cmd
	out  output // both outputs, as they come
	std  output // standard output alone
	done chan struct{}
	err  error
}

// Start starts the program at path. Its environment is env and PATH, nothing
// else of the test's own: a variable of the developer's shell must not decide
// where spans go.
func Start(t T, env []string, path string, args ...string) *Process {
	t.Helper()
	cmd := exec.Command(path, args...) // #nosec G204 -- the test's own choice
	p := &Process{name: filepath.Base(path), cmd: cmd, done: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	p.cmd.Stdout, p.cmd.Stderr = io.MultiWriter(&p.out, &p.std), &p.out
	p.cmd.SysProcAttr = dieWithParent()
	require.NoError(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s %s printed:\n%s", p.name, strings.Join(args, " "), p.Output())
		}
	})
	return p
}

// Output is what the program has printed so far, on both outputs.
func (p *Process) Output() string { return p.out.String() }

// Stdout is what of it went to standard output.
func (p *Process) Stdout() string { return p.std.String() }

// Wait waits for the program to end by itself and returns how it did: nil for
// exit status 0.
func (p *Process) Wait(t T) error {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		require.FailNow(t, p.name+" is still running")
	}
	return p.err
}

// Running reports whether the program has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends the program a signal.
func (p *Process) Signal(t T, s os.Signal) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(s), p.name)
}

// Stop asks the program to end and waits until it has, with exit status 0.
func (p *Process) Stop(t T) {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	require.NoError(t, p.Wait(t), "%s was asked to end", p.name)
}

// Kill ends the program, which cannot refuse, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // fails where it has ended, which is what we want
	<-p.done
}

// Line waits for a line of the output that find accepts, and returns what find
// made of it.
func (p *Process) Line(t T, find func(line string) (string, bool)) string {
	t.Helper()
	var found string
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		running := p.Running()
		for line := range strings.Lines(p.Output()) {
			if s, ok := find(strings.TrimSuffix(line, "\n")); ok {
				found = s
				return
			}
		}
		if !running {
			found = "" // and no use in waiting: reported below
			return
		}
		assert.Fail(c, p.name+" has not printed it yet")
	}, patience, tick)
	require.NotEmpty(t, found, "%s ended first", p.name)
	return found
}

// Addr waits for the line in which a service of the examples says where it
// listens.
func (p *Process) Addr(t T) string {
	t.Helper()
	return p.Line(t, func(line string) (string, bool) {
		var entry struct{ Msg, Addr string }
		return entry.Addr, json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening"
	})
}

// Build builds the packages of the module in dir, each into the folder bin by
// its own name.
func Build(dir, bin string, packages ...string) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	args := append([]string{"build", "-o", bin + string(filepath.Separator)}, packages...)
	cmd := exec.Command("go", args...) // #nosec G204 -- the test's own choice
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", strings.Join(packages, " "), err, out)
	}
	return nil
}

// FreeAddr returns an address on loopback that nothing listens on, and that it
// has not returned before. Its port is below those that systems hand out by
// themselves, so that it stays free while the program that listens there is
// down between two runs.
func FreeAddr(t T) string {
	t.Helper()
	const first, ports = 20000, 12000
	start := uint32(rand.IntN(ports)) // #nosec G404 G115 -- chosen, not secret
	nextPort.CompareAndSwap(0, start)
	for range ports {
		addr := fmt.Sprintf("127.0.0.1:%d", first+nextPort.Add(1)%ports)
		l, err := net.Listen("tcp", addr)
		if err == nil {
			require.NoError(t, l.Close())
			return addr
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			require.NoError(t, err)
		}
	}
	require.FailNow(t, "no free port found")
	return ""
}

// nextPort is where FreeAddr looks next: two programs of one test are given
// their addresses before the first of them listens.
var nextPort atomic.Uint32

// Root is the folder of the repository, found upwards from the test's own.
func Root(t T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		require.NotEqual(t, dir, parent, "not inside the repository")
		dir = parent
	}
}

type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
