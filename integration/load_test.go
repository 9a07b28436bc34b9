package integration_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/process"
)

var (
	loadCalls = flag.Int("load.calls", 3000, "calls that each load test makes")
	loadRace  = flag.Bool("load.race", true, "build the services of the load tests with the race detector")
)

func TestLoad(t *testing.T) {
	dir := "load"
	if *loadRace {
		dir = "race"
		t.Setenv("GOFLAGS", os.Getenv("GOFLAGS")+" -race")
	}
	require.NoError(t, process.Build(filepath.Join("..", "examples"), filepath.Join(bin, dir), "./flaskapp", "./httpbin", "./sleep"))

	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer collector.Close()
	spans := []string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL}

	for _, tt := range []struct {
		name string
		env  []string
		same []string // headers that arrive at httpbin as sleep sent them
	}{
		{
			"no call is lost or takes another's IDs where the services relay",
			[]string{"OTEL_TRACES_EXPORTER=none"},
			[]string{"X-Request-Id", "X-B3-Traceid", "X-B3-Spanid", "X-B3-Sampled"},
		},
		{
			"no call is lost or takes another's IDs where the services make spans",
			spans,
			[]string{"X-Request-Id", "X-B3-Traceid", "X-B3-Sampled"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := append([]string{"FETCH_ALLOW=127.0.0.0/8"}, tt.env...)
			httpbin, httpbinURL := listen(t, filepath.Join(dir, "httpbin"), env)
			flaskapp, flaskappURL := listen(t, filepath.Join(dir, "flaskapp"), env)

			// sleep makes spans in any case: so each call has IDs of its own.
			start := time.Now()
			calls := fetchAll(t, filepath.Join(bin, dir, "sleep"), spans, flaskappURL+"/fetch_with_header?url="+httpbinURL+"/headers")
			t.Logf("%d calls in %s", len(calls), time.Since(start).Round(10*time.Millisecond))

			requests, traces, parents := map[string]bool{}, map[string]bool{}, map[string]bool{}
			for i, c := range calls {
				for _, name := range []string{"X-Request-Id", "X-B3-Traceid", "X-B3-Spanid", "X-B3-Sampled"} {
					require.NotEmpty(t, c.sent.Get(name), "call %d was sent without %s", i, name)
					require.Equal(t, c.sent.Get(name), c.flaskapp.Get(name), "%s of call %d at flaskapp", name, i)
					require.NotEmpty(t, c.httpbin.Get(name), "%s of call %d at httpbin", name, i)
				}
				for _, name := range tt.same {
					require.Equal(t, c.sent.Values(name), c.httpbin.Values(name), "%s of call %d at httpbin", name, i)
				}
				requests[c.httpbin.Get("X-Request-Id")] = true
				traces[c.httpbin.Get("X-B3-Traceid")] = true
				parents[c.httpbin.Get("X-B3-Spanid")] = true
			}
			assert.Len(t, requests, *loadCalls)
			assert.Len(t, traces, *loadCalls)
			assert.Len(t, parents, *loadCalls)

			// The status is another one where the race detector has found
			// something.
			flaskapp.Stop(t)
			httpbin.Stop(t)
		})
	}
}

// call is the headers of one call: as sleep sent it, as flaskapp was called,
// and as httpbin was called for it. The latter two are what the answer says.
type call struct{ sent, flaskapp, httpbin http.Header }

// fetchAll runs sleep fetch and returns its calls, all of which must have been
// answered with 200.
func fetchAll(t *testing.T, program string, env []string, url string) []call {
	t.Helper()
	dir := t.TempDir()
	bodies, err := os.Create(filepath.Join(dir, "bodies"))
	require.NoError(t, err)
	defer func() { _ = bodies.Close() }()
	headers, err := os.Create(filepath.Join(dir, "headers"))
	require.NoError(t, err)
	defer func() { _ = headers.Close() }()

	cmd := exec.CommandContext(t.Context(), program, "fetch", "-v", "-body", "-n", strconv.Itoa(*loadCalls), "-c", "64", url)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, bodies, headers
	runErr := cmd.Run()

	_, err = headers.Seek(0, io.SeekStart)
	require.NoError(t, err)
	_, err = bodies.Seek(0, io.SeekStart)
	require.NoError(t, err)
	sent, rest := sentHeaders(t, headers)
	require.NoError(t, runErr, "sleep fetch:\n%s", rest)
	require.Contains(t, rest, "status   "+strconv.Itoa(*loadCalls)+" × 200 OK\n")
	t.Logf("sleep fetch -c 64:\n%s", rest)

	// sleep prints what it knows of a call at once, so that the headers and
	// the bodies are in one order.
	calls := make([]call, 0, *loadCalls)
	answers := json.NewDecoder(bufio.NewReader(bodies))
	for i := 0; ; i++ {
		var first map[string]string
		err := answers.Decode(&first)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, "call %d", i)
		var second struct{ Headers http.Header }
		require.NoError(t, answers.Decode(&second), "call %d", i)
		require.Less(t, i, len(sent))
		c := call{sent: sent[i], flaskapp: http.Header{}, httpbin: second.Headers}
		for name, value := range first {
			c.flaskapp.Set(name, value)
		}
		calls = append(calls, c)
	}
	require.Len(t, sent, *loadCalls)
	require.Len(t, calls, *loadCalls)
	return calls
}

// sentHeaders returns those of each call that sleep fetch -v says it made, and
// what else it printed.
func sentHeaders(t *testing.T, printed io.Reader) (sent []http.Header, rest string) {
	t.Helper()
	var b strings.Builder
	lines := bufio.NewScanner(printed)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "> GET "):
			sent = append(sent, http.Header{})
		case strings.HasPrefix(line, "> "):
			name, value, _ := strings.Cut(line[2:], ": ")
			sent[len(sent)-1].Add(name, value)
		case !strings.HasPrefix(line, "< "):
			b.WriteString(line + "\n")
		}
	}
	require.NoError(t, lines.Err())
	return sent, b.String()
}
