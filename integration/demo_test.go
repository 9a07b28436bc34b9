package integration_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/browser"
	"github.com/tracebaton/tracebaton/integration/process"
)

// demo is the demo as a newcomer starts it, but for the port.
type demo struct {
	ui       string   // address
	traces   []string // in the order in which it tells of them
	flaskapp string   // address of an instance
	commands []string // that it prints
}

func startDemo(t *testing.T) demo {
	t.Helper()
	require.NoError(t, process.Build(filepath.Join("..", "examples"), bin, "./demo"))
	p := process.Start(t, nil, filepath.Join(bin, "demo"), "-listen", "127.0.0.1:0")
	p.Line(t, func(line string) (string, bool) { return line, line == "  Ctrl-C ends it." })
	t.Cleanup(func() { p.Stop(t) })

	var d demo
	for _, m := range regexp.MustCompile(`(?m)(http://\S+)/trace/([0-9a-f]{32})$`).FindAllStringSubmatch(p.Output(), -1) {
		d.ui, d.traces = m[1], append(d.traces, m[2])
	}
	require.Len(t, d.traces, 5, "links in what it prints")
	m := regexp.MustCompile(`flaskapp v1  (http://\S+)`).FindStringSubmatch(p.Output())
	require.NotNil(t, m)
	d.flaskapp = m[1]
	d.commands = commands(p)
	return d
}

// commands are those that a demo has printed, for another terminal.
func commands(p *process.Process) []string {
	var found []string
	for _, m := range regexp.MustCompile(`(?m)^  (?:\$|more) +(.*)$`).FindAllStringSubmatch(p.Output(), -1) {
		found = append(found, m[1])
	}
	return found
}

// paste runs a command that was copied from what a demo prints.
func paste(t *testing.T, command string) (printed string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command) // #nosec G204 -- what is under test
	cmd.Dir = process.Root(t)
	cmd.Env = append(os.Environ(), "GOWORK=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestEachCommandOfTheDemoRunsInAnotherTerminal(t *testing.T) {
	d := startDemo(t)
	answers := []string{`"X-B3-Traceid"`, `"X-B3-Traceid"`, "v1\n", "v2\n", `"origin"`, "flaskapp  GET /fetch ", `"origin"`}
	require.Len(t, d.commands, len(answers), d.commands)
	for i, command := range d.commands {
		printed, err := paste(t, command)
		if strings.Contains(command, "audit") {
			require.ErrorContains(t, err, "exit status 1", "audit has found something")
		} else {
			require.NoError(t, err, "%s\n%s", command, printed)
		}
		require.Contains(t, printed, answers[i], command)
	}
}

func TestDemoShowsItsTracesInTheJaegerUI(t *testing.T) {
	d := startDemo(t)
	ui := browser.Open(t, d.ui)
	sleepsPart, rest, whole := d.traces[0], d.traces[1], d.traces[2]

	t.Run("a search for sleep finds its calls, and one goes through all services", func(t *testing.T) {
		found := ui.Search(t, "sleep")
		ui.Screenshot(t, "demo-search")
		// The newest calls are those that audit is given.
		var through, broken string
		for _, f := range found {
			assert.Equal(t, "sleep: GET", f.Title)
			if len(f.Services) == 3 {
				through = f.ID
				assert.Equal(t, map[string]int{"sleep": 1, "flaskapp": 2, "httpbin": 1}, f.Services)
			} else {
				broken = f.ID
				assert.Equal(t, map[string]int{"sleep": 1, "flaskapp": 1}, f.Services)
			}
		}
		require.NotEmpty(t, through)
		require.NotEmpty(t, broken)
		spans := ui.Follow(t, through)
		assert.Equal(t, "sleep GET\n  flaskapp GET /fetch_with_trace\n    flaskapp GET\n      httpbin GET /headers", browser.Outline(spans))
	})

	t.Run("a link leads to the whole trace", func(t *testing.T) {
		ui.Viewport(t, 1000, 380)
		spans := ui.Trace(t, whole)
		ui.Screenshot(t, "demo-trace")
		assert.Len(t, spans, 4)
	})

	t.Run("the traces that /fetch breaks into have nothing in common", func(t *testing.T) {
		ui.Viewport(t, 1000, 600)
		ofSleep, common, ofHTTPBin := ui.Compare(t, sleepsPart, rest)
		ui.Screenshot(t, "demo-broken")
		assert.ElementsMatch(t, []string{"sleep", "flaskapp"}, ofSleep)
		assert.ElementsMatch(t, []string{"flaskapp", "httpbin"}, ofHTTPBin)
		assert.Empty(t, common)
	})

	t.Run("the system architecture is what calls what", func(t *testing.T) {
		ui.Viewport(t, 1000, 640)
		calls := ui.Architecture(t)
		ui.Screenshot(t, "demo-graph")
		assert.ElementsMatch(t, []browser.Call{{From: "sleep", To: "flaskapp"}, {From: "flaskapp", To: "httpbin"}}, calls)
	})

	t.Run("a trace that was begun elsewhere with an ID of 64 bits, and failed", func(t *testing.T) {
		ui.Viewport(t, 1000, 400)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.flaskapp+"/fetch_with_trace?url=http://httpbin:8000/status/500", nil)
		require.NoError(t, err)
		req.Header.Set("X-B3-TraceId", "a3ce929d0e0e4736")
		req.Header.Set("X-B3-SpanId", "00f067aa0ba902b7")
		req.Header.Set("X-B3-Sampled", "1")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusInternalServerError, resp.StatusCode)

		spans := ui.Trace(t, "a3ce929d0e0e4736")
		ui.Screenshot(t, "demo-failed")
		assert.Equal(t, "flaskapp GET /fetch_with_trace\n  flaskapp GET\n    httpbin GET /status/{code}", browser.Outline(spans))
		for _, s := range spans {
			assert.True(t, s.Failed, "%s %s", s.Service, s.Operation)
		}
	})
}
