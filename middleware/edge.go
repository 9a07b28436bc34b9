package middleware

import (
	"net/http"

	"github.com/tracebaton/tracebaton/propagation"
)

// Edge returns middleware for a service that requests reach from outside the
// mesh: it drops the trace headers of those that accept does not vouch for, so
// that a stranger joins no trace, decides no sampling and sends no baggage. A nil
// accept vouches for nobody. Dropped are the headers of f, of every family of
// package propagation and some that order tracing (see [propagation.Families.Strip]);
// what others your services know must be in f.
//
//	families := propagation.Istio().With(propagation.Custom("end-user"))
//	h := middleware.Edge(families, fromMesh)(middleware.Relay(families)(mux))
//
// Put it outside everything that reads the headers: Relay, OpenTelemetry's
// handlers, a reverse proxy.
//
// accept is asked for every request and must judge it by what its sender cannot
// choose: the certificate in r.TLS that the server has verified, the listener it
// came by, or r.RemoteAddr where no proxy, and so no sidecar, stands in between.
// Headers such as X-Forwarded-For, and the Host, are the sender's own; [Internal]
// and [Hosts] judge where a request goes, and tell nothing of where it is from.
//
// Behind a gateway of Envoy's, drop the headers there: it makes a span of its
// own before the service is asked.
func Edge(f propagation.Families, accept func(*http.Request) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if accept != nil && accept(r) {
				next.ServeHTTP(w, r)
				return
			}
			serve(next, w, r, f.Strip(r))
		})
	}
}
