package integration_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/process"
)

// now is where time.Now asks for the time, and what it is made to do after:
// libraries that fake the time for a program are not asked by one of Go.
const (
	now     = "sec, nsec, mono := runtimeNow()\n"
	nowWith = now + "\tsec += jump()\n"
)

// jump is how many seconds the wall clock of a program is ahead: the size of
// a file.
const jump = `package time

import "syscall"

var jumpFile, _ = syscall.Getenv("CLOCK_JUMP")

func jump() int64 {
	var st syscall.Stat_t
	if jumpFile == "" || syscall.Stat(jumpFile, &st) != nil {
		return 0
	}
	return st.Size
}
`

// buildClockwork builds flaskapp with a wall clock that can be made to jump,
// and returns where, for listen.
func buildClockwork(t *testing.T) (program string) {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	pkg := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	source, err := os.ReadFile(filepath.Join(pkg, "time.go"))
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(source), now), "this version of Go has another time.Now")

	dir := t.TempDir()
	overlay := map[string]string{
		filepath.Join(pkg, "time.go"): filepath.Join(dir, "time.go"),
		filepath.Join(pkg, "jump.go"): filepath.Join(dir, "jump.go"),
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "time.go"), []byte(strings.Replace(string(source), now, nowWith, 1)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "jump.go"), []byte(jump), 0o600))
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	file := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(file, list, 0o600))
	t.Setenv("GOFLAGS", os.Getenv("GOFLAGS")+" -overlay="+file)
	require.NoError(t, process.Build(filepath.Join("..", "examples"), filepath.Join(bin, "clock"), "./flaskapp"))
	return filepath.Join("clock", "flaskapp")
}

func TestClockThatJumps(t *testing.T) {
	if runtime.GOOS != "linux" || testing.Short() {
		t.Skip("it builds the standard library anew")
	}
	program := buildClockwork(t)
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name     string
		from, to time.Duration
	}{
		{"a day ahead", 0, day},
		{"a day back", day, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := filepath.Join(t.TempDir(), "clock")
			set := func(ahead time.Duration) {
				require.NoError(t, os.WriteFile(clock, nil, 0o600))
				require.NoError(t, os.Truncate(clock, int64(ahead.Seconds())))
			}
			set(tt.from)
			app, url := listen(t, program, []string{"CLOCK_JUMP=" + clock, "FETCH_ALLOW=127.0.0.0/8", "OTEL_TRACES_EXPORTER=console"})
			upstream := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Request-Id") == "during" {
					set(tt.to)
				}
				_, _ = io.WriteString(w, "whole")
			})

			// Over one connection each, which is kept.
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for _, id := range []string{"before", "during", "after"} {
				got := get(t.Context(), client, url+"/fetch_with_trace?url="+upstream, id, func() {})
				assert.Equal(t, answer{status: http.StatusOK, body: "whole"}, got, id)
			}
			app.Stop(t)

			logged := map[string]time.Time{}
			var spans int
			for line := range strings.Lines(app.Output()) {
				var entry struct {
					Time       time.Time
					Msg        string
					RequestID  string  `json:"request_id"`
					DurationMS float64 `json:"duration_ms"`

					Name               string
					StartTime, EndTime time.Time
				}
				if json.Unmarshal([]byte(line), &entry) != nil {
					continue
				}
				took := time.Duration(entry.DurationMS * float64(time.Millisecond))
				switch {
				case entry.Msg == "request":
					logged[entry.RequestID] = entry.Time
				case strings.HasPrefix(entry.Name, "GET"):
					took = entry.EndTime.Sub(entry.StartTime)
					spans++
				default:
					continue
				}
				assert.GreaterOrEqual(t, took, time.Duration(0), line)
				assert.Less(t, took, time.Hour, line)
			}
			assert.Equal(t, 2*3, spans)
			jumped := logged["after"].Sub(logged["before"])
			assert.InDelta(t, (tt.to - tt.from).Hours(), jumped.Hours(), 1, "the clock has jumped")
		})
	}
}
