package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tracebaton/tracebaton/examples/internal/egress"
	"github.com/tracebaton/tracebaton/examples/internal/flaskapp"
	"github.com/tracebaton/tracebaton/examples/internal/httpbin"
	"github.com/tracebaton/tracebaton/examples/internal/serve"
	"github.com/tracebaton/tracebaton/examples/internal/sleep"
	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
	"github.com/tracebaton/tracebaton/examples/internal/tracestore"
)

type meshConfig struct {
	store     *tracestore.Store
	collector *collector // gets the spans too, unless it is nil
	log       *slog.Logger
	front     func(instance string, service http.Handler) http.Handler
}

// mesh is the services of the walkthrough, as a cluster has them: each found
// by its name, one of them with two instances.
type mesh struct {
	cfg     meshConfig
	sleep   *sleep.Client
	hosts   map[string]*host // by the address in a URL
	tracing *telemetry.Tracing

	running sync.WaitGroup
	mu      sync.Mutex
	errs    []error
}

// host is where a name leads: to its instances in turn.
type host struct {
	addrs []string
	turn  atomic.Uint32
}

func (h *host) next() string {
	return h.addrs[int(h.turn.Add(1)-1)%len(h.addrs)]
}

// startMesh starts the services, which run until ctx is done.
func startMesh(ctx context.Context, cfg meshConfig) (m *mesh, err error) {
	ctx, cancel := context.WithCancel(ctx)
	m = &mesh{cfg: cfg, hosts: map[string]*host{"httpbin:8000": {}, "flaskapp:80": {}}}
	defer func() {
		if err != nil {
			cancel()
			err = errors.Join(err, m.wait())
		}
	}()

	inside, err := egress.Parse("flaskapp,httpbin")
	if err != nil {
		return m, err
	}
	dialer := &egress.Dialer{Policy: inside, Resolve: m.resolve}

	err = m.start(ctx, "httpbin:8000", "httpbin", "", func(t *telemetry.Tracing, log *slog.Logger) http.Handler {
		return httpbin.New(httpbin.Config{Tracing: t, Logger: log})
	})
	if err != nil {
		return m, err
	}
	for _, version := range versions {
		err := m.start(ctx, "flaskapp:80", "flaskapp", version, func(t *telemetry.Tracing, log *slog.Logger) http.Handler {
			return flaskapp.New(flaskapp.Config{
				Tracing: t,
				Logger:  log,
				Dialer:  dialer,
				// The environment of whoever runs the demo is nobody's business.
				LookupEnv: func(name string) (string, bool) { return version, name == "version" },
			})
		})
		if err != nil {
			return m, err
		}
	}

	if m.tracing, err = m.newTracing(ctx, "sleep", "", cfg.log); err != nil {
		return m, err
	}
	calls := dialer.Transport()
	calls.DisableKeepAlives = true // a connection for each call, so that each has its turn
	m.sleep = &sleep.Client{Tracing: m.tracing, Base: calls}
	return m, nil
}

var versions = []string{"v1", "v2"}

// start starts an instance of the service that the name leads to.
func (m *mesh) start(ctx context.Context, name, service, version string, handler func(*telemetry.Tracing, *slog.Logger) http.Handler) error {
	instance := service
	if version != "" {
		instance += " " + version
	}
	log := m.cfg.log.With("service", instance)
	tracing, err := m.newTracing(ctx, service, version, log)
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", instance, err), tracing.Shutdown(ctx))
	}
	m.hosts[name].addrs = append(m.hosts[name].addrs, ln.Addr().String())
	h := handler(tracing, log)
	if m.cfg.front != nil {
		h = m.cfg.front(instance, h)
	}
	s := &serve.Service{Handler: h, Tracing: tracing, Logger: log, Grace: time.Second}
	m.running.Go(func() {
		// Once the demo ends, a request that is cut off is nobody's.
		if err := s.Run(ctx, ln); ctx.Err() == nil {
			m.failed(err)
		}
	})
	return nil
}

func (m *mesh) newTracing(ctx context.Context, service, version string, log *slog.Logger) (*telemetry.Tracing, error) {
	processor := sdktrace.NewSimpleSpanProcessor(m.cfg.store)
	if m.cfg.collector != nil {
		// The collector's first: a span that the story has seen can be flushed.
		processor = both{m.cfg.collector.processor(), processor}
	}
	return telemetry.New(ctx, telemetry.Config{
		Service:   service,
		Version:   version,
		Processor: processor,
		Sampler:   sdktrace.ParentBased(sdktrace.AlwaysSample()), // whatever the environment says
		Logger:    log,
	})
}

// resolve is the mesh's DNS.
func (m *mesh) resolve(addr string) string {
	if h := m.hosts[addr]; h != nil {
		return h.next()
	}
	return ""
}

// wait waits until all services have stopped.
func (m *mesh) wait() error {
	m.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	m.failed(m.tracing.Shutdown(ctx))
	return errors.Join(m.errs...)
}

func (m *mesh) failed(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.errs = append(m.errs, err)
}
