package grpcrelaytest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"

	"github.com/tracebaton/tracebaton/internal/lab"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/middleware/grpcrelay"
	"github.com/tracebaton/tracebaton/middleware/grpcrelay/grpcrelaytest"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestMain(m *testing.M) {
	lab.Grace = 500 * time.Millisecond
	goleak.VerifyTestMain(m)
}

const (
	empty  = "/grpc.testing.TestService/EmptyCall"
	output = "/grpc.testing.TestService/StreamingOutputCall"
	input  = "/grpc.testing.TestService/StreamingInputCall"
	both   = "/grpc.testing.TestService/FullDuplexCall"
)

// each are a method of every kind.
func each(names ...string) map[string]proto.Message {
	if names == nil {
		names = []string{empty, output, input, both}
	}
	methods := make(map[string]proto.Message)
	for _, name := range names {
		methods[name] = nil
	}
	return methods
}

// service calls, for every call that it gets, the same method of the upstream,
// with a context that is made of its own.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	upstream testgrpc.TestServiceClient
	with     func(context.Context) context.Context
}

func (s service) EmptyCall(ctx context.Context, in *testgrpc.Empty) (*testgrpc.Empty, error) {
	return s.upstream.EmptyCall(s.with(ctx), in)
}

func (s service) StreamingOutputCall(in *testgrpc.StreamingOutputCallRequest, stream testgrpc.TestService_StreamingOutputCallServer) error {
	out, err := s.upstream.StreamingOutputCall(s.with(stream.Context()), in)
	if err != nil {
		return err
	}
	for {
		message, err := out.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.Send(message); err != nil {
			return err
		}
	}
}

func (s service) StreamingInputCall(stream testgrpc.TestService_StreamingInputCallServer) error {
	out, err := s.upstream.StreamingInputCall(s.with(stream.Context()))
	if err != nil {
		return err
	}
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		_ = out.Send(message) // CloseAndRecv has the error
	}
	message, err := out.CloseAndRecv()
	if err != nil {
		return err
	}
	return stream.SendAndClose(message)
}

func (s service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	out, err := s.upstream.FullDuplexCall(s.with(stream.Context()))
	if err != nil {
		return err
	}
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if err := out.CloseSend(); err != nil {
				return err
			}
			if _, err := out.Recv(); !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		} else if err != nil {
			return err
		}
		_ = out.Send(message) // Recv has the error
		answer, err := out.Recv()
		if err != nil {
			return err
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

// byHand is a service without interceptors.
func byHand(with func(context.Context) context.Context) grpcrelaytest.Service {
	return grpcrelaytest.Service{
		Methods: each(),
		Register: func(s grpc.ServiceRegistrar, upstream grpcrelaytest.Upstream) {
			testgrpc.RegisterTestServiceServer(s, service{upstream: testgrpc.NewTestServiceClient(upstream), with: with})
		},
	}
}

// relaying is a service with the interceptors of this repository.
func relaying(f propagation.Families) grpcrelaytest.Service {
	s := byHand(func(ctx context.Context) context.Context { return ctx })
	s.Families = f
	s.ServerOptions = []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(grpcrelay.UnaryServerInterceptor(f)),
		grpc.ChainStreamInterceptor(grpcrelay.StreamServerInterceptor(f)),
	}
	s.DialOptions = []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(grpcrelay.UnaryClientInterceptor()),
		grpc.WithChainStreamInterceptor(grpcrelay.StreamClientInterceptor()),
	}
	return s
}

func TestTheInterceptorsPass(t *testing.T) {
	t.Parallel()
	grpcrelaytest.Run(t, relaying(propagation.Istio().With(propagation.Baggage, propagation.GRPCTraceBin, propagation.Datadog, propagation.Custom("end-user"))))
}

func TestAServiceThatCallsOverHTTPPasses(t *testing.T) {
	t.Parallel()
	s := relaying(propagation.Families{})
	s.Methods = each(empty, both)
	s.Register = func(s grpc.ServiceRegistrar, upstream grpcrelaytest.Upstream) {
		upstream.Client.Transport = &middleware.Transport{Base: upstream.Client.Transport}
		testgrpc.RegisterTestServiceServer(s, overHTTP{url: upstream.URL, client: upstream.Client})
	}
	grpcrelaytest.Run(t, s)
}

type overHTTP struct {
	testgrpc.UnimplementedTestServiceServer
	url    string
	client *http.Client
}

func (s overHTTP) get(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return err
	}
	res, err := s.client.Do(r)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func (s overHTTP) EmptyCall(ctx context.Context, in *testgrpc.Empty) (*testgrpc.Empty, error) {
	return in, s.get(ctx)
}

func (s overHTTP) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	return s.get(stream.Context())
}

func TestTheUpstreamAnswersWhatItIsTold(t *testing.T) {
	t.Parallel()
	s := relaying(propagation.Families{})
	s.Methods = map[string]proto.Message{"/grpc.testing.TestService/UnaryCall": &testgrpc.SimpleRequest{ResponseSize: 7}}
	seen := make(chan int32, 1000)
	s.Register = func(s grpc.ServiceRegistrar, upstream grpcrelaytest.Upstream) {
		testgrpc.RegisterTestServiceServer(s, passing{upstream: testgrpc.NewTestServiceClient(upstream), seen: seen})
	}
	s.Backend = func(s grpc.ServiceRegistrar) { testgrpc.RegisterTestServiceServer(s, answering{}) }
	require.NoError(t, grpcrelaytest.Test(s))
	require.NotEmpty(t, seen)
	assert.EqualValues(t, 14, <-seen)
}

type passing struct {
	testgrpc.UnimplementedTestServiceServer
	upstream testgrpc.TestServiceClient
	seen     chan<- int32
}

func (s passing) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	out, err := s.upstream.UnaryCall(ctx, in)
	if err == nil {
		s.seen <- int32(len(out.GetPayload().GetBody()))
	}
	return out, err
}

type answering struct {
	testgrpc.UnimplementedTestServiceServer
}

func (answering) UnaryCall(_ context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{Payload: &testgrpc.Payload{Body: make([]byte, 2*in.ResponseSize)}}, nil
}

func TestWhatCannotBeTestedIsSaid(t *testing.T) {
	t.Parallel()
	ours := byHand(func(ctx context.Context) context.Context { return ctx })
	none, unknown, silent := ours, ours, ours
	none.Register = nil
	unknown.Methods = each("/reviews.Reviews/Get")
	silent.Methods = each("/grpc.testing.TestService/UnimplementedCall")
	for want, s := range map[string]grpcrelaytest.Service{
		"grpcrelaytest: Service.Register is nil": {},
		"grpcrelaytest: Service.Register registers no method /reviews.Reviews/Get, which is in Service.Methods":                                  unknown,
		"grpcrelaytest: Service.Register registers no method that could be called":                                                               {Register: func(grpc.ServiceRegistrar, grpcrelaytest.Upstream) {}},
		"the service answered GET /grpc.testing.TestService/UnimplementedCall with 500 Internal Server Error (\"rpc error: code = Unimplemented": silent,
	} {
		assert.ErrorContains(t, grpcrelaytest.Test(s), want)
	}
}
