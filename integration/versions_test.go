package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A service that imports the library builds with the versions that it had
// before, and its go.mod keeps them.
func TestImportingTheLibraryRaisesNobodysVersions(t *testing.T) {
	const library = "github.com/tracebaton/tracebaton"
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	for name, row := range map[string]struct {
		goLine  string
		module  string // of the library, below its root
		require []string
		main    string
	}{
		"the middleware beside testify 1.8": {
			goLine:  "1.24.0",
			require: []string{"github.com/stretchr/testify v1.8.0"},
			main: `import (
	"net/http"
	"os"

	_ "github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func main() {
	if len(os.Args) > 1 {
		_ = http.ListenAndServe(os.Args[1], middleware.Relay(propagation.Istio())(http.NotFoundHandler()))
	}
}
`,
		},
		"the propagator beside OpenTelemetry 1.42": {
			goLine: "1.25.0", module: "propagation/otelprop",
			require: []string{"go.opentelemetry.io/otel v1.42.0", "go.opentelemetry.io/otel/sdk v1.42.0"},
			main: `import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

func main() {
	otel.SetTracerProvider(trace.NewTracerProvider())
	otel.SetTextMapPropagator(otelprop.Propagator{})
}
`,
		},
		"the interceptors beside gRPC 1.63": {
			goLine: "1.24.0", module: "middleware/grpcrelay",
			require: []string{"google.golang.org/grpc v1.63.2"},
			main: `import (
	"google.golang.org/grpc"

	"github.com/tracebaton/tracebaton/middleware/grpcrelay"
	"github.com/tracebaton/tracebaton/propagation"
)

func main() {
	grpc.NewServer(grpc.ChainUnaryInterceptor(grpcrelay.UnaryServerInterceptor(propagation.Istio()))).Stop()
}
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			run := func(args ...string) string {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), "go", args...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "go %s\n%s", strings.Join(args, " "), out)
				return string(out)
			}
			mod := "module example.com/consumer\n\ngo " + row.goLine + "\n\nrequire (\n\t" + strings.Join(row.require, "\n\t") + "\n)\n" +
				"\nreplace " + library + " => " + root + "\n"
			if row.module != "" {
				mod += "\nreplace " + library + "/" + row.module + " => " + filepath.Join(root, row.module) + "\n"
			}
			require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\n"+row.main), 0o600))
			run("mod", "tidy")
			run("build", "-o", filepath.Join(dir, "consumer"), ".")

			for _, module := range row.require {
				path, version, _ := strings.Cut(module, " ")
				assert.Equal(t, path+" "+version, strings.TrimSpace(run("list", "-m", path)))
			}
			after, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			require.NoError(t, err)
			assert.Contains(t, string(after), "\ngo "+row.goLine+"\n")
		})
	}
}
