package examples_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/propagators/b3"
	otelpropagation "go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tracebaton/tracebaton/examples/internal/egress"
	"github.com/tracebaton/tracebaton/examples/internal/flaskapp"
	"github.com/tracebaton/tracebaton/examples/internal/httpbin"
	"github.com/tracebaton/tracebaton/examples/internal/sleep"
	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
	judge "github.com/tracebaton/tracebaton/internal/hop"
	"github.com/tracebaton/tracebaton/internal/lab"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
	"github.com/tracebaton/tracebaton/propagation/propagationtest"
)

// The conformance kit tests services that call others on behalf of those who
// call them. Of the three services only flaskapp does: sleep is where a request
// begins, and httpbin where it ends.

// parents returns what propagationtest.Service.Parent asks of a recorder.
func parents(r *tracetest.SpanRecorder) func(spanID string) (string, bool) {
	return func(spanID string) (string, bool) {
		for _, span := range r.Ended() {
			if span.SpanContext().SpanID().String() != spanID {
				continue
			}
			if !span.Parent().SpanID().IsValid() {
				return "", true
			}
			return span.Parent().SpanID().String(), true
		}
		return "", false
	}
}

// fetching is a service that calls its upstream, between a server's middleware
// and a client's.
func fetching(server func(http.Handler) http.Handler, client func(http.RoundTripper) http.RoundTripper) propagationtest.Service {
	return propagationtest.Service{Handler: func(upstream string, c *http.Client) http.Handler {
		c.Transport = client(c.Transport)
		return server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, upstream, nil)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			res, err := c.Do(req)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			defer func() { _ = res.Body.Close() }()
			_, _ = io.Copy(w, res.Body)
		}))
	}}
}

// The ways are those of the README's table "Which way is yours".

func TestRelayAndTransportConform(t *testing.T) {
	t.Parallel()
	families := propagation.Istio().With(propagation.Baggage, propagation.Datadog, propagation.Custom("end-user"))
	for name, match := range map[string]middleware.Destination{"everywhere": nil, "inside only": middleware.Internal()} {
		t.Run(name, func(t *testing.T) {
			s := fetching(middleware.Relay(families), func(rt http.RoundTripper) http.RoundTripper {
				return &middleware.Transport{Base: rt, Match: match}
			})
			s.Families, s.Match = families, match
			propagationtest.Run(t, s)
		})
	}
}

func TestWhatIsNotTheirsConformsBesideAPropagatorThatMustStay(t *testing.T) {
	t.Parallel()
	user := propagation.Custom("end-user")
	others := propagation.Of(propagation.RequestID, propagation.OTSpanContext, user)
	for name, theirs := range map[string]struct {
		propagator otelpropagation.TextMapPropagator
		notTheirs  propagation.Families
	}{
		"TraceContext":       {otelpropagation.TraceContext{}, others.With(propagation.B3)},
		"contrib's b3":       {b3.New(b3.WithInjectEncoding(b3.B3MultipleHeader)), others.With(propagation.W3C)},
		"both, with Baggage": {otelpropagation.NewCompositeTextMapPropagator(b3.New(), otelpropagation.TraceContext{}, otelpropagation.Baggage{}), others},
	} {
		for _, s := range []sampling{noSDK, never, always} {
			t.Run(name+", "+s.name, func(t *testing.T) {
				provider, _ := s.provider(t)
				options := []otelhttp.Option{otelhttp.WithTracerProvider(provider), otelhttp.WithPropagators(theirs.propagator)}
				s := fetching(func(next http.Handler) http.Handler {
					return middleware.Relay(propagation.Istio().With(user))(otelhttp.NewHandler(next, "fetch", options...))
				}, func(rt http.RoundTripper) http.RoundTripper {
					return otelhttp.NewTransport(&middleware.Transport{Base: rt}, options...)
				})
				s.Families = theirs.notTheirs
				propagationtest.Run(t, s)
			})
		}
	}
}

// instrumented is a service with otelhttp and the library's propagator.
func instrumented(provider trace.TracerProvider) propagationtest.Service {
	options := []otelhttp.Option{
		otelhttp.WithTracerProvider(provider),
		otelhttp.WithPropagators(otelprop.Propagator{}),
	}
	return fetching(func(next http.Handler) http.Handler {
		return otelhttp.NewHandler(next, "fetch", options...)
	}, func(rt http.RoundTripper) http.RoundTripper {
		return otelhttp.NewTransport(rt, options...)
	})
}

func TestOtelhttpWithThePropagatorConforms(t *testing.T) {
	t.Parallel()
	t.Run("no SDK", func(t *testing.T) {
		propagationtest.Run(t, instrumented(noop.NewTracerProvider()))
	})
	t.Run("SDK that samples nothing", func(t *testing.T) {
		s := instrumented(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())))
		s.Spans = propagationtest.DroppedSpans
		propagationtest.Run(t, s)
	})
	t.Run("SDK that samples", func(t *testing.T) {
		recorder := tracetest.NewSpanRecorder()
		s := instrumented(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)))
		s.Spans, s.Parent = propagationtest.OwnSpans, parents(recorder)
		propagationtest.Run(t, s)
	})
}

// flask is flaskapp, asked for the path.
func flask(t *testing.T, tracing *telemetry.Tracing, path string) propagationtest.Service {
	t.Helper()
	loopback, err := egress.Parse("127.0.0.1/32")
	require.NoError(t, err)
	return propagationtest.Service{
		Handler: func(string, *http.Client) http.Handler {
			return flaskapp.New(flaskapp.Config{
				Tracing: tracing,
				Logger:  slog.New(slog.DiscardHandler),
				Dialer:  &egress.Dialer{Policy: loopback},
			})
		},
		Path:     path + "?url={upstream}",
		Families: propagation.Istio().With(propagation.Custom("end-user")),
	}
}

func tracing(t *testing.T, recorder *tracetest.SpanRecorder, sampler sdktrace.Sampler) *telemetry.Tracing {
	t.Helper()
	tr, err := telemetry.New(t.Context(), telemetry.Config{
		Service: "flaskapp", Processor: recorder, Sampler: sampler, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, tr.Shutdown(context.WithoutCancel(t.Context()))) })
	return tr
}

func TestFlaskappConformsWhereItRelays(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/fetch_with_trace", "/fetch_with_header"} {
		t.Run(path[1:], func(t *testing.T) {
			t.Run("no SDK", func(t *testing.T) {
				propagationtest.Run(t, flask(t, nil, path))
			})
			t.Run("SDK that samples nothing", func(t *testing.T) {
				s := flask(t, tracing(t, tracetest.NewSpanRecorder(), sdktrace.NeverSample()), path)
				s.Spans = propagationtest.DroppedSpans
				propagationtest.Run(t, s)
			})
			t.Run("SDK that samples", func(t *testing.T) {
				recorder := tracetest.NewSpanRecorder()
				s := flask(t, tracing(t, recorder, sdktrace.ParentBased(sdktrace.AlwaysSample())), path)
				s.Spans, s.Parent = propagationtest.OwnSpans, parents(recorder)
				propagationtest.Run(t, s)
			})
		})
	}
}

func TestFlaskappDoesNotConformWhereItIsBrokenOnPurpose(t *testing.T) {
	t.Parallel()
	err := propagationtest.Test(flask(t, nil, "/fetch"))
	require.Error(t, err)
	assert.ErrorContains(t, err, "headers of all families arrive together: none of the headers arrived")
	assert.ErrorContains(t, err, "make the call with the request's context")

	recorder := tracetest.NewSpanRecorder()
	s := flask(t, tracing(t, recorder, sdktrace.ParentBased(sdktrace.AlwaysSample())), "/fetch")
	s.Spans, s.Parent = propagationtest.OwnSpans, parents(recorder)
	err = propagationtest.Test(s)
	require.Error(t, err)
	assert.ErrorContains(t, err, "headers of all families arrive together: x-b3-* names another trace than the one that was sent")
}

// TestMain shortens the wait for the calls that httpbin never makes.
func TestMain(m *testing.M) {
	lab.Grace = 500 * time.Millisecond
	os.Exit(m.Run())
}

func TestHttpbinCallsNobodySoThatThereIsNothingToConform(t *testing.T) {
	t.Parallel()
	err := propagationtest.Test(propagationtest.Service{
		Handler: func(string, *http.Client) http.Handler {
			return httpbin.New(httpbin.Config{Logger: slog.New(slog.DiscardHandler)})
		},
		Path: "/headers",
	})
	assert.ErrorContains(t, err, "answered GET /headers with 200 OK")
	assert.ErrorContains(t, err, "did not call its upstream")
}

func TestSleepBeginsARequestWithAWholeTraceOrWithNothing(t *testing.T) {
	arrived := make(chan http.Header, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { arrived <- r.Header }))
	defer upstream.Close()

	_, err := (&sleep.Client{}).Get(t.Context(), upstream.URL, nil)
	require.NoError(t, err)
	istio := judge.Families(propagation.Istio().Names()...)
	relayed := judge.Judge(nil, <-arrived, judge.Expect{Families: istio, Spans: judge.NoSpans})
	assert.Empty(t, relayed.Faults)

	c := &sleep.Client{Tracing: tracing(t, tracetest.NewSpanRecorder(), sdktrace.AlwaysSample())}
	_, err = c.Get(t.Context(), upstream.URL, nil)
	require.NoError(t, err)
	begun := judge.Judge(nil, <-arrived, judge.Expect{Families: istio, Spans: judge.OwnSpans, Sidecars: true})
	assert.Empty(t, begun.Faults)
	assert.NotEmpty(t, begun.Rows)
}
