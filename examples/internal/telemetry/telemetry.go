// Package telemetry gives the examples their traces: with an SDK the service
// makes spans of its own, without one it relays the headers that the sidecar
// needs to make them. Which of the two is the operator's choice, and the
// services do not know.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric/noop"
	otelpropagation "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

// carried is what the examples relay: what the sidecars need, and the user
// that the walkthrough's routing rules look at.
var carried = propagation.Istio().With(user)

// carriedW3C is the same where the sidecars speak W3C.
var carriedW3C = propagation.Of(propagation.RequestID, propagation.W3C, propagation.B3, propagation.OTSpanContext, user)

var user = propagation.Custom("end-user")

// Config says how a service is traced.
type Config struct {
	// Service is the service's name in its traces.
	Service string

	// Version is the service's version there. Empty is none.
	Version string

	// Exporter is where spans go: otlp (over HTTP), jaeger (Thrift over HTTP),
	// console (standard output), or none, which is no SDK at all. Empty is
	// otlp. The rest of the configuration is what the SDK and its exporters
	// read from the environment.
	Exporter string

	// Propagators is the trace format of the sidecars, by OpenTelemetry's
	// name: with tracecontext, or a list that starts with it, W3C is believed
	// where W3C and B3 name different traces. With all else, B3 is. Both are
	// read, relayed and written, whatever it says.
	Propagators string

	// Processor gets the spans in place of an exporter, unless it is nil, and
	// is shut down with the Tracing.
	Processor sdktrace.SpanProcessor

	// Sampler decides which spans are kept. Nil is what OTEL_TRACES_SAMPLER
	// says.
	Sampler sdktrace.Sampler

	// Logger is told, once a minute at most and at the end, when spans do not
	// get through. Nil is slog.Default().
	Logger *slog.Logger
}

// FromEnv returns the Config that the environment has for the service of that
// name: OTEL_SERVICE_NAME, OTEL_TRACES_EXPORTER, OTEL_PROPAGATORS, OTEL_SDK_DISABLED
// and version.
func FromEnv(getenv func(string) string, name string) Config {
	cfg := Config{
		Service:     cmp.Or(getenv("OTEL_SERVICE_NAME"), name),
		Version:     getenv("version"), // as the walkthrough's deployments have it
		Exporter:    getenv("OTEL_TRACES_EXPORTER"),
		Propagators: getenv("OTEL_PROPAGATORS"),
	}
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		cfg.Exporter = "none"
	}
	return cfg
}

// Tracing is how one service is traced. Several services in one process have
// one each. Nil and the zero value make no spans and relay.
type Tracing struct {
	provider  *sdktrace.TracerProvider
	processor sdktrace.SpanProcessor
	exporter  *exporter
	families  propagation.Families // of the propagator
}

// New returns the Tracing that cfg describes, or an error that says which
// values can be had. It does not wait for the backend. Errors of the SDK,
// which has one handler for them in a process, go to the last cfg's Logger.
func New(ctx context.Context, cfg Config) (*Tracing, error) {
	log := cmp.Or(cfg.Logger, slog.Default())
	processor := cfg.Processor
	var exp *exporter
	if processor == nil {
		backend, err := NewExporter(ctx, cfg.Exporter)
		if err != nil {
			return nil, err
		}
		if backend == nil {
			return &Tracing{}, nil
		}
		exp = quiet(backend, log)
		processor = sdktrace.NewBatchSpanProcessor(exp)
	}

	problems := &limiter{}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		problems.do(1, func(errs int) {
			log.Warn("tracing has a problem; requests are served all the same", "errors", errs, "error", err)
		})
	}))

	attrs := []attribute.KeyValue{semconv.ServiceName(cfg.Service)}
	if cfg.Version != "" {
		attrs = append(attrs, semconv.ServiceVersion(cfg.Version))
	}
	// The last one wins: a process that runs several services must be able to
	// tell them apart whatever the environment says.
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithFromEnv(), resource.WithAttributes(attrs...))
	if err != nil && !errors.Is(err, resource.ErrPartialResource) && !errors.Is(err, resource.ErrSchemaURLConflict) {
		return nil, fmt.Errorf("describe service %q for its traces: %w", cfg.Service, err)
	}
	opts := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(res),
		sdktrace.WithSpanProcessor(requestIDs{}),
		sdktrace.WithSpanProcessor(processor),
	}
	if cfg.Sampler != nil {
		opts = append(opts, sdktrace.WithSampler(cfg.Sampler))
	}
	families := carried
	if first, _, _ := strings.Cut(cfg.Propagators, ","); strings.TrimSpace(first) == "tracecontext" {
		families = carriedW3C
	}
	return &Tracing{provider: sdktrace.NewTracerProvider(opts...), processor: processor, exporter: exp, families: families}, nil
}

// MakesSpans reports whether the service makes spans of its own; if not, the
// sidecar does.
func (t *Tracing) MakesSpans() bool { return t != nil && t.provider != nil }

// Handler is middleware that joins each request to its trace. Put it directly
// around the router, or in it, so that spans are named by the route: "GET
// /env/{name}", and no more than the method where there is no route.
func (t *Tracing) Handler(next http.Handler) http.Handler {
	if !t.MakesSpans() {
		return middleware.Relay(carried)(next)
	}
	routed := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		finished := false
		defer func() {
			span := trace.SpanFromContext(r.Context())
			if route := route(r); route != "" {
				span.SetAttributes(semconv.HTTPRoute(route))
			}
			if !finished { // otelhttp does neither of these when a handler panics
				span.SetName(spanName("", r))
				span.SetStatus(codes.Error, "the response was cut off")
			}
		}()
		next.ServeHTTP(w, r)
		finished = true
	})
	return otelhttp.NewHandler(routed, "", t.options()...)
}

// spanName returns the name of the span of the request r to or from a service:
// one of not many, whatever is asked for.
func spanName(_ string, r *http.Request) string {
	method := "HTTP"
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		method = r.Method
	}
	if route := route(r); route != "" {
		return method + " " + route
	}
	return method
}

// route returns the path of the pattern that routed r, or "".
func route(r *http.Request) string {
	_, path, ok := strings.Cut(r.Pattern, "/")
	if !ok {
		return ""
	}
	return "/" + strings.TrimSuffix(path, "{$}") // which ends a ServeMux's exact path
}

// Transport returns base with what a call needs to be joined to the trace of
// the request that it is made for. Nil is http.DefaultTransport.
//
// Trace headers go wherever the call goes: the sidecar, through which it
// leaves, needs them to draw even a call to the outside. The user (end-user)
// goes to hosts inside only, because it says something about a person, and
// because only the mesh's own routing rules look at it.
func (t *Tracing) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	if !t.MakesSpans() {
		return inside{&middleware.Transport{Base: base}}
	}
	return inside{otelhttp.NewTransport(base, t.options()...)}
}

func (t *Tracing) options() []otelhttp.Option {
	return []otelhttp.Option{
		otelhttp.WithTracerProvider(t.provider),
		otelhttp.WithMeterProvider(noop.NewMeterProvider()),
		otelhttp.WithPropagators(otelprop.Propagator{Families: t.families}),
		otelhttp.WithSpanNameFormatter(spanName),
	}
}

// Context returns ctx as that of a request that came with the headers of h,
// for a caller that starts a trace or was told which one to join.
func (t *Tracing) Context(ctx context.Context, h http.Header) context.Context {
	families := carried
	if t.MakesSpans() {
		families = t.families
	}
	return otelprop.Propagator{Families: families}.Extract(ctx, otelpropagation.HeaderCarrier(h))
}

// Shutdown sends what spans there are and stops, in the time that ctx gives.
// Spans that the backend refused are lost, and the log says how many. If there was
// no more time, the error says so, and nobody counts what was left.
func (t *Tracing) Shutdown(ctx context.Context) error {
	if !t.MakesSpans() {
		return nil
	}
	if t.exporter != nil {
		defer t.exporter.giveUp()
		defer t.exporter.limit.end()
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		// If the time was up before, the provider has stopped nothing. What has
		// stopped already is not asked again.
		_ = t.processor.Shutdown(ctx)
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil
}

var internal = middleware.Internal()

// inside keeps what is carried for the mesh alone from calls that leave it.
type inside struct{ base http.RoundTripper }

func (t inside) RoundTrip(r *http.Request) (*http.Response, error) {
	if ctx := r.Context(); !internal(r) {
		r = r.WithContext(propagation.NewContext(ctx, propagation.FromContext(ctx).Only(propagation.Istio())))
	}
	return t.base.RoundTrip(r)
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (t inside) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
