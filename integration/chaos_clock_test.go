package integration_test

import (
	"encoding/binary"
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

// now is where time.Now asks for the time, and nowWith what it does after that
// here. Libraries that fake the time are asked by no program written in Go, and
// the machine's own clock is not the test's to change.
const (
	now     = "sec, nsec, mono := runtimeNow()\n"
	nowWith = now + "\tsec += jump()\n"
)

// jump is how many seconds the wall clock of a program is ahead: the number in
// a file. It is read from memory, because Go's scheduler asks for the time, too,
// and makes no system calls.
const jump = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var ahead = mapped()

func mapped() *int64 {
	name, _ := syscall.Getenv("CLOCK_AHEAD")
	file, err := syscall.Open(name, syscall.O_RDONLY, 0)
	if err != nil {
		panic(err)
	}
	b, err := syscall.Mmap(file, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	_ = syscall.Close(file)
	return (*int64)(unsafe.Pointer(&b[0]))
}

func jump() int64 { return atomic.LoadInt64(ahead) }
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
			clock, err := os.Create(filepath.Join(t.TempDir(), "clock"))
			require.NoError(t, err)
			defer func() { _ = clock.Close() }()
			set := func(ahead time.Duration) {
				_, err := clock.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(ahead.Seconds())), 0)
				assert.NoError(t, err)
			}
			set(tt.from)
			app, url := listen(t, program, []string{"CLOCK_AHEAD=" + clock.Name(), "FETCH_ALLOW=127.0.0.0/8", "OTEL_TRACES_EXPORTER=console"})
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
