package integration_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/envoy"
	"github.com/tracebaton/tracebaton/integration/jaeger"
	"github.com/tracebaton/tracebaton/integration/process"
)

func TestMeshDemo(t *testing.T) {
	jaeger.Need(t)
	binary := envoy.Need(t)
	require.NoError(t, process.Build(".", bin, "./cmd/meshdemo"))
	env := []string{"ENVOY=" + binary.Path}

	t.Run("tells its story and serves it until it is interrupted", func(t *testing.T) {
		p := process.Start(t, env, filepath.Join(bin, "meshdemo"))
		p.Line(t, func(line string) (string, bool) { return line, line == "  Ctrl-C ends it." })

		links := regexp.MustCompile(`(?m)(http://\S+)/trace/([0-9a-f]{32})$`).FindAllStringSubmatch(p.Output(), -1)
		require.Len(t, links, 4)
		for i, want := range []string{meshBeforeFlaskapp, meshAfterFlaskapp, wholeMesh} {
			trace, ok, err := (&jaeger.Server{URL: links[i][1]}).Trace(links[i][2])
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, want, "\n"+trace.Tree())
		}

		printed := commands(p)
		require.Len(t, printed, 6, printed)
		for _, command := range printed {
			out, err := paste(t, command)
			require.NoError(t, err, "%s\n%s", command, out)
			require.NotContains(t, out, "spans do not get through", command)
		}

		p.Signal(t, os.Interrupt)
		require.NoError(t, p.Wait(t))
		for _, m := range regexp.MustCompile(`(?m)(?:-in|-out|Jaeger UI) +(http://\S+)$`).FindAllStringSubmatch(p.Output(), -1) {
			refuses(t, m[1])
		}
	})

	for _, format := range []string{"w3c", "b3+w3c"} {
		t.Run("tells it in "+format, func(t *testing.T) {
			p := process.Start(t, env, filepath.Join(bin, "meshdemo"), "-once", "-format", format)
			require.NoError(t, p.Wait(t), p.Output())
			require.Contains(t, p.Output(), "traceparent")
			require.Empty(t, commands(p), "for what is gone")
		})
	}
}
