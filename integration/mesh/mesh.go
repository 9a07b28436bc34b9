// Package mesh runs the services of the walkthrough as a mesh has them: each
// beside an Envoy, which makes the spans.
//
//	sleep -> sleep-out -> flaskapp-in -> flaskapp -> flaskapp-out -> httpbin-in -> httpbin
//
// Nothing takes the services' calls away from them as iptables does in a pod:
// the URLs that they are given lead to their Envoy's outbound listener.
package mesh

import (
	"path/filepath"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/envoy"
	"github.com/tracebaton/tracebaton/integration/jaeger"
	"github.com/tracebaton/tracebaton/integration/process"
)

// Pod is how a service and its Envoy are run. The zero value is a service that
// makes no spans, beside an Envoy that speaks B3 and keeps every trace.
type Pod struct {
	// Tracer is whose trace headers its Envoy reads and writes.
	Tracer envoy.Tracer

	// Sampling is the percentage of the traces that begin in its Envoy that
	// are kept. Empty is 100.
	Sampling string

	// SDK is whether the service makes spans, too.
	SDK bool

	// Env is the service's environment beside that.
	Env []string
}

// Config is how a Mesh is run.
type Config struct {
	Sleep, Flaskapp, HTTPBin Pod

	// Envoy is the binary. The zero value is the one that [envoy.Need] returns.
	Envoy envoy.Binary
}

// Mesh is the pods, running.
type Mesh struct {
	// Sidecars in the order in which a request passes them.
	SleepOut, FlaskappIn, FlaskappOut, HTTPBinIn *Sidecar

	root              string
	collector         []string // environment of the services that send spans there
	sleep             Pod
	envoys            []*envoy.Proxy
	flaskapp, httpbin *process.Process
}

// Sidecar is a listener of a pod's Envoy: the way into the pod, or out of it.
type Sidecar struct {
	Name  string
	Addr  string
	envoy *envoy.Proxy
}

// Start starts the pods and returns once they take requests. The spans of all
// go to the server. The test needs an [envoy.Binary].
func Start(t process.T, server *jaeger.Server, cfg Config) *Mesh {
	t.Helper()
	if cfg.Envoy.Path == "" {
		cfg.Envoy = envoy.Need(t)
	}
	root := process.Root(t)
	require.NoError(t, process.Build(filepath.Join(root, "examples"), filepath.Join(root, "integration", "bin"), "./flaskapp", "./httpbin", "./sleep"))
	m := &Mesh{
		root:      root,
		collector: append(server.Env("otlp"), "OTEL_BSP_SCHEDULE_DELAY=100"), // ms
		sleep:     cfg.Sleep,
	}
	start := func(app string, pod Pod, listeners ...envoy.Listener) *envoy.Proxy {
		for i := range listeners {
			listeners[i].Tracer, listeners[i].Sampling = pod.Tracer, pod.Sampling
		}
		p := envoy.Start(t, cfg.Envoy, envoy.Config{
			// As Istio calls it: the app label and the namespace.
			Service:   app + ".tracebaton",
			Listeners: listeners,
			Zipkin:    server.Zipkin,
			OTLP:      server.OTLP,
		})
		m.envoys = append(m.envoys, p)
		return p
	}
	const toFlaskapp, toHTTPBin = "flaskapp:80/*", "httpbin:8000/*"

	var addr string
	m.httpbin, addr = m.service(t, "httpbin", cfg.HTTPBin)
	httpbin := start("httpbin", cfg.HTTPBin,
		envoy.Listener{Name: "httpbin-in", Inbound: true, Upstream: addr, Operation: toHTTPBin})
	m.HTTPBinIn = &Sidecar{"httpbin-in", httpbin.Addr("httpbin-in"), httpbin}

	m.flaskapp, addr = m.service(t, "flaskapp", cfg.Flaskapp)
	flaskapp := start("flaskapp", cfg.Flaskapp,
		envoy.Listener{Name: "flaskapp-in", Inbound: true, Upstream: addr, Operation: toFlaskapp},
		envoy.Listener{Name: "flaskapp-out", Upstream: m.HTTPBinIn.Addr, Operation: toHTTPBin})
	m.FlaskappOut = &Sidecar{"flaskapp-out", flaskapp.Addr("flaskapp-out"), flaskapp}
	m.FlaskappIn = &Sidecar{"flaskapp-in", flaskapp.Addr("flaskapp-in"), flaskapp}

	sleep := start("sleep", cfg.Sleep,
		envoy.Listener{Name: "sleep-out", Upstream: m.FlaskappIn.Addr, Operation: toFlaskapp})
	m.SleepOut = &Sidecar{"sleep-out", sleep.Addr("sleep-out"), sleep}
	return m
}

func (m *Mesh) service(t process.T, name string, pod Pod) (p *process.Process, addr string) {
	t.Helper()
	p = process.Start(t, m.env(pod), filepath.Join(m.root, "integration", "bin", name), "-addr", "127.0.0.1:0")
	return p, p.Addr(t)
}

// propagators are the formats that the services beside an Envoy begin traces
// in: those that it reads.
var propagators = map[envoy.Tracer]string{
	envoy.OpenTelemetry: "tracecontext,b3multi",
	envoy.ZipkinW3C:     "b3multi,tracecontext",
}

// env is the environment of the pod's service.
func (m *Mesh) env(pod Pod) []string {
	env := []string{
		"FETCH_ALLOW=127.0.0.0/8",
		"OTEL_PROPAGATORS=" + propagators[pod.Tracer],
	}
	env = append(env, m.collector...)
	if !pod.SDK {
		env = append(env, "OTEL_TRACES_EXPORTER=none")
	}
	return append(env, pod.Env...)
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
	for _, e := range m.envoys {
		e.Settle(t)
	}
	for _, e := range m.envoys {
		e.Stop(t)
	}
}

// Hops are the requests that the sidecar has logged, in the order of their end.
// That is soon after the caller has the answer.
func (s *Sidecar) Hops() []envoy.Hop { return s.envoy.Hops(s.Name) }
