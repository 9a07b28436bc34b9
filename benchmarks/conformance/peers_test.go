// Package conformance_test runs the conformance kit on this library and on what
// else there is, and keeps docs/conformance.md true.
package conformance_test

import (
	"io"
	"log"
	"net/http"
	"sync"

	zipkin "github.com/openzipkin/zipkin-go"
	zipkinhttp "github.com/openzipkin/zipkin-go/middleware/http"
	"github.com/openzipkin/zipkin-go/reporter/recorder"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/propagators/b3"
	otelpropagation "go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
	"github.com/tracebaton/tracebaton/propagation/propagationtest"
)

// peer is a way to pass headers on.
type peer struct {
	name    string
	what    string
	ours    bool
	service func() propagationtest.Service
}

var (
	onlyB3  = propagation.Of(propagation.B3)
	onlyW3C = propagation.Of(propagation.W3C)
	multi   = b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader))
)

// peers are tested for what they promise: some know nothing of x-request-id.
var peers = []peer{
	{
		name: "Relay and Transport", ours: true,
		what: "`middleware.Relay` and `middleware.Transport` with `Match: middleware.Internal()`; promises Istio's families, and that they stay inside the cluster",
		service: func() propagationtest.Service {
			s := wrapped(propagation.Istio(), middleware.Relay(propagation.Istio()), func(base http.RoundTripper) http.RoundTripper {
				return &middleware.Transport{Base: base, Match: middleware.Internal()}
			})
			s.Match = middleware.Internal()
			return s
		},
	},
	{
		name: "Propagator, no SDK", ours: true,
		what:    "otelhttp with `otelprop.Propagator{}` and no SDK; promises Istio's families",
		service: func() propagationtest.Service { return unsampled(propagation.Istio(), otelprop.Propagator{}) },
	},
	{
		name: "Propagator, SDK drops spans", ours: true,
		what:    "the same with an SDK that samples nothing",
		service: func() propagationtest.Service { return dropped(propagation.Istio(), otelprop.Propagator{}) },
	},
	{
		name: "Propagator, SDK samples", ours: true,
		what:    "the same with an SDK that samples",
		service: func() propagationtest.Service { return sampled(propagation.Istio(), otelprop.Propagator{}) },
	},
	{
		name:    "contrib b3, no SDK",
		what:    "otelhttp with contrib/propagators/b3, set to write `x-b3-*`, and no SDK; promises B3",
		service: func() propagationtest.Service { return unsampled(onlyB3, multi) },
	},
	{
		name:    "contrib b3, SDK drops spans",
		what:    "the same with an SDK that samples nothing",
		service: func() propagationtest.Service { return dropped(onlyB3, multi) },
	},
	{
		name:    "contrib b3, SDK samples",
		what:    "the same with an SDK that samples",
		service: func() propagationtest.Service { return sampled(onlyB3, multi) },
	},
	{
		name:    "TraceContext, no SDK",
		what:    "otelhttp with OpenTelemetry's own TraceContext and no SDK; promises W3C",
		service: func() propagationtest.Service { return unsampled(onlyW3C, otelpropagation.TraceContext{}) },
	},
	{
		name:    "TraceContext, SDK drops spans",
		what:    "the same with an SDK that samples nothing",
		service: func() propagationtest.Service { return dropped(onlyW3C, otelpropagation.TraceContext{}) },
	},
	{
		name:    "TraceContext, SDK samples",
		what:    "the same with an SDK that samples",
		service: func() propagationtest.Service { return sampled(onlyW3C, otelpropagation.TraceContext{}) },
	},
	{
		name:    "zipkin-go",
		what:    "zipkin-go's server middleware and transport, all sampled; promises B3",
		service: zipkinGo,
	},
	{
		name:    "copy loop",
		what:    "a loop that does `out.Header.Set(name, in.Header.Get(name))` for the names of Istio's documentation and those of newer sidecars; promises Istio's families",
		service: func() propagationtest.Service { return loop(false) },
	},
	{
		name:    "careful copy loop",
		what:    "the same with `if in.Header.Get(name) != \"\"`",
		service: func() propagationtest.Service { return loop(true) },
	},
}

// wrapped is a service between a middleware and a transport.
func wrapped(f propagation.Families, server func(http.Handler) http.Handler, client func(http.RoundTripper) http.RoundTripper) propagationtest.Service {
	return propagationtest.Service{
		Families: f,
		Handler: func(upstream string, c *http.Client) http.Handler {
			c.Transport = client(c.Transport)
			return server(fetch(upstream, c, nil))
		},
	}
}

// fetch answers with what the upstream does.
func fetch(upstream string, client *http.Client, headers func(out, in http.Header)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, upstream, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if headers != nil {
			headers(req.Header, r.Header)
		}
		res, err := client.Do(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = res.Body.Close() }()
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body)
	})
}

func instrumented(f propagation.Families, p otelpropagation.TextMapPropagator, provider trace.TracerProvider) propagationtest.Service {
	options := []otelhttp.Option{otelhttp.WithTracerProvider(provider), otelhttp.WithPropagators(p)}
	return wrapped(f, func(next http.Handler) http.Handler {
		return otelhttp.NewHandler(next, "fetch", options...)
	}, func(base http.RoundTripper) http.RoundTripper {
		return otelhttp.NewTransport(base, options...)
	})
}

func unsampled(f propagation.Families, p otelpropagation.TextMapPropagator) propagationtest.Service {
	return instrumented(f, p, noop.NewTracerProvider())
}

func dropped(f propagation.Families, p otelpropagation.TextMapPropagator) propagationtest.Service {
	s := instrumented(f, p, sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())))
	s.Spans = propagationtest.DroppedSpans
	return s
}

func sampled(f propagation.Families, p otelpropagation.TextMapPropagator) propagationtest.Service {
	spans := tracetest.NewSpanRecorder()
	s := instrumented(f, p, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	s.Spans = propagationtest.OwnSpans
	s.Parent = func(spanID string) (string, bool) {
		for _, span := range spans.Ended() {
			switch parent := span.Parent().SpanID(); {
			case span.SpanContext().SpanID().String() != spanID:
			case parent.IsValid():
				return parent.String(), true
			default:
				return "", true
			}
		}
		return "", false
	}
	return s
}

func zipkinGo() propagationtest.Service {
	spans := recorder.NewReporter()
	tracer, err := zipkin.NewTracer(spans, zipkin.WithTraceID128Bit(true))
	if err != nil {
		panic(err)
	}
	s := wrapped(onlyB3, zipkinhttp.NewServerMiddleware(tracer), func(base http.RoundTripper) http.RoundTripper {
		t, err := zipkinhttp.NewTransport(tracer, zipkinhttp.RoundTripper(base), zipkinhttp.TransportLogger(log.New(io.Discard, "", 0)))
		if err != nil {
			panic(err)
		}
		return t
	})
	s.Spans = propagationtest.OwnSpans
	var mu sync.Mutex
	parents := make(map[string]string)
	s.Parent = func(spanID string) (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		for _, span := range spans.Flush() { // hands each over once
			// A server's span shares its ID with the client's that called it.
			if span.ParentID != nil && !span.Shared {
				parents[span.ID.String()] = span.ParentID.String()
			} else if _, ok := parents[span.ID.String()]; !ok {
				parents[span.ID.String()] = ""
			}
		}
		parent, ok := parents[spanID]
		return parent, ok
	}
	return s
}

// loop copies headers by hand.
func loop(careful bool) propagationtest.Service {
	names := []string{
		"x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "b3",
		"traceparent", "tracestate", "x-ot-span-context",
	}
	return propagationtest.Service{Handler: func(upstream string, client *http.Client) http.Handler {
		return fetch(upstream, client, func(out, in http.Header) {
			for _, name := range names {
				if v := in.Get(name); v != "" || !careful {
					out.Set(name, v)
				}
			}
		})
	}}
}
