package middleware

import (
	"net/http"

	"github.com/tracebaton/tracebaton/propagation"
)

// Transport is a [http.RoundTripper] that adds the headers in a request's
// context (see [propagation.FromContext]) to the request. The zero value adds
// them to all requests and sends these with [http.DefaultTransport].
//
// Nothing is added of a family of which the request has any header already.
// The caller's request is not changed, and is sent itself when there is
// nothing to add. When a client follows a redirect, every hop is judged
// again.
//
//	client := &http.Client{Transport: &middleware.Transport{Match: middleware.Internal}}
//
// A Transport is safe for use by several goroutines as long as its fields are
// not changed.
type Transport struct {
	// Base sends the requests. Nil is http.DefaultTransport.
	Base http.RoundTripper

	// Match decides which requests get the headers, by where they go
	// (Request.URL) or anything else; it must not change the request. Nil is
	// all of them, third parties and redirects to them included: set it where
	// the headers must not leave the cluster, to Internal, to Hosts, or to
	// your own.
	Match func(*http.Request) bool
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.Match == nil || t.Match(r) {
		r = propagation.FromContext(r.Context()).Outgoing(r)
	}
	return t.base().RoundTrip(r)
}

// CloseIdleConnections closes the idle connections of Base, if it keeps any.
// [http.Client.CloseIdleConnections] calls it.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}
