// Package serve runs the examples' HTTP services: it listens, logs, answers
// health checks, and stops without losing a request or a span.
package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
)

// Service is an HTTP service. Only the handler is required.
type Service struct {
	// Handler answers all requests but those for /healthz and /readyz, which
	// are neither traced nor logged.
	Handler http.Handler

	// Tracing is shut down when the last request is answered. Nil is none.
	Tracing *telemetry.Tracing

	// Logger is where the service says what happens. Nil is slog.Default().
	Logger *slog.Logger

	// WriteTimeout is how long an answer may take. Zero is a minute.
	WriteTimeout time.Duration

	// Delay is how long a service that was told to stop still takes new
	// requests, while /readyz says 503 so that no more of them are sent.
	Delay time.Duration

	// Grace is how long requests may take to finish after that. Zero is 20
	// seconds, which with the 5 that the last spans get is less than the 30
	// that Kubernetes waits.
	Grace time.Duration
}

// flushTimeout is how long the last spans may take to be sent.
const flushTimeout = 5 * time.Second

// Run serves what comes in at ln, which it closes, until ctx is done; then it
// lets the requests that it took finish and sends the last spans. The error is
// nil if no request was cut off.
func (s *Service) Run(ctx context.Context, ln net.Listener) error {
	log := cmp.Or(s.Logger, slog.Default())

	var stopping atomic.Bool
	server := &http.Server{
		Handler:           health(&stopping, s.Handler),
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      cmp.Or(s.WriteTimeout, time.Minute),
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	log.Info("listening", "addr", ln.Addr().String())

	var errs []error
	select {
	case err := <-served:
		errs = append(errs, fmt.Errorf("serve: %w", err))
	case <-ctx.Done():
		stopping.Store(true)
		log.Info("stopping")
		time.Sleep(s.Delay)
		errs = append(errs, s.drain(server))
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, fmt.Errorf("serve: %w", err))
		}
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := s.Tracing.Shutdown(ctx); err != nil {
		log.Warn("some spans are lost", "error", err)
	}
	return errors.Join(errs...)
}

// drain waits for the requests that were taken, and cuts off those that do not
// finish in time.
func (s *Service) drain(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(s.Grace, 20*time.Second))
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("wait for the last requests: %w", err), server.Close())
	}
	return nil
}

// health answers the health checks, and lets next answer the rest. It is no
// http.ServeMux, which would name the route of every request before its own
// service does.
func health(stopping *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, text := http.StatusOK, "ok"
		switch r.URL.Path {
		case "/healthz":
		case "/readyz":
			if stopping.Load() {
				status, text = http.StatusServiceUnavailable, "stopping"
			}
		default:
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	})
}
