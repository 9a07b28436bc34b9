package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/exporters/jaeger" //nolint:staticcheck // retired, and here for collectors that are as old
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// NewExporter returns the exporter that has this name in [Config], configured
// by the environment, or nil for none. It connects when it has spans to send.
func NewExporter(ctx context.Context, name string) (exp sdktrace.SpanExporter, err error) {
	switch name {
	case "", "otlp":
		exp, err = newOTLP(ctx)
	case "jaeger":
		if _, err = endpoint("OTEL_EXPORTER_JAEGER_ENDPOINT"); err == nil {
			exp, err = jaeger.New(jaeger.WithCollectorEndpoint())
		}
	case "console":
		exp, err = stdouttrace.New()
	case "none":
		return nil, nil
	default:
		return nil, fmt.Errorf("no traces exporter is called %q: set OTEL_TRACES_EXPORTER to otlp, jaeger, console or none", name)
	}
	if err != nil {
		return nil, fmt.Errorf("set up traces exporter %s: %w", cmp.Or(name, "otlp"), err)
	}
	return exp, nil
}

func newOTLP(ctx context.Context) (sdktrace.SpanExporter, error) {
	protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"))
	if protocol != "" && !strings.HasPrefix(protocol, "http/") {
		return nil, fmt.Errorf("protocol %q is not built in: set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf and the endpoint to the collector's port for it, usually 4318", protocol)
	}
	to, err := endpoint("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	if err != nil {
		return nil, err
	}
	opts := []otlptracehttp.Option{
		// The queue is drained by one goroutine: a batch that is tried for
		// long costs those behind it their place.
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled:         true,
			InitialInterval: time.Second,
			MaxInterval:     5 * time.Second,
			MaxElapsedTime:  15 * time.Second,
		}),
	}
	if to == "" {
		// The specification's default; the exporter's own has https.
		opts = append(opts, otlptracehttp.WithEndpointURL("http://localhost:4318/v1/traces"))
	}
	return otlptracehttp.New(ctx, opts...)
}

// endpoint returns the URL that the first of these variables has that is set,
// or "" if none is. The exporters would notice a bad one with the first
// spans only, or never say so.
func endpoint(names ...string) (string, error) {
	for _, name := range names {
		value := strings.TrimSpace(os.Getenv(name))
		if value == "" {
			continue
		}
		u, err := url.Parse(value)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			return "", fmt.Errorf("read %s: %q is no URL: begin it with http:// or https:// and the host", name, value)
		}
		return value, nil
	}
	return "", nil
}

// exporter says in the log what its backend makes of the spans, and does not
// outlive the time that it is given to stop.
type exporter struct {
	sdktrace.SpanExporter
	log    *slog.Logger
	limit  limiter
	giveUp context.CancelFunc
	ctx    context.Context // of all exports
}

func quiet(backend sdktrace.SpanExporter, log *slog.Logger) *exporter {
	e := &exporter{SpanExporter: backend, log: log}
	e.ctx, e.giveUp = context.WithCancel(context.Background()) //nolint:gosec // Tracing.Shutdown calls it
	return e
}

// ExportSpans sends the spans, or logs why they are lost. It returns no error,
// since the SDK could do no more about it.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.limit.do(len(spans), func(lost int) {
			e.log.Warn("spans do not get through; requests are served all the same", "spans_lost", lost, "error", err)
		})
	}
	return nil
}

// limiter lets something be said once a minute at most. The zero value is
// ready to use.
type limiter struct {
	mu    sync.Mutex
	last  time.Time
	sum   int
	held  func(sum int) // what was not said, or nil
	ended bool
}

// do calls say, with n and the ns of the calls since it last did, unless it
// did within the last minute.
func (l *limiter) do(n int, say func(sum int)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum += n
	l.held = say
	if l.ended || l.last.IsZero() || time.Since(l.last) >= time.Minute {
		l.say()
	}
}

// end says what was held back, and from then on nothing is: there may be no
// later to say it.
func (l *limiter) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.held != nil {
		l.say()
	}
}

func (l *limiter) say() {
	l.held(l.sum)
	l.last, l.sum, l.held = time.Now(), 0, nil
}
