// Package grpcrelaytest implements support for testing that a gRPC service
// relays the trace headers that it was called with, whatever it is made of: this
// repository's interceptors, OpenTelemetry's handlers, a loop over metadata. It is
// package propagationtest for gRPC.
//
// In a test of the service:
//
//	func TestPropagation(t *testing.T) {
//		grpcrelaytest.Run(t, grpcrelaytest.Service{
//			Register: func(s grpc.ServiceRegistrar, upstream grpcrelaytest.Upstream) {
//				pb.RegisterReviewsServer(s, reviews.New(pb.NewRatingsClient(upstream)))
//			},
//			ServerOptions: reviews.ServerOptions(), // the interceptors
//			DialOptions:   reviews.DialOptions(),
//		})
//	}
//
// The kit calls every method with headers of its own making, and is the upstream
// that the service calls in turn, so that it sees what arrives on the wire. It has
// the cases of propagationtest, except those about redirects and bodies, and
// explains a fault in the same way.
package grpcrelaytest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/propagationtest"
)

// Service is the service under test.
type Service struct {
	// Register registers the service with s, and tells it to make its calls to
	// upstream: at least one for every call of one of Methods. The kit calls
	// Register once for each method.
	Register func(s grpc.ServiceRegistrar, upstream Upstream)

	// ServerOptions are those of the service's server, and DialOptions those of
	// its connection to the upstream: the interceptors and stats handlers that
	// are to be tested. They are empty if the service relays by itself.
	//
	// If there are DialOptions, or if Register replaces the Transport of the
	// upstream's Client, the kit also makes calls of its own in that way, in the
	// contexts of the service's calls: a second call, one with a header that the
	// caller set itself, and one after the answer.
	ServerOptions []grpc.ServerOption
	DialOptions   []grpc.DialOption

	// Methods are the methods to call, by their full names
	// (/reviews.Reviews/Get), each with its message; a nil message is an empty
	// one. Nil Methods are all registered methods, with empty messages.
	Methods map[string]proto.Message

	// Backend registers with s the services that answer in the upstream. The
	// upstream answers other methods with an empty message, and all methods if
	// Backend is nil.
	Backend func(s grpc.ServiceRegistrar)

	// Families are the families that the service promises to relay. The zero
	// value is propagation.Istio(). The kit does not test other headers.
	Families propagation.Families

	// Spans says whether the service makes spans of its own. Zero is
	// propagationtest.NoSpans.
	Spans propagationtest.Spans
}

// Upstream is what the service calls. It is a connection with the service's
// DialOptions, and has an address for calls over HTTP.
type Upstream struct {
	grpc.ClientConnInterface

	// URL is where the upstream is over HTTP, such as http://127.0.0.1:41233,
	// with no path. The service calls it with Client, whose Transport is not
	// nil, or with another that sends with Client.Transport in the end.
	URL    string
	Client *http.Client
}

// Test tests a service. If it finds any misbehavior, it returns an error for
// each, which begins with the method's name, combined into a single error with
// [errors.Join].
//
// It takes as long as [propagationtest.Test] does, once a method.
func Test(s Service) error {
	methods, err := s.methods()
	if err != nil {
		return err
	}
	var errs []error
	var verdict verdict
	for _, m := range methods {
		found := s.test(m)
		verdict.add(m, found)
		errs = append(errs, found...)
	}
	return errors.Join(append(errs, verdict.hint())...)
}

// Run tests a service as [Test] does, each method in a subtest.
func Run(t *testing.T, s Service) {
	t.Helper()
	methods, err := s.methods()
	if err != nil {
		t.Fatal(err)
	}
	var verdict verdict
	for _, m := range methods {
		t.Run(strings.TrimPrefix(m.name, "/"), func(t *testing.T) {
			errs := s.test(m)
			verdict.add(m, errs)
			for _, err := range errs {
				t.Error(err)
			}
		})
	}
	if err := verdict.hint(); err != nil {
		t.Error(err)
	}
}

// verdict is how calls of either kind fared.
type verdict struct{ unary, unaryFailed, streamsFailed int }

func (v *verdict) add(m method, errs []error) {
	switch failed := len(errs) > 0; {
	case m.streams() && failed:
		v.streamsFailed++
	case !m.streams():
		v.unary++
		if failed {
			v.unaryFailed++
		}
	}
}

func (v *verdict) hint() error {
	switch {
	case v.unaryFailed+v.streamsFailed == 0:
		return nil
	case v.unary == 0 || v.unaryFailed > 0 || v.streamsFailed == 0:
		return errors.New("grpcrelaytest: where the advice speaks of Relay and Transport, it is the interceptors of package grpcrelay in gRPC, and the method's context where it speaks of the request's")
	}
	return errors.New("grpcrelaytest: unary calls keep the headers and streams lose them: install the interceptors for streams too, on both sides, and use the Context of the stream that the method is given")
}

// method is one that the kit calls.
type method struct {
	name    string // /package.Service/Method
	desc    grpc.StreamDesc
	message proto.Message
}

func (m method) streams() bool { return m.desc.ClientStreams || m.desc.ServerStreams }

// test returns what is wrong with a method.
func (s Service) test(m method) []error {
	l, err := newLab(s, m)
	if err != nil {
		return []error{err}
	}
	defer l.close()
	err = propagationtest.Test(propagationtest.Service{
		Handler: l.handler, Path: m.name, Families: s.Families, Spans: s.Spans,
	})
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // what Join returns
		errs = joined.Unwrap()
	}
	errs = append(errs, l.faults()...)
	var named []error
	for _, err := range errs {
		if err != nil {
			named = append(named, fmt.Errorf("%s: %w", m.name, err))
		}
	}
	return named
}
