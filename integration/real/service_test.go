package real_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/process"
)

// run starts the program, which listens on addr, and returns when it does.
func run(t *testing.T, addr string, env []string, program string, args ...string) {
	t.Helper()
	p := process.Start(t, env, program, args...)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		if !p.Running() {
			return // no use in waiting: reported below
		}
		conn, err := net.Dial("tcp", addr)
		if assert.NoError(c, err) {
			_ = conn.Close()
		}
	}, patience, 50*time.Millisecond)
	require.True(t, p.Running(), "%s has ended", program)
}

// fill writes the configuration of testdata into a folder of the test's own,
// with the addresses in it.
func fill(t *testing.T, file, addr, upstream string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file)) // #nosec G304 -- the test's own
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), filepath.Base(file))
	filled := strings.NewReplacer("ADDR", addr, "UPSTREAM", upstream).Replace(string(text))
	require.NoError(t, os.WriteFile(name, []byte(filled), 0o600))
	return name
}

// report is what check writes with -json, as far as the tests read it.
type report struct {
	Verdict, Headline, Reason string
	Readers                   []struct{ Family, Verdict string }
	Probes                    []probe

	exit int
}

type probe struct {
	Name  string
	Calls []call
}

type call struct {
	Name    string // method and path
	Headers []struct {
		Name          string
		Sent, Arrived []string
	}
}

// path is what the listener has the call under.
func (c call) path() string {
	_, path, _ := strings.Cut(c.Name, " ")
	return path
}

// sent are the headers of the request.
func (p probe) sent() headers {
	h := headers{}
	for _, row := range p.Calls[0].Headers {
		if row.Sent != nil {
			h[row.Name] = row.Sent
		}
	}
	return h
}

// arrived are the headers of each call.
func (p probe) arrived() (calls []headers) {
	for _, call := range p.Calls {
		h := headers{}
		for _, row := range call.Headers {
			if row.Arrived != nil {
				h[row.Name] = row.Arrived
			}
		}
		calls = append(calls, h)
	}
	return calls
}

var build = sync.OnceValue(func() error {
	return process.Build(filepath.Join("..", "..", "cmd", "tracebaton"), filepath.Join(".cache", "bin"), ".")
})

// check runs tracebaton check.
func check(t *testing.T, args ...string) (r report) {
	t.Helper()
	require.NoError(t, build())
	args = append([]string{"check", "-json", "-timeout", "2m"}, args...)
	cmd := exec.CommandContext(t.Context(), filepath.Join(".cache", "bin", "tracebaton"), args...) // #nosec G204 -- the test's own
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = []string{}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &r), "%s\n%s", stdout.String(), stderr.String())
	r.exit = cmd.ProcessState.ExitCode()
	return r
}
