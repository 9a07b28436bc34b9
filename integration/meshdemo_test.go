package integration_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/jaeger"
	"github.com/tracebaton/tracebaton/integration/mesh"
	"github.com/tracebaton/tracebaton/integration/process"
)

func TestMeshDemoTellsItsStoryAndServesItUntilItIsInterrupted(t *testing.T) {
	jaeger.Need(t)
	mesh.Need(t)
	require.NoError(t, process.Build(".", bin, "./cmd/meshdemo"))
	p := process.Start(t, nil, filepath.Join(bin, "meshdemo"))
	p.Line(t, func(line string) (string, bool) { return line, line == "  Ctrl-C ends it." })

	links := regexp.MustCompile(`(?m)(http://\S+)/trace/([0-9a-f]{32})$`).FindAllStringSubmatch(p.Output(), -1)
	require.Len(t, links, 4)
	for i, want := range []string{`
sleep-out: GET, server
  flaskapp-in: GET, server
`, `
flaskapp-out: GET, server
  httpbin-in: GET, server
`, wholeMesh} {
		trace, ok, err := (&jaeger.Server{URL: links[i][1]}).Trace(links[i][2])
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, want, "\n"+trace.Tree())
	}

	p.Signal(t, os.Interrupt)
	require.NoError(t, p.Wait(t))
	for _, m := range regexp.MustCompile(`(?m)(?:-in|-out|Jaeger UI) +(http://\S+)$`).FindAllStringSubmatch(p.Output(), -1) {
		refuses(t, m[1])
	}
}
