package propagation

import (
	"fmt"
	"net/textproto"
	"slices"
	"strings"
)

// Family is a set of headers that travel together or not at all: half of one
// request's headers beside half of another's describe a trace that never was.
// The zero value has no headers.
type Family struct{ *family }

type family struct {
	// names are canonical, as [net/http.Header] keys are.
	names []string
	// private values may say something about the user, and stay out of logs.
	private bool
}

// The families that tracers and sidecars speak.
var (
	// RequestID is x-request-id. Envoy makes one for every request, joins its
	// access logs by it, and keeps in it whether the request is traced, so it
	// matters even where no other family is used.
	// See https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-request-id.
	RequestID = newFamily("x-request-id")

	// B3 is Zipkin's, what sidecars of Istio's zipkin provider speak: x-b3-traceid,
	// x-b3-spanid, x-b3-parentspanid, x-b3-sampled, x-b3-flags, and the single
	// header b3. See https://github.com/openzipkin/b3-propagation.
	B3 = newFamily("x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "b3")

	// W3C is traceparent and tracestate, what OpenTelemetry and sidecars of
	// Istio's opentelemetry provider speak. See https://www.w3.org/TR/trace-context/.
	W3C = newFamily("traceparent", "tracestate")

	// OTSpanContext is x-ot-span-context, which Envoy's OpenTracing tracers
	// and LightStep used.
	OTSpanContext = newFamily("x-ot-span-context")

	// Baggage is W3C baggage: data of the application's own, for every service
	// that the request reaches. It is in no default, because it may say
	// something about the user and because OpenTelemetry has a propagator for
	// it; relay it where a service takes no interest in it itself.
	// See https://www.w3.org/TR/baggage/.
	Baggage = newPrivateFamily("baggage")

	// Datadog is x-datadog-trace-id, x-datadog-parent-id,
	// x-datadog-sampling-priority, x-datadog-origin and x-datadog-tags.
	Datadog = newFamily("x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority",
		"x-datadog-origin", "x-datadog-tags")

	// SkyWalking is sw8, sw8-correlation and sw8-x.
	// See https://skywalking.apache.org/docs/main/latest/en/api/x-process-propagation-headers-v3/.
	SkyWalking = newFamily("sw8", "sw8-correlation", "sw8-x")

	// GoogleCloud is x-cloud-trace-context.
	// See https://cloud.google.com/trace/docs/trace-context.
	GoogleCloud = newFamily("x-cloud-trace-context")

	// GRPCTraceBin is grpc-trace-bin, OpenCensus's binary span context, in base64
	// as HTTP carries it.
	GRPCTraceBin = newFamily("grpc-trace-bin")

	// XRay is x-amzn-trace-id.
	// See https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader.
	XRay = newFamily("x-amzn-trace-id")

	// Jaeger is uber-trace-id, which the retired Jaeger clients spoke. Their
	// baggage (uberctx-*) has no fixed names and is not carried.
	Jaeger = newFamily("uber-trace-id")
)

// builtin are all families above.
var builtin = []Family{
	RequestID, B3, W3C, OTSpanContext, Baggage, Datadog, SkyWalking, GoogleCloud, GRPCTraceBin, XRay, Jaeger,
}

var (
	every = newTable(builtin)

	// strangers are what a sender that is not trusted must not send: all
	// families, what Envoy and the Jaeger clients take for an order to trace,
	// and the headers of tracers that have no family here.
	strangers = newTable(append(slices.Clone(builtin),
		newFamily("x-envoy-force-trace", "x-client-trace-id", "jaeger-debug-id", "jaeger-baggage"),
		newFamily("ot-tracer-traceid", "ot-tracer-spanid", "ot-tracer-sampled", "elastic-apm-traceparent")))

	// strangersBaggage begin the names of headers that hold one item each.
	strangersBaggage = []string{"uberctx-", "ot-baggage-"}
)

// The headers of B3 and of W3C by their place in the family.
const (
	b3TraceID = iota
	b3SpanID
	b3ParentSpanID
	b3Sampled
	b3Flags
	b3Single
	b3Count
)

const (
	w3cTraceparent = iota
	w3cTracestate
	w3cCount
)

// Custom returns a family of the service's own headers, such as the "end-user"
// that a mesh routes by, or a tenant. Its names travel together or not at all;
// headers that do not depend on each other are a family each:
//
//	propagation.Istio().With(propagation.Custom("end-user"), propagation.Custom("x-tenant"))
//
// A custom header goes wherever the trace headers go. What must not leave the
// cluster needs a client whose Match says so (see package middleware), and
// credentials do not belong in one.
//
// Custom panics, so that it shows when the program starts, if a name (in any
// case) is not a valid header name, belongs to another family of this package,
// or must not be relayed:
//
//   - it describes one connection or one message: hop-by-hop headers, host,
//     content-*, expect;
//   - a proxy sets it itself, or takes it for an instruction: forwarded, via,
//     x-forwarded-*, x-envoy-*;
//   - it asks for another answer than the caller expects: range, if-*,
//     accept-encoding;
//   - net/http removes it from a redirect to another host, and a round-tripper
//     would put it back: authorization, www-authenticate, proxy-authorization,
//     proxy-authenticate, cookie, set-cookie.
func Custom(names ...string) Family {
	for _, name := range names {
		if why := forbidden(name); why != "" {
			panic(fmt.Sprintf("propagation: cannot relay %q as a custom header: %s", name, why))
		}
	}
	return newPrivateFamily(names...)
}

func newFamily(names ...string) Family {
	canonical := make([]string, len(names))
	for i, name := range names {
		canonical[i] = textproto.CanonicalMIMEHeaderKey(name)
	}
	return Family{&family{names: canonical}}
}

func newPrivateFamily(names ...string) Family {
	f := newFamily(names...)
	f.private = true
	return f
}

// forbidden says why a custom header must not have the name, or returns "" if
// it may.
func forbidden(name string) string {
	if !validHeaderName(name) {
		return "not a header name; use letters, digits and !#$%&'*+-.^_`|~"
	}
	name = strings.ToLower(name)
	if every.index(name) >= 0 {
		return "it belongs to a family of this package, whose headers travel together; add that family"
	}
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "http2-settings":
		return "it is hop-by-hop, and speaks of one connection only (RFC 9110, section 7.6.1)"
	case "host", "expect":
		return "it describes one message only"
	case "authorization", "www-authenticate", "proxy-authorization", "proxy-authenticate",
		"cookie", "cookie2", "set-cookie", "set-cookie2":
		return "it carries credentials, which net/http removes when a redirect leads to another host and a relay would put back"
	case "forwarded", "via":
		return "each proxy on the way sets it"
	case "range", "accept-encoding":
		return "it would change what the upstream answers"
	}
	for prefix, why := range map[string]string{
		"content-":     "it describes one message only",
		"if-":          "it would change what the upstream answers",
		"x-envoy-":     "Envoy takes it for an instruction from the caller",
		"x-forwarded-": "each proxy on the way sets it",
	} {
		if strings.HasPrefix(name, prefix) {
			return why
		}
	}
	return ""
}

// validHeaderName reports whether name is a token of RFC 9110, section 5.6.2.
func validHeaderName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			continue
		}
		if strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return name != ""
}
