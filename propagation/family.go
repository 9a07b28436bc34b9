package propagation

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/textproto"
	"strings"
)

// Family is a set of headers that travel together or not at all: half of one
// request's headers beside half of another's describe a trace that never was.
// Two values are equal if they are the same family. The zero value has no
// headers.
type Family struct{ *family }

type family struct {
	label  string
	names  []string // canonical, as keys of a [net/http.Header] are
	custom bool
}

// The families that tracers and sidecars speak.
var (
	// RequestID is x-request-id. Envoy makes one for every request, joins its
	// access logs by it, and keeps in it whether the request is traced, so it
	// matters even where no other family is used.
	// See https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-request-id.
	RequestID = newFamily("RequestID", "x-request-id")

	// B3 is what Zipkin and sidecars of Istio's zipkin provider speak:
	// x-b3-traceid, x-b3-spanid, x-b3-parentspanid, x-b3-sampled, x-b3-flags, and
	// the single header b3. See https://github.com/openzipkin/b3-propagation.
	B3 = newFamily("B3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "b3")

	// W3C is traceparent and tracestate, what OpenTelemetry and sidecars of
	// Istio's opentelemetry provider speak. See https://www.w3.org/TR/trace-context-2/.
	W3C = newFamily("W3C", "traceparent", "tracestate")

	// OTSpanContext is x-ot-span-context, which Envoy's OpenTracing tracers
	// and LightStep used.
	OTSpanContext = newFamily("OTSpanContext", "x-ot-span-context")

	// Baggage is W3C baggage: data of the application's own, for every service
	// that the request reaches. No default list has it, because it may say
	// something about the user and because OpenTelemetry has a propagator for
	// it. Relay it where a service does not read it itself.
	// See https://www.w3.org/TR/baggage/.
	Baggage = newFamily("Baggage", "baggage")

	// Datadog is x-datadog-trace-id, x-datadog-parent-id,
	// x-datadog-sampling-priority, x-datadog-origin and x-datadog-tags.
	Datadog = newFamily("Datadog", "x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority",
		"x-datadog-origin", "x-datadog-tags")

	// SkyWalking is sw8, sw8-correlation and sw8-x.
	// See https://skywalking.apache.org/docs/main/latest/en/api/x-process-propagation-headers-v3/.
	SkyWalking = newFamily("SkyWalking", "sw8", "sw8-correlation", "sw8-x")

	// GoogleCloud is x-cloud-trace-context.
	// See https://cloud.google.com/trace/docs/trace-context.
	GoogleCloud = newFamily("GoogleCloud", "x-cloud-trace-context")

	// GRPCTraceBin is grpc-trace-bin, OpenCensus's binary span context, in base64
	// as HTTP carries it. What is not base64 is dropped, because a gRPC peer
	// refuses the whole call for it.
	GRPCTraceBin = newFamily("GRPCTraceBin", "grpc-trace-bin")

	// XRay is x-amzn-trace-id.
	// See https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader.
	XRay = newFamily("XRay", "x-amzn-trace-id")

	// Jaeger is uber-trace-id, which the retired Jaeger clients spoke. Their
	// baggage (uberctx-*) has no fixed names and is not carried.
	Jaeger = newFamily("Jaeger", "uber-trace-id")
)

var builtin = newList([]Family{
	RequestID, B3, W3C, OTSpanContext, Baggage, Datadog, SkyWalking, GoogleCloud, GRPCTraceBin, XRay, Jaeger,
})

// Custom returns a family of the service's own headers, such as the "end-user"
// that a mesh routes by, or a tenant. Its names travel together or not at all;
// headers that do not depend on each other are a family each:
//
//	propagation.Istio().With(propagation.Custom("end-user"), propagation.Custom("x-tenant"))
//
// A custom header goes wherever the trace headers go. To keep it inside the
// cluster, use a client with a Match (see package middleware). Do not put
// credentials into one.
//
// Custom panics, so that it shows when the program starts, if a name (in any
// case) is not a valid header name, belongs to another family of this package,
// or must not be relayed:
//
//   - it describes one connection or one message: hop-by-hop headers, host,
//     content-*, expect;
//   - gRPC or Connect reserves it: grpc-*, *-bin, connect-*;
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
	f := newFamily("Custom("+strings.ToLower(strings.Join(names, ", "))+")", names...)
	f.custom = true
	return f
}

func newFamily(label string, names ...string) Family {
	canonical := make([]string, len(names))
	for i, name := range names {
		canonical[i] = textproto.CanonicalMIMEHeaderKey(name)
	}
	return Family{&family{label: label, names: canonical}}
}

// String returns the family's name, such as "B3" or "Custom(end-user)", and ""
// for the zero value.
func (f Family) String() string {
	if f.family == nil {
		return ""
	}
	return f.label
}

// private reports whether the values of the family's named header may say
// something about the user, and stay out of logs.
func (f *family) private(lower string) bool {
	return f.custom || lower == "baggage" || lower == "sw8-correlation" || lower == "x-datadog-tags"
}

// forbidden says why a custom header must not have the name, or returns "" if
// it may.
func forbidden(name string) string {
	if !validHeaderName(name) {
		return "not a header name; use letters, digits and !#$%&'*+-.^_`|~"
	}
	name = strings.ToLower(name)
	if builtin.headers[name] != nil {
		return "it belongs to a family of this package, whose headers travel together; add that family"
	}
	if strings.HasSuffix(name, "-bin") {
		return "gRPC reads names that end in -bin as base64, and refuses the call if they are not"
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
		"connect-":     "Connect reserves it, and it describes one call only",
		"content-":     "it describes one message only",
		"grpc-":        "gRPC reserves it, and it describes one call only",
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

// blank reports whether nothing is left of v when net/http has trimmed it.
// Values that came over HTTP/2 may begin with a space; others do not.
func blank(v string) bool {
	return v == "" || (v[0] == ' ' || v[0] == '\t') && strings.Trim(v, " \t") == ""
}

// sendable reports whether net/http sends v as a header value: no control
// character but the tab (RFC 9110, section 5.5, and golang.org/x/net/http/httpguts).
//
// It looks at eight bytes at once: a byte below the space borrows its high bit,
// and DEL carries into it. A neighbour may be what borrows or carries, so that a
// second look is the judge. Six headers take 45 ns so, and 155 ns byte by byte.
func sendable(v string) bool {
	const each, high = 0x0101010101010101, 0x8080808080808080
	if len(v) >= 8 {
		var suspects uint64
		for i := 0; i < len(v); i += 8 {
			w := binary.LittleEndian.Uint64([]byte(v[min(i, len(v)-8):][:8]))
			suspects |= ((w - ' '*each) | (w + each)) &^ w & high
		}
		if suspects == 0 {
			return true
		}
	}
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isBase64 reports whether v is what gRPC takes for binary metadata: base64,
// padded or not, of one value or of several joined with commas.
func isBase64(v string) bool {
	for part := range strings.SplitSeq(v, ",") {
		part = strings.Trim(part, " \t")
		encoding := base64.RawStdEncoding
		if strings.HasSuffix(part, "=") {
			encoding = base64.StdEncoding
		}
		if _, err := encoding.DecodeString(part); err != nil {
			return false
		}
	}
	return true
}
