package hop_test

import (
	"context"
	"io"
	"log"
	"net/http"

	"github.com/opentracing-contrib/go-stdlib/nethttp"
	"github.com/opentracing/opentracing-go"
	"github.com/openzipkin/zipkin-go"
	zipkinhttp "github.com/openzipkin/zipkin-go/middleware/http"
	zipkinmodel "github.com/openzipkin/zipkin-go/model"
	"github.com/uber/jaeger-client-go"
	jaegerzipkin "github.com/uber/jaeger-client-go/zipkin"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/propagators/b3"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	otelpropagation "go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

// peers are the rows, for requests that bring these headers.
func peers(set headers) []peer {
	ours := otelprop.Propagator{Families: set.families}
	rows := []peer{
		{name: "baseline"},
		relay(set.families),
		{name: "handler", copies: func(out, in http.Header) { set.families.Extract(in).Inject(out) }},
		{name: "loop", copies: loop(ours.Fields())},
		{name: "loop-bookinfo", copies: loop(bookinfo)},
		loopMiddleware(ours.Fields()),
		alone("propagator", ours),
		alone("b3", multi),
	}
	if set.name != "all" {
		rows = append(rows, peer{name: "floor", server: floorServer, client: floorClient})
	}
	for _, spans := range []struct {
		name     string
		provider trace.TracerProvider
	}{
		{"noop", nooptrace.NewTracerProvider()},
		{"unsampled", provider(sdktrace.NeverSample())},
		{"sampled", provider(sdktrace.AlwaysSample())},
	} {
		rows = append(rows,
			otel("otelhttp-"+spans.name+"-ours", spans.provider, ours),
			otel("otelhttp-"+spans.name+"-b3", spans.provider, multi))
	}
	return append(rows, zipkinGo(), openTracing())
}

func relay(f propagation.Families) peer {
	return peer{
		name:   "relay",
		server: middleware.Relay(f),
		client: func(base http.RoundTripper) http.RoundTripper { return &middleware.Transport{Base: base} },
	}
}

// bookinfo are the headers that the services of Istio's Bookinfo sample copy,
// but for those that have nothing to do with tracing.
var bookinfo = []string{
	"x-request-id", "x-ot-span-context", "x-datadog-trace-id", "x-datadog-parent-id",
	"x-datadog-sampling-priority", "traceparent", "tracestate", "x-cloud-trace-context", "grpc-trace-bin",
	"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "sw8",
}

// loop is the loop that Istio's documentation asks for, as it is written in
// Go: with the names as the documentation has them.
func loop(names []string) func(out, in http.Header) {
	return func(out, in http.Header) {
		for _, name := range names {
			if v := in.Get(name); v != "" {
				out.Set(name, v)
			}
		}
	}
}

// loopMiddleware is the same loop as it is written so that nobody has to call
// it: from the request into the context, and from there into every call.
func loopMiddleware(names []string) peer {
	type key struct{}
	return peer{
		name: "loop-middleware",
		server: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				kept := make(map[string]string)
				for _, name := range names {
					if v := r.Header.Get(name); v != "" {
						kept[name] = v
					}
				}
				next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, kept)))
			})
		},
		client: func(base http.RoundTripper) http.RoundTripper {
			return roundTripFunc(func(r *http.Request) (*http.Response, error) {
				kept, _ := r.Context().Value(key{}).(map[string]string)
				r = r.Clone(r.Context()) // a RoundTripper must not change the caller's
				for name, v := range kept {
					r.Header.Set(name, v)
				}
				return base.RoundTrip(r)
			})
		},
	}
}

// multi is contrib/b3, answering in the format that sidecars speak.
var multi = b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader))

// alone is a propagator in a service without spans: what came in is taken out
// of the request and put into the call.
func alone(name string, p otelpropagation.TextMapPropagator) peer {
	return peer{
		name: name,
		server: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx := p.Extract(r.Context(), otelpropagation.HeaderCarrier(r.Header))
				next.ServeHTTP(w, r.WithContext(ctx))
			})
		},
		client: func(base http.RoundTripper) http.RoundTripper {
			return roundTripFunc(func(r *http.Request) (*http.Response, error) {
				r = r.Clone(r.Context()) // a RoundTripper must not change the caller's
				p.Inject(r.Context(), otelpropagation.HeaderCarrier(r.Header))
				return base.RoundTrip(r)
			})
		},
	}
}

func otel(name string, provider trace.TracerProvider, p otelpropagation.TextMapPropagator) peer {
	options := []otelhttp.Option{
		otelhttp.WithTracerProvider(provider),
		otelhttp.WithMeterProvider(noopmetric.NewMeterProvider()),
		otelhttp.WithPropagators(p),
	}
	return peer{
		name:   name,
		server: func(next http.Handler) http.Handler { return otelhttp.NewHandler(next, "hop", options...) },
		client: func(base http.RoundTripper) http.RoundTripper { return otelhttp.NewTransport(base, options...) },
	}
}

func provider(s sdktrace.Sampler) trace.TracerProvider {
	return sdktrace.NewTracerProvider(sdktrace.WithSampler(s), sdktrace.WithSpanProcessor(nowhere{}))
}

// nowhere is an exporter that costs nothing.
type nowhere struct{}

func (nowhere) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (nowhere) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (nowhere) Shutdown(context.Context) error                  { return nil }
func (nowhere) ForceFlush(context.Context) error                { return nil }

// zipkinGo is zipkin-go's middleware, with a reporter that drops the spans.
func zipkinGo() peer {
	tracer, err := zipkin.NewTracer(dropSpans{})
	if err != nil {
		panic(err)
	}
	return peer{
		name:   "zipkin-go",
		server: zipkinhttp.NewServerMiddleware(tracer),
		client: func(base http.RoundTripper) http.RoundTripper {
			t, err := zipkinhttp.NewTransport(tracer, zipkinhttp.RoundTripper(base),
				zipkinhttp.TransportLogger(log.New(io.Discard, "", 0)))
			if err != nil {
				panic(err)
			}
			return t
		},
	}
}

type dropSpans struct{}

func (dropSpans) Send(zipkinmodel.SpanModel) {}
func (dropSpans) Close() error               { return nil }

// openTracing is opentracing-contrib's middleware over jaeger-client-go, which
// speaks B3 here and drops its spans.
func openTracing() peer {
	b3 := jaegerzipkin.NewZipkinB3HTTPHeaderPropagator()
	tracer, _ := jaeger.NewTracer("hop", jaeger.NewConstSampler(true), jaeger.NewNullReporter(),
		jaeger.TracerOptions.Injector(opentracing.HTTPHeaders, b3),
		jaeger.TracerOptions.Extractor(opentracing.HTTPHeaders, b3),
		jaeger.TracerOptions.ZipkinSharedRPCSpan(true),
		jaeger.TracerOptions.Gen128Bit(true))
	return peer{
		name:   "opentracing",
		server: func(next http.Handler) http.Handler { return nethttp.Middleware(tracer, next) },
		client: func(base http.RoundTripper) http.RoundTripper {
			t := &nethttp.Transport{RoundTripper: base}
			return roundTripFunc(func(r *http.Request) (*http.Response, error) {
				r, trace := nethttp.TraceRequest(tracer, r)
				defer trace.Finish()
				return t.RoundTrip(r)
			})
		},
	}
}
