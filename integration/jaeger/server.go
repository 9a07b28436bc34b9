// Package jaeger runs the Jaeger server that users run, with the configuration
// of deploy/jaeger, and asks it what it holds.
package jaeger

import (
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/process"
)

const (
	patience = 5 * time.Minute
	tick     = 50 * time.Millisecond
)

// Server is a Jaeger on loopback. The test's end stops it.
type Server struct {
	URL string // of the UI and the query API

	// Zipkin and OTLP are where it takes spans, host:port over HTTP.
	Zipkin, OTLP string

	thrift  string
	health  string
	binary  string
	env     []string
	args    []string
	process *process.Process
}

// Need skips the test where Jaeger has not been built, and fails it in CI.
func Need(t process.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(folder(t), "bin", "jaeger")); err != nil {
		const what = "Jaeger is not built: make jaeger-build"
		if os.Getenv("CI") != "" {
			require.FailNow(t, what)
		}
		t.Skip(what)
	}
}

func folder(t process.T) string {
	t.Helper()
	return filepath.Join(process.Root(t), "deploy", "jaeger")
}

// Start starts a Jaeger that keeps its traces in the folder data, or in memory
// where data is empty, and returns once it is ready. The test [Need]s it.
func Start(t process.T, data string) *Server {
	t.Helper()
	Need(t)
	dir := folder(t)
	s := &Server{binary: filepath.Join(dir, "bin", "jaeger")}

	query, grpc := process.FreeAddr(t), process.FreeAddr(t)
	otlp, otlpGRPC := process.FreeAddr(t), process.FreeAddr(t)
	thrift, zipkin, health := process.FreeAddr(t), process.FreeAddr(t), process.FreeAddr(t)
	s.URL, s.thrift = "http://"+query, "http://"+thrift+"/api/traces"
	s.Zipkin, s.OTLP = zipkin, otlp
	s.health = "http://" + health + "/status"

	s.env = []string{"JAEGER_UI_ASSETS=" + filepath.Join(dir, "bin", "ui")}
	s.args = []string{"--config", filepath.Join(dir, "config.yaml")}
	if data != "" {
		s.env = append(s.env, "JAEGER_DATA="+data)
		s.args = append(s.args, "--config", filepath.Join(dir, "badger.yaml"))
	}
	s.args = append(s.args, "--set", "service.telemetry.logs.level=warn")
	for key, addr := range map[string]string{
		"extensions.jaeger_query.http.endpoint":           query,
		"extensions.jaeger_query.grpc.endpoint":           grpc,
		"extensions.healthcheckv2.http.endpoint":          health,
		"receivers.otlp.protocols.http.endpoint":          otlp,
		"receivers.otlp.protocols.grpc.endpoint":          otlpGRPC,
		"receivers.jaeger.protocols.thrift_http.endpoint": thrift,
		"receivers.zipkin.endpoint":                       zipkin,
	} {
		s.args = append(s.args, "--set", key+"="+addr)
	}
	s.Restart(t)
	return s
}

// Env is the environment of a service that is to send its spans here, with the
// exporter of that name, otlp or jaeger.
func (s *Server) Env(exporter string) []string {
	return []string{
		"OTEL_TRACES_EXPORTER=" + exporter,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + s.OTLP,
		"OTEL_EXPORTER_JAEGER_ENDPOINT=" + s.thrift,
	}
}

// Restart starts a server that was stopped or killed, at the same addresses,
// and returns once it is ready.
func (s *Server) Restart(t process.T) {
	t.Helper()
	s.process = process.Start(t, s.env, s.binary, s.args...)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		if !s.process.Running() {
			return // no use in waiting: reported below
		}
		resp, err := http.Get(s.health)
		if assert.NoError(c, err) {
			assert.NoError(c, resp.Body.Close())
			assert.Equal(c, http.StatusOK, resp.StatusCode)
		}
	}, patience, tick, "Jaeger does not become ready")
	require.True(t, s.process.Running(), "Jaeger has ended: perhaps another program listens at its address")
}

// Stop asks the server to end, as Kubernetes does, and waits until it has.
func (s *Server) Stop(t process.T) {
	t.Helper()
	s.process.Stop(t)
}

// Kill ends the server at once.
func (s *Server) Kill() { s.process.Kill() }

// Signal sends the server a signal.
func (s *Server) Signal(t process.T, sig os.Signal) {
	t.Helper()
	s.process.Signal(t, sig)
}
