package main

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/propagators/jaeger"
	"go.opentelemetry.io/otel"
	otelpropagation "go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

func TestMain(m *testing.M) {
	otel.SetTracerProvider(sdktrace.NewTracerProvider()) // which samples what comes without a decision
	os.Exit(m.Run())
}

func TestFamiliesThatThePropagatorDoesNotKnowAreRelayed(t *testing.T) {
	exampletest.Conforms(t, service, propagation.RequestID, propagation.B3, propagation.OTSpanContext)
}

// filtered returns a service that filters leave out requests, or calls, of.
func filtered(p otelpropagation.TextMapPropagator, request, call, relay bool) example.Service {
	options := func(leaveOut bool) []otelhttp.Option {
		return []otelhttp.Option{
			otelhttp.WithPropagators(p),
			otelhttp.WithFilter(func(*http.Request) bool { return !leaveOut }),
		}
	}
	return func(upstream string, client *http.Client) http.Handler {
		var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := example.Get(r.Context(), client, upstream)
			example.Answer(w, body, err)
		})
		base := http.DefaultTransport
		if relay {
			base = &middleware.Transport{}
		}
		client.Transport = otelhttp.NewTransport(base, options(call)...)
		handler = otelhttp.NewHandler(handler, "example", options(request)...)
		if relay {
			handler = middleware.Relay(propagation.Istio())(handler)
		}
		return handler
	}
}

const (
	trace = "80f198ee56343ba864fe8b2a57d3eff7"
	span  = "e457b5a2e4d86bd1"
)

// is says what became of the trace in a value that has its IDs.
func is(value string) string {
	switch {
	case value == "":
		return "nothing"
	case strings.Contains(value, trace) && strings.Contains(value, span):
		return "as it came"
	case strings.Contains(value, trace):
		return "a child span"
	default:
		return "a new trace"
	}
}

// The table of docs/adopting.md.
func TestAFilterOfOtelhttpsLosesTheTrace(t *testing.T) {
	for name, row := range map[string]struct {
		request, call      bool
		plainW3C           string
		w3c, b3, requestID string
	}{
		"neither is left out":               {plainW3C: "a child span", w3c: "a child span", b3: "as it came", requestID: "r"},
		"the server's request is":           {request: true, plainW3C: "a new trace", w3c: "a new trace", b3: "as it came", requestID: "r"},
		"the client's call is":              {call: true, plainW3C: "nothing", w3c: "as it came", b3: "as it came", requestID: "r"},
		"the request and the call both are": {request: true, call: true, plainW3C: "nothing", w3c: "as it came", b3: "as it came", requestID: "r"},
	} {
		t.Run(name, func(t *testing.T) {
			arrived := func(p otelpropagation.TextMapPropagator, relay bool) (w3c, b3, requestID string) {
				h := exampletest.Arrived(t, filtered(p, row.request, row.call, relay), exampletest.Trace("r"))
				ids := h.Get("X-B3-Traceid") + h.Get("X-B3-Spanid")
				return is(h.Get("Traceparent")), is(ids), h.Get("X-Request-Id")
			}
			w3c, b3, requestID := arrived(otelpropagation.TraceContext{}, false)
			assert.Equal(t, []string{row.plainW3C, "nothing", ""}, []string{w3c, b3, requestID}, "without Relay and Transport")

			w3c, b3, requestID = arrived(otelpropagation.TraceContext{}, true)
			assert.Equal(t, []string{row.w3c, row.b3, row.requestID}, []string{w3c, b3, requestID}, "with both")

			w3c, b3, _ = arrived(otelprop.Propagator{}, false)
			assert.Equal(t, []string{row.plainW3C, row.plainW3C}, []string{w3c, b3}, "the library's propagator is not asked either")
		})
	}
}

// The other table of docs/adopting.md.
func TestTheLastPropagatorOfACompositeThatFindsIDsHasTheParent(t *testing.T) {
	in := exampletest.Trace("r")
	in.Set("Uber-Trace-Id", "0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1")
	b3 := func(propagators ...otelpropagation.TextMapPropagator) string {
		composite := otelpropagation.NewCompositeTextMapPropagator(propagators...)
		return is(exampletest.Arrived(t, filtered(composite, false, false, false), in).Get("X-B3-Traceid"))
	}
	assert.Equal(t, "a new trace", b3(otelprop.Propagator{}, jaeger.Jaeger{}))
	assert.Equal(t, "a child span", b3(jaeger.Jaeger{}, otelprop.Propagator{}))
}
