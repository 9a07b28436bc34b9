// Package propagationtest implements support for testing that a service passes
// on the trace headers that it was called with, whatever it is made of: this
// repository's middleware, OpenTelemetry, a loop over header names, another
// language.
//
// In a test of the service:
//
//	func TestPropagation(t *testing.T) {
//		propagationtest.Run(t, propagationtest.Service{
//			Handler: func(upstream string, client *http.Client) http.Handler {
//				client.Transport = &middleware.Transport{Base: client.Transport}
//				return middleware.Relay(propagation.Istio())(bookinfo.New(upstream, client))
//			},
//			Path: "/productpage",
//		})
//	}
//
// The kit calls the service with headers of its own making, and is the
// upstream that the service calls in turn, so that it sees what arrives. What
// it finds wrong it explains: what was sent, what arrived, the rule, and why
// it matters.
package propagationtest

import (
	"errors"
	"net/http"
	"testing"

	"github.com/tracebaton/tracebaton/propagation"
)

// Service is the service under test. It has either a Handler or a URL.
type Service struct {
	// Handler returns the service, which calls the upstream at the URL (such
	// as http://127.0.0.1:41233, no path) at least once for each request to
	// Path. It is called once, and served on a loopback address.
	//
	// The service makes its calls with client, whose Transport is not nil, or
	// with another that sends them with client.Transport in the end. One that
	// does neither sets DefaultTransport, or has {upstream} in Path, by which
	// the kit then tells its requests apart.
	//
	// If Handler replaces client.Transport by one that adds the headers, the
	// kit makes calls of its own with client too, in the context of those that
	// the service made: it can then test a second call, one with a header of
	// the caller's own, and one that is made after the response. Those cases
	// are skipped otherwise.
	Handler func(upstream string, client *http.Client) http.Handler

	// URL is where a service that runs already listens on this machine, such
	// as http://127.0.0.1:8080. Path must say where it finds its upstream.
	// (For a service elsewhere, see the command tracebaton check.)
	URL string

	// Path is what is requested from the service, query included. {upstream}
	// in it stands for the upstream's URL: /fetch?url={upstream}. Empty is /.
	Path string

	// Method, Body and Header are what the service is called with, beside the
	// headers of the kit. Empty are GET, or POST where there is a Body, and
	// none. {upstream} in Body and in Header is replaced as in Path.
	Method string
	Body   string
	Header http.Header

	// Upstream answers the calls of the service, of which it sees the path that
	// was asked for. It must be safe for use by several goroutines. Nil answers
	// {} as JSON, or what the call accepts, and UNIMPLEMENTED to gRPC: a service
	// that fails on that makes no further calls, which the kit then cannot see.
	Upstream http.Handler

	// DefaultTransport says that the service sends its calls with
	// http.DefaultTransport, at the latest when a call is made. The kit puts a
	// transport of its own into it before it calls Handler, and the one that
	// was there back when it is done: a test with this must not be parallel.
	DefaultTransport bool

	// Families are what the service promises to pass on. The zero value is
	// propagation.Istio(). What becomes of other headers is not tested.
	Families propagation.Families

	// Match reports where the service sends the headers, as the field of
	// middleware.Transport does. Nil is everywhere; else the kit tests that
	// they do not follow a redirect to outside.example, which Match must not
	// match. It must match the upstream's loopback address.
	Match func(*http.Request) bool

	// Spans says whether the service makes spans of its own. Zero is NoSpans.
	Spans Spans

	// Parent returns the ID of the parent, which is empty for a root, of a
	// span that the service recorded, or false if it recorded no such span.
	// IDs are in lower-case hex. With it the kit follows the span that the
	// service says it calls from up to the caller's. Nil skips that. It goes
	// with OwnSpans, and must be safe for use by several goroutines.
	Parent func(spanID string) (parentID string, ok bool)

	pace pace // zero is usualPace
}

// Spans says whether a service makes spans of its own.
type Spans int

const (
	// NoSpans is a service that makes none, or none that reach a store. All
	// headers must arrive as they came, because a span that is in no store
	// must not be anybody's parent, and no others must. Lists, which are
	// tracestate and baggage, may arrive in other lines, and baggage in
	// another order.
	NoSpans Spans = iota

	// DroppedSpans is a service with a tracer that drops all its spans, such
	// as one with OpenTelemetry's SDK and NeverSample. Headers must arrive as
	// for NoSpans, but where no trace came in, it may start one that is not
	// sampled.
	DroppedSpans

	// OwnSpans is a service that exports its spans of sampled traces. B3 and
	// W3C must arrive as those of a child span, in every format that goes out.
	OwnSpans
)

// Test tests a service. If it finds any misbehavior, it returns an error for
// each, combined into a single error with [errors.Join]; why a kind of
// misbehavior matters, and what to do about it, is explained where it comes
// up first.
//
// A service that does not answer, or does not call its upstream, cannot be
// tested: then the error says that, and nothing else.
//
// Test takes as long as the service for some 90 requests, 32 of them at once,
// and waits 10 seconds at most for each. Where two in a row are not answered by
// then, it makes no more.
func Test(s Service) error {
	b, err := newBench(s)
	if err != nil {
		return err
	}
	defer b.close()
	var errs []error
	explained := make(map[string]bool)
	for _, c := range b.cases() {
		errs = append(errs, b.run(c, explained).errs...)
	}
	if b.gaveUp() {
		errs = append(errs, errors.New("propagationtest: "+gaveUp+": the cases that follow were not tested"))
	}
	return errors.Join(errs...)
}

// Run tests a service as [Test] does, each case in a subtest, which is skipped
// with a reason if the service cannot be brought to do what it is about.
func Run(t *testing.T, s Service) {
	t.Helper()
	b, err := newBench(s)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	for _, c := range b.cases() {
		t.Run(c.name, func(t *testing.T) {
			r := b.run(c, make(map[string]bool))
			for _, err := range r.errs {
				t.Error(err)
			}
			for _, note := range r.notes {
				t.Log("note: ", note)
			}
			if len(r.errs) == 0 && r.skipped != "" {
				t.Skip(r.skipped)
			}
		})
	}
}
