package middleware

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/tracebaton/tracebaton/propagation"
)

// Peer reports whether [Edge] believes the sender of an incoming request. Edge
// calls it for every request. It must judge by what the sender cannot choose: the
// TLS certificate that the server has verified, the listener that the request came
// by, or RemoteAddr if no proxy, and so no sidecar, stands in between. The sender
// chooses the Host and headers such as X-Forwarded-For.
type Peer func(in *http.Request) bool

// Peers returns a Peer that believes senders whose RemoteAddr is one of the
// addresses (10.1.2.3) or in one of the ranges (10.0.0.0/8). Use it for a listener
// that clients reach directly: behind a proxy, every request has the proxy's
// address, and behind a sidecar a loopback address. Peers() believes nobody.
//
// Peers panics, so that it shows when the program starts, if a prefix is neither an
// address nor a range.
func Peers(prefixes ...string) Peer {
	var ranges []netip.Prefix
	for _, p := range prefixes {
		prefix, ok := parsePrefix(p)
		if !ok {
			panic(fmt.Sprintf("middleware: %q is not a peer; use an address or a range such as 10.0.0.0/8", p))
		}
		ranges = append(ranges, prefix)
	}
	return func(in *http.Request) bool {
		addr, err := netip.ParseAddrPort(in.RemoteAddr)
		return err == nil && contains(ranges, addr.Addr())
	}
}

// Edge returns middleware for a service that requests reach from outside the
// mesh. It drops the trace headers of a request for which accept reports false,
// so that a stranger joins no trace, decides no sampling and sends no baggage. A
// nil accept believes nobody.
//
//	families := propagation.Istio().With(propagation.Custom("end-user"))
//	h := middleware.Edge(families, fromMesh)(middleware.Relay(families)(mux))
//
// Edge drops:
//
//   - the headers of f, and of every family of package propagation, baggage
//     included;
//   - headers that order Envoy or a Jaeger client to trace: x-envoy-force-trace,
//     x-client-trace-id, jaeger-debug-id;
//   - headers of other tracers: jaeger-baggage, uberctx-*, ot-tracer-traceid,
//     ot-tracer-spanid, ot-tracer-sampled, ot-baggage-*, elastic-apm-traceparent;
//   - the same names with underscores for hyphens, since CGI and WSGI take both for
//     the same;
//   - what an outer [Relay] has put into the context.
//
// If your services know headers of another tracer, these must be in f.
//
// Put Edge outside everything that reads the headers: Relay, OpenTelemetry's
// handlers, a reverse proxy. Outside the h2c.NewHandler of golang.org/x/net, it
// sees only the first request of a connection, and refuses HTTP/2 to strangers.
//
// Behind an Envoy gateway, Edge comes too late, since the gateway makes a span
// before the service gets the request: drop the headers at the gateway.
func Edge(f propagation.Families, accept Peer) func(http.Handler) http.Handler {
	dropped := make(map[string]bool)
	for _, name := range f.Names() {
		dropped[hyphens(name)] = true
	}
	drops := func(name string) bool {
		name = hyphens(name)
		return dropped[name] || strangers[name] || hasPrefixFold(name, "uberctx-") || hasPrefixFold(name, "ot-baggage-")
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if accept != nil && accept(r) {
				next.ServeHTTP(w, r)
				return
			}
			if isPreface(r) {
				// A h2c.NewHandler inside would serve the connection's requests
				// where Edge does not see them.
				http.Error(w, "HTTP/2 without TLS is not served to strangers", http.StatusHTTPVersionNotSupported)
				return
			}
			serve(next, w, r, withoutH2C(strip(r, drops)))
		})
	}
}

// strip returns r without the headers that drops names and without a snapshot
// in its context, or r itself, at no allocation, if it has neither.
func strip(r *http.Request, drops func(name string) bool) *http.Request {
	n, carried := 0, 0
	for name := range r.Header {
		if drops(name) {
			n++
		}
	}
	for range propagation.FromContext(r.Context()).All() {
		carried++
	}
	if n+carried == 0 {
		return r
	}
	in := r.WithContext(propagation.NewContext(r.Context(), propagation.Headers{}))
	in.Header = make(http.Header, len(r.Header)-n)
	for name, values := range r.Header {
		if !drops(name) {
			in.Header[name] = slices.Clip(values)
		}
	}
	return in
}

// traceHeaders are the headers of all families of package propagation.
var traceHeaders = nameSet(propagation.Of(propagation.RequestID, propagation.B3, propagation.W3C, propagation.OTSpanContext,
	propagation.Baggage, propagation.Datadog, propagation.SkyWalking, propagation.GoogleCloud,
	propagation.GRPCTraceBin, propagation.XRay, propagation.Jaeger).Names())

// strangers are what a sender that is not believed must not send: all
// families, what Envoy and the Jaeger clients take for an order to trace,
// and the headers of tracers that have no family.
var strangers = nameSet(append(slices.Collect(maps.Keys(traceHeaders)),
	"x-envoy-force-trace", "x-client-trace-id", "jaeger-debug-id", "jaeger-baggage",
	"ot-tracer-traceid", "ot-tracer-spanid", "ot-tracer-sampled", "elastic-apm-traceparent"))

// hyphens returns the name in canonical form, with hyphens for underscores.
func hyphens(name string) string {
	return http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
}

// nameSet returns the names in canonical form.
func nameSet(names []string) map[string]bool {
	set := make(map[string]bool)
	for _, name := range names {
		set[http.CanonicalHeaderKey(name)] = true
	}
	return set
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
