// Package propagationtest implements support for testing that a service relays the
// trace headers that it was called with, whatever it is made of: this repository's
// middleware, OpenTelemetry, a copy loop, another language.
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
// The kit calls the service with headers of its own making, and is the upstream
// that the service calls in turn, so that it sees what arrives. It explains each
// fault: what was sent, what arrived, the rule, and why it matters.
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
	// with another client that sends with client.Transport in the end. For a
	// service that does neither, set DefaultTransport, or put {upstream} into
	// Path, so that the kit can tell its requests apart.
	//
	// If Handler replaces client.Transport by one that adds the headers, the
	// kit also makes calls of its own with client, in the contexts of the
	// service's calls: a second call, one with a header that the caller set
	// itself, and one after the response. Otherwise these cases are skipped.
	Handler func(upstream string, client *http.Client) http.Handler

	// URL is the address of a running service on this machine, such as
	// http://127.0.0.1:8080. Path must tell it the URL of its upstream. (For a
	// service elsewhere, see the command tracebaton check.)
	URL string

	// Path is what is requested from the service, query included. {upstream}
	// in it stands for the upstream's URL: /fetch?url={upstream}. Empty is /.
	Path string

	// Method, Body and Header are those of the requests to the service; the kit
	// adds its own headers. An empty Method is GET, or POST if there is a Body.
	// {upstream} in Body and in Header is replaced as in Path.
	Method string
	Body   string
	Header http.Header

	// Upstream answers the service's calls. It sees the path that the service
	// called, and must be safe for use by several goroutines. Nil answers {} as
	// JSON, or what the call accepts, and UNIMPLEMENTED to gRPC. A service that
	// fails on that makes no further calls, so that the kit cannot test them.
	Upstream http.Handler

	// DefaultTransport says that the service sends its calls with
	// http.DefaultTransport. The kit replaces that before it calls Handler, and
	// restores it when it is done: a test with this must not be parallel.
	DefaultTransport bool

	// Families are the families that the service promises to relay. The zero
	// value is propagation.Istio(). The kit does not test other headers.
	Families propagation.Families

	// Match reports where the service sends the headers, as the field of
	// middleware.Transport does. Nil is everywhere. With a Match, the kit tests
	// that the headers do not follow a redirect to outside.example, for which
	// Match must report false. Match must report true for the upstream's loopback
	// address.
	Match func(*http.Request) bool

	// Spans says whether the service makes spans of its own. Zero is NoSpans.
	Spans Spans

	// Parent returns the parent's ID of a span that the service recorded, which
	// is empty for a root, or false if the service recorded no such span. IDs are
	// in lower-case hex. The kit follows the parents from the span in the
	// service's calls up to the caller's span. With a nil Parent, it does not.
	// Parent goes with OwnSpans, and must be safe for use by several goroutines.
	Parent func(spanID string) (parentID string, ok bool)

	pace pace // zero is usualPace
}

// Spans says whether a service makes spans of its own.
type Spans int

const (
	// NoSpans is a service that makes no spans, or none that reach a store. Its
	// headers must arrive as they came, and no others, because a span that is in
	// no store must not be a parent. tracestate and baggage may arrive in other
	// lines, and baggage in another order.
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
// each, combined into a single error with [errors.Join]. The first error of a kind
// explains why it matters and what to do about it.
//
// A service that does not answer, or does not call its upstream, cannot be
// tested: the error then says only that.
//
// Test makes some 90 requests, 32 of them at once, and waits at most 10 seconds for
// each. If two in a row are not answered by then, it makes no more.
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

// Run tests a service as [Test] does, each case in a subtest. It skips a case, with
// a reason, if the service cannot be made to do what the case is about.
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
