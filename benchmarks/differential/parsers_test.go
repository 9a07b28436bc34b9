package differential_test

import (
	"context"
	"net/http"
	"strings"

	zipkin "github.com/openzipkin/zipkin-go/propagation/b3"
	contrib "go.opentelemetry.io/contrib/propagators/b3"
	otelpropagation "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

// meaning is what a parser takes B3 headers for. OpenTelemetry's span context
// has no place for a parent, nor for the difference between a trace that is not
// sampled and one that nobody decided about.
type meaning struct {
	trace, span string // hex, 32 and 16 digits, or both empty
	sampling    string // of IDs: "", sampled or debug
	alone       string // a decision without IDs: "", not sampled, sampled or debug
	panicked    bool
}

var (
	tracebaton = otelprop.Propagator{Families: propagation.Of(propagation.B3)}
	contribB3  = contrib.New(contrib.WithInjectEncoding(contrib.B3MultipleHeader))
)

func joins(sc trace.SpanContext) (m meaning) {
	if !sc.IsValid() {
		return m
	}
	m.trace, m.span = sc.TraceID().String(), sc.SpanID().String()
	if sc.IsSampled() {
		m.sampling = "sampled"
	}
	return m
}

// asTracebaton is what this library's propagator makes of h, as far as a
// service notices: the parent of its spans, and what it sends on.
func asTracebaton(h http.Header) meaning {
	ctx := tracebaton.Extract(context.Background(), otelpropagation.HeaderCarrier(h))
	parent := trace.SpanContextFromContext(ctx)
	m := joins(parent)
	out := http.Header{}
	if m.trace == "" {
		tracebaton.Inject(ctx, otelpropagation.HeaderCarrier(out))
		m.alone = alone(out)
		return m
	}
	own := trace.NewSpanContext(trace.SpanContextConfig{TraceID: parent.TraceID(), SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled})
	tracebaton.Inject(trace.ContextWithSpanContext(ctx, own), otelpropagation.HeaderCarrier(out))
	if out.Get("x-b3-flags") == "1" || strings.HasSuffix(out.Get("b3"), "-d") {
		m.sampling = "debug"
	}
	return m
}

// alone is the decision in headers that were passed on, of which b3 is believed
// first.
func alone(h http.Header) string {
	decisions := map[string]string{"0": "not sampled", "false": "not sampled", "1": "sampled", "true": "sampled", "d": "debug"}
	switch v := h.Get("b3"); {
	case len(v) == 1 && decisions[v] != "":
		return decisions[v]
	case h.Get("x-b3-flags") == "1":
		return "debug"
	default:
		return decisions[strings.ToLower(h.Get("x-b3-sampled"))]
	}
}

// asContrib is what OpenTelemetry's contrib propagator makes of h.
func asContrib(h http.Header) meaning {
	ctx := contribB3.Extract(context.Background(), otelpropagation.HeaderCarrier(h))
	m := joins(trace.SpanContextFromContext(ctx))
	out := http.Header{}
	contribB3.Inject(ctx, otelpropagation.HeaderCarrier(out))
	if m.trace != "" && out.Get("x-b3-flags") == "1" {
		m.sampling = "debug"
	}
	return m
}

// asZipkin is what zipkin-go makes of h.
func asZipkin(h http.Header) (m meaning) {
	defer func() {
		if recover() != nil {
			m = meaning{panicked: true}
		}
	}()
	sc, err := zipkin.ExtractHTTP(&http.Request{Header: h})()
	if err != nil || sc == nil {
		return m
	}
	// What its injector would not write is no ID to it either.
	if sc.TraceID.Empty() || sc.ID == 0 {
		switch {
		case sc.Debug:
			m.alone = "debug"
		case sc.Sampled != nil && *sc.Sampled:
			m.alone = "sampled"
		case sc.Sampled != nil:
			m.alone = "not sampled"
		}
		return m
	}
	m.trace, m.span = strings.Repeat("0", 32-len(sc.TraceID.String()))+sc.TraceID.String(), sc.ID.String()
	switch {
	case sc.Debug:
		m.sampling = "debug"
	case sc.Sampled != nil && *sc.Sampled:
		m.sampling = "sampled"
	}
	return m
}
