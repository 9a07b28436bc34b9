// Package mesh runs the services of the walkthrough as a mesh has them: each
// behind sidecars, which make the spans.
//
//	sleep -> sleep-out -> flaskapp-in -> flaskapp -> flaskapp-out -> httpbin-in -> httpbin
//
// Nothing takes the services' calls away from them as iptables does in a pod:
// the URLs that they are given lead to their outbound sidecars.
package mesh

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/jaeger"
	"github.com/tracebaton/tracebaton/integration/process"
)

// Pod is how a service and its sidecars are run. The zero value is a service
// that makes no spans, beside sidecars that speak B3 in several headers.
type Pod struct {
	// Propagators are the trace headers that its sidecars read and write, as
	// OTEL_PROPAGATORS has them. Empty is b3multi.
	Propagators string

	// SDK is whether the service makes spans, too.
	SDK bool

	// Env is the service's environment beside that.
	Env []string
}

// Config is how the pods of a Mesh are run.
type Config struct{ Sleep, Flaskapp, HTTPBin Pod }

// Mesh is the pods, running.
type Mesh struct {
	// Sidecars in the order in which a request passes them.
	SleepOut, FlaskappIn, FlaskappOut, HTTPBinIn *Sidecar

	root              string
	collector         []string // environment of all that send spans there
	sleep             Pod
	flaskapp, httpbin *process.Process
}

// Sidecar is one of a pod's sidecars.
type Sidecar struct {
	Name    string
	Addr    string
	process *process.Process
}

// Hop is a request at a sidecar, as its access log has it.
type Hop struct {
	RequestID string `json:"request_id"`
	TraceID   string
	SpanID    string
	Status    int
}

// Need skips the test where the sidecar has not been built, and fails it in CI.
func Need(t process.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(process.Root(t), "deploy", "sidecar", "bin", "caddy")); err != nil {
		const what = "the sidecar is not built: make sidecar-build"
		if os.Getenv("CI") != "" {
			require.FailNow(t, what)
		}
		t.Skip(what)
	}
}

// Start starts the pods and returns once they take requests. The spans of all
// go to the server. The test [Need]s the sidecar.
func Start(t process.T, server *jaeger.Server, cfg Config) *Mesh {
	t.Helper()
	Need(t)
	root := process.Root(t)
	require.NoError(t, process.Build(filepath.Join(root, "examples"), filepath.Join(root, "integration", "bin"), "./flaskapp", "./httpbin", "./sleep"))
	m := &Mesh{
		root:      root,
		collector: append(server.Env("otlp"), "OTEL_BSP_SCHEDULE_DELAY=100"), // ms
		sleep:     cfg.Sleep,
	}
	var addr string
	m.httpbin, addr = m.service(t, "httpbin", cfg.HTTPBin)
	m.HTTPBinIn = m.sidecar(t, "httpbin-in", cfg.HTTPBin, addr)
	m.FlaskappOut = m.sidecar(t, "flaskapp-out", cfg.Flaskapp, m.HTTPBinIn.Addr)
	m.flaskapp, addr = m.service(t, "flaskapp", cfg.Flaskapp)
	m.FlaskappIn = m.sidecar(t, "flaskapp-in", cfg.Flaskapp, addr)
	m.SleepOut = m.sidecar(t, "sleep-out", cfg.Sleep, m.FlaskappIn.Addr)
	return m
}

func (m *Mesh) service(t process.T, name string, pod Pod) (p *process.Process, addr string) {
	t.Helper()
	p = process.Start(t, m.env(pod), filepath.Join(m.root, "integration", "bin", name), "-addr", "127.0.0.1:0")
	addr = p.Line(t, func(line string) (string, bool) {
		var entry struct{ Msg, Addr string }
		return entry.Addr, json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening"
	})
	return p, addr
}

// env is the environment of the pod's service.
func (m *Mesh) env(pod Pod) []string {
	env := []string{
		"FETCH_ALLOW=127.0.0.0/8",
		"OTEL_PROPAGATORS=" + pod.Propagators,
	}
	env = append(env, m.collector...)
	if !pod.SDK {
		env = append(env, "OTEL_TRACES_EXPORTER=none")
	}
	return append(env, pod.Env...)
}

func (m *Mesh) sidecar(t process.T, name string, pod Pod, upstream string) *Sidecar {
	t.Helper()
	dir := filepath.Join(m.root, "deploy", "sidecar")
	s := &Sidecar{Name: name, Addr: process.FreeAddr(t)}
	env := append([]string{
		"SIDECAR_LISTEN=" + s.Addr,
		"SIDECAR_UPSTREAM=" + upstream,
		"OTEL_SERVICE_NAME=" + name,
		"OTEL_PROPAGATORS=" + cmp.Or(pod.Propagators, "b3multi"),
	}, m.collector...)
	s.process = process.Start(t, env, filepath.Join(dir, "bin", "caddy"), "run", "--config", filepath.Join(dir, "Caddyfile"))
	s.process.Line(t, func(line string) (string, bool) {
		return line, strings.Contains(line, "serving initial configuration")
	})
	return s
}

// Sidecars are all of them, in the order in which a request passes them.
func (m *Mesh) Sidecars() []*Sidecar {
	return []*Sidecar{m.SleepOut, m.FlaskappIn, m.FlaskappOut, m.HTTPBinIn}
}

// URL is where sleep calls the route of flaskapp, to have it fetch the path
// from httpbin, each through its sidecar.
func (m *Mesh) URL(route, path string) string {
	return "http://" + m.SleepOut.Addr + route + "?url=http://" + m.FlaskappOut.Addr + path
}

// Fetch runs sleep fetch with the arguments to its end, and returns what it
// printed on standard output. Every call must have been answered.
func (m *Mesh) Fetch(t process.T, args ...string) string {
	t.Helper()
	p := process.Start(t, m.env(m.sleep), filepath.Join(m.root, "integration", "bin", "sleep"), append([]string{"fetch"}, args...)...)
	require.NoError(t, p.Wait(t), "sleep fetch:\n%s", p.Output())
	return p.Stdout()
}

// Stop asks all to end and waits until they have, all their spans sent and all
// their logs written.
func (m *Mesh) Stop(t process.T) {
	t.Helper()
	m.flaskapp.Stop(t)
	m.httpbin.Stop(t)
	for _, s := range m.Sidecars() {
		s.process.Stop(t)
	}
}

// Hops are the requests that the sidecar has logged, in the order of their end.
// That is soon after the caller has the answer.
func (s *Sidecar) Hops() []Hop {
	var hops []Hop
	for line := range strings.Lines(s.process.Output()) {
		var entry struct {
			Logger string
			Hop
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Logger == "http.log.access" {
			hops = append(hops, entry.Hop)
		}
	}
	return hops
}
