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
				s.sleep(t, "-H", "x-request-id: after", s.through("/fetch_with_trace", "/ip"))
				arrives(t, server, "after")
			})

			t.Run("no request fails while Jaeger is gone and later spans arrive", func(t *testing.T) {
				server := jaeger.Start(t, "")
				s := start(t, server.Env(exporter)...)
				load := s.sleeping(t, []string{"OTEL_TRACES_EXPORTER=none"}, "-n", "1000000", "-c", "4", "-interval", "2ms",
					s.through("/fetch_with_trace", "/ip"))
				require.Eventually(t, func() bool {
					traces, err := server.Find("flaskapp")
					return err == nil && len(traces) > 0
				}, patience, 20*time.Millisecond)

				server.Kill()
				s.flaskapp.Line(t, func(line string) (string, bool) {
					return line, strings.Contains(line, "spans do not get through")
				})
				server.Restart(t)
				s.sleep(t, "-H", "x-request-id: after", s.through("/fetch_with_trace", "/ip"))
				arrives(t, server, "after")

				require.True(t, load.Running())
				load.Signal(t, syscall.SIGTERM)
				var exit *exec.ExitError
				require.ErrorAs(t, load.Wait(t), &exit)
				require.Equal(t, 130, exit.ExitCode(), "interrupted, and all calls until then were answered: 1 if one was not")
				t.Logf("before, during and after the outage:\n%s", load.Output())
			})
		})
	}
}

// arrives waits until Jaeger has the whole trace of the call with the request
// ID.
func arrives(t testing.TB, server *jaeger.Server, id string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		traces, err := server.Find("sleep")
		if !assert.NoError(c, err) {
			return
		}
		for _, trace := range traces {
			if trace.Spans[0].Tags[requestID] == `["`+id+`"]` {
				assert.Equal(c, whole, "\n"+trace.Tree())
				return
			}
		}
		assert.Fail(c, "the trace of "+id+" is not there")
	}, patience, 50*time.Millisecond)
}
