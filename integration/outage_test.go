package integration_test

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/jaeger"
	"github.com/tracebaton/tracebaton/integration/process"
)

func TestJaegerAway(t *testing.T) {
	jaeger.Need(t)
	for _, exporter := range []string{"otlp", "jaeger"} {
		t.Run(exporter, func(t *testing.T) {
			t.Run("no request waits for a Jaeger that hangs", func(t *testing.T) {
				server := jaeger.Start(t, "")
				// In ms: who waited for an export would wait for an hour.
				s := start(t, append(server.Env(exporter),
					"OTEL_EXPORTER_OTLP_TIMEOUT=3600000", "OTEL_BSP_EXPORT_TIMEOUT=3600000")...)
				s.sleep(t, "-H", "x-request-id: before", s.through("/fetch_with_trace", "/ip"))
				arrives(t, server, "before")

				// It still takes connections, and answers none. What flaskapp
				// can hold for it is full before the last call: 2,048 spans,
				// and up to 512 in the batch that hangs.
				server.Signal(t, syscall.SIGSTOP)
				load := s.sleeping(t, []string{"OTEL_TRACES_EXPORTER=none"}, "-n", "1500", "-c", "8",
					s.through("/fetch_with_trace", "/ip"))
				require.NoError(t, load.Wait(t), "every call is answered")

				// What it held arrives, and then there is room for more.
				server.Signal(t, syscall.SIGCONT)
				require.Eventually(t, func() bool {
					traces, err := server.Find("flaskapp")
					return err == nil && len(traces) >= 2048/2
				}, patience, 100*time.Millisecond)
				laterArrive(t, s, server)
			})

			t.Run("no request fails while Jaeger is gone and later spans arrive", func(t *testing.T) {
				server := jaeger.Start(t, "")
				s := start(t, server.Env(exporter)...)
				load := s.sleeping(t, []string{"OTEL_TRACES_EXPORTER=none"}, "-n", "1000000", "-c", "4", "-interval", "10ms",
					s.through("/fetch_with_trace", "/ip"))
				require.Eventually(t, func() bool {
					traces, err := server.Find("flaskapp")
					return err == nil && len(traces) > 0
				}, patience, 20*time.Millisecond)

				// To send it spans fails at once. That no request waits for that
				// is shown above, by the Jaeger that hangs.
				server.Kill()
				s.flaskapp.Line(t, func(line string) (string, bool) {
					return line, strings.Contains(line, "spans do not get through")
				})
				server.Restart(t)
				laterArrive(t, s, server)

				interrupt(t, load)
				t.Logf("before, during and after the outage:\n%s", load.Output())
			})
		})
	}
}

// laterArrive has sleep call until Jaeger has the whole trace of a call. That
// need not be the first: a span that is made while the queue is full is dropped.
func laterArrive(t testing.TB, s *services, server *jaeger.Server) {
	t.Helper()
	calls := s.sleeping(t, s.env, "-n", "1000000", "-interval", "1s", "-H", "x-request-id: after",
		s.through("/fetch_with_trace", "/ip"))
	arrives(t, server, "after")
	interrupt(t, calls)
}

// interrupt ends sleep fetch before its last call. Every call until then must
// have been answered.
func interrupt(t testing.TB, p *process.Process) {
	t.Helper()
	require.True(t, p.Running())
	p.Signal(t, syscall.SIGTERM)
	var exit *exec.ExitError
	require.ErrorAs(t, p.Wait(t), &exit)
	require.Equal(t, 130, exit.ExitCode(), "1 if a call was not answered")
}

// arrives waits until Jaeger has the whole trace of a call with the request ID.
func arrives(t testing.TB, server *jaeger.Server, id string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		traces, err := server.Find("sleep")
		if !assert.NoError(c, err) {
			return
		}
		var trees []string
		for _, trace := range traces {
			if trace.Spans[0].Tags[requestID] == `["`+id+`"]` {
				trees = append(trees, "\n"+trace.Tree())
			}
		}
		assert.Contains(c, trees, whole)
	}, patience, 50*time.Millisecond)
}
