package middleware

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tracebaton/tracebaton/propagation"
)

// Transport is a [http.RoundTripper] that adds the headers in a request's
// context (see [propagation.FromContext]) to the request. The zero value adds
// them to all requests and sends these with [http.DefaultTransport].
//
// If the request already has any header of a family, Transport adds none of that
// family. It does not change the caller's request, and sends that itself if there
// is nothing to add. When a client follows a redirect, Transport judges every hop
// again.
//
//	client := &http.Client{Transport: &middleware.Transport{Match: middleware.Internal()}}
//
// A request that a [net/http/httputil.ReverseProxy] forwards has its headers
// already; Transport knows it by its RequestURI. It adds nothing to such a
// request, so that headers which the proxy deletes stay deleted: delete there
// what must not travel. It removes empty trace headers, since an Envoy reads an
// empty b3 or x-b3-sampled as "do not trace". Tests that make requests for a
// client with [net/http/httptest.NewRequest] must reset RequestURI, as for
// [http.Client].
//
// A Transport may be assigned to http.DefaultTransport, unless some code in the
// program asserts that this is an *[http.Transport], as libraries do to clone it.
// A wrapper of a Transport without a Base may not be assigned there:
// otelhttp.NewTransport(&middleware.Transport{}) would call itself until the
// stack overflows. Give the Transport the previous http.DefaultTransport as Base.
//
// A Transport is safe for use by several goroutines as long as its fields are
// not changed.
type Transport struct {
	// Base sends the requests. Nil is http.DefaultTransport. If that is itself a
	// Transport without a Base, nil is the http.DefaultTransport that the program
	// started with: if you have tuned another, set it as the Base.
	Base http.RoundTripper

	// Match decides which requests get the headers. Nil is all requests,
	// including those to third parties and redirects to them. If the headers
	// must not leave the cluster, set it to Internal(), to Hosts(…) or to a
	// function of your own.
	//
	// If Match reports false, Transport removes from the request the headers
	// whose values are those that the context carries. Headers with other values
	// are the caller's and stay, such as x-b3-* of another span, even if their
	// trace ID is the one that came in. From a forwarded request, Transport also
	// removes all trace headers that the context does not carry.
	Match Destination
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	h := propagation.FromContext(r.Context())
	forwarded := r.RequestURI != ""
	if t.Match != nil && !t.Match(r) {
		r = withdraw(r, h, forwarded)
	} else if !forwarded {
		r = h.Outgoing(r)
	}
	if forwarded {
		r = withoutEmpty(r)
	}
	return t.base().RoundTrip(r)
}

// withdraw returns r, or a copy of it, without what came in: the headers that
// have the values of h's and, in a forwarded request, all trace headers that h
// does not carry, because the proxy also copies a family that Extract or Only
// dropped.
func withdraw(r *http.Request, h propagation.Headers, forwarded bool) *http.Request {
	out := r
	cameIn := func(key string) bool {
		if h.Get(key) == "" {
			return forwarded && traceHeaders[key]
		}
		return slices.Equal(withoutBlank(r.Header[key]), h.Values(key))
	}
	// A span that was started here has the trace ID that came in: without it,
	// the rest of x-b3-* names no span.
	ownSpan := len(r.Header["X-B3-Spanid"]) > 0 && !cameIn("X-B3-Spanid")
	for key := range r.Header {
		if cameIn(key) && (!ownSpan || !strings.HasPrefix(key, "X-B3-")) {
			out = with(r, out, key, nil)
		}
	}
	return out
}

// withoutEmpty returns r, or a copy of it, without the empty values of the
// headers of any family of package propagation.
func withoutEmpty(r *http.Request) *http.Request {
	out := r
	for key, values := range r.Header {
		if traceHeaders[key] && slices.ContainsFunc(values, blank) {
			out = with(r, out, key, withoutBlank(values))
		}
	}
	return out
}

func blank(value string) bool { return strings.Trim(value, " \t") == "" }

func withoutBlank(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), blank)
}

// with returns out with these values of the header, or without it if there are
// none. It makes a copy where out is still r.
func with(r, out *http.Request, key string, values []string) *http.Request {
	if out == r {
		out = new(http.Request)
		*out = *r
		out.Header = r.Header.Clone()
	}
	if out.Header[key] = values; len(values) == 0 {
		delete(out.Header, key)
	}
	return out
}

// CloseIdleConnections closes the idle connections of Base, if it keeps any.
// [http.Client.CloseIdleConnections] calls it.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// standard is what sends where http.DefaultTransport is a Transport.
var standard = http.DefaultTransport

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	base := http.DefaultTransport
	for {
		wrapped, ok := base.(*Transport)
		switch {
		case !ok:
			return base
		case wrapped.Base == nil:
			return standard
		}
		base = wrapped.Base
	}
}
