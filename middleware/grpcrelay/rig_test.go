package grpcrelay_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tracebaton/tracebaton/middleware/grpcrelay"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// everything is a list of all that a mesh may send, and of headers of a service's own.
var everything = propagation.Istio().With(propagation.Baggage, propagation.GRPCTraceBin, propagation.Custom("end-user"))

// six are the headers of a traced request in an Istio mesh.
var six = []string{
	"x-request-id", "5f2c1c9a-77b3-9f0e-a2fd-8d1a3f6f8f2f",
	"x-b3-traceid", "463ac35c9f6413ad48485a3953bb6124",
	"x-b3-spanid", "a2fb4a1d1a96d312",
	"x-b3-parentspanid", "0020000000000001",
	"x-b3-sampled", "1",
	"traceparent", "00-463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-01",
}

// service answers all methods alike, once serve has returned.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	serve func(ctx context.Context) error
}

func (s service) EmptyCall(ctx context.Context, _ *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, s.serve(ctx)
}

func (s service) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{Payload: in.Payload}, s.serve(ctx)
}

func (s service) StreamingOutputCall(_ *testgrpc.StreamingOutputCallRequest, stream testgrpc.TestService_StreamingOutputCallServer) error {
	if err := s.serve(stream.Context()); err != nil {
		return err
	}
	return stream.Send(&testgrpc.StreamingOutputCallResponse{})
}

func (s service) StreamingInputCall(stream testgrpc.TestService_StreamingInputCallServer) error {
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if err := s.serve(stream.Context()); err != nil {
		return err
	}
	return stream.SendAndClose(&testgrpc.StreamingInputCallResponse{})
}

func (s service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.serve(stream.Context()); err != nil {
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: in.Payload}); err != nil {
			return err
		}
	}
}

// kinds are a call of each kind.
var kinds = map[string]func(context.Context, testgrpc.TestServiceClient) error{
	"a unary call": func(ctx context.Context, c testgrpc.TestServiceClient) error {
		_, err := c.EmptyCall(ctx, &testgrpc.Empty{})
		return err
	},
	"a stream of the server's": func(ctx context.Context, c testgrpc.TestServiceClient) error {
		stream, err := c.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{})
		if err != nil {
			return err
		}
		return drain(stream)
	},
	"a stream of the client's": func(ctx context.Context, c testgrpc.TestServiceClient) error {
		stream, err := c.StreamingInputCall(ctx)
		if err != nil {
			return err
		}
		_ = stream.Send(&testgrpc.StreamingInputCallRequest{}) // CloseAndRecv has the error
		_, err = stream.CloseAndRecv()
		return err
	},
	"a stream of both": func(ctx context.Context, c testgrpc.TestServiceClient) error {
		stream, err := c.FullDuplexCall(ctx)
		if err != nil {
			return err
		}
		_ = stream.Send(&testgrpc.StreamingOutputCallRequest{}) // Recv has the error
		if err := stream.CloseSend(); err != nil {
			return err
		}
		return drain(stream)
	},
}

func drain(stream interface {
	Recv() (*testgrpc.StreamingOutputCallResponse, error)
}) error {
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// relaying are both interceptors of either side.
func relaying(f propagation.Families) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(grpcrelay.UnaryServerInterceptor(f)),
		grpc.ChainStreamInterceptor(grpcrelay.StreamServerInterceptor(f)),
	}
}

func sending() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(grpcrelay.UnaryClientInterceptor()),
		grpc.WithChainStreamInterceptor(grpcrelay.StreamClientInterceptor()),
	}
}

// serve starts a server, and returns a way to connect to it.
func serve(t testing.TB, serve func(context.Context) error, opts ...grpc.ServerOption) (connect func(...grpc.DialOption) testgrpc.TestServiceClient) {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	s := grpc.NewServer(opts...)
	testgrpc.RegisterTestServiceServer(s, service{serve: serve})
	done := make(chan error, 1)
	go func() { done <- s.Serve(listener) }()
	t.Cleanup(func() {
		s.Stop()
		require.NoError(t, <-done)
	})
	return func(opts ...grpc.DialOption) testgrpc.TestServiceClient {
		return testgrpc.NewTestServiceClient(connectTo(t, listener, opts...))
	}
}

func connectTo(t testing.TB, listener *bufconn.Listener, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	opts = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
	}, opts...)
	conn, err := grpc.NewClient("passthrough:///bufconn", opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

// dial connects over the network.
func dial(t testing.TB, addr string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

// upstream is a gRPC server that keeps the metadata of what arrives.
type upstream struct {
	connect func(...grpc.DialOption) testgrpc.TestServiceClient
	mu      sync.Mutex
	all     []metadata.MD
}

func newUpstream(t testing.TB, opts ...grpc.ServerOption) *upstream {
	u := new(upstream)
	u.connect = serve(t, func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		u.mu.Lock()
		defer u.mu.Unlock()
		u.all = append(u.all, md)
		return nil
	}, opts...)
	return u
}

// arrived returns the metadata of all calls since it was asked last, less what
// grpc-go adds itself.
func (u *upstream) arrived() []metadata.MD {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.all
	u.all = nil
	for _, md := range all {
		maps.DeleteFunc(md, func(name string, _ []string) bool {
			return name[0] == ':' || slices.Contains([]string{"content-type", "user-agent", "grpc-accept-encoding"}, name)
		})
	}
	return all
}

// hop is a service that is called over gRPC and calls an upstream over gRPC.
type hop struct {
	*upstream
	client testgrpc.TestServiceClient
}

// newHop returns one that relays f, and makes a call of the kind for each that
// it gets.
func newHop(t testing.TB, f propagation.Families, kind func(context.Context, testgrpc.TestServiceClient) error) hop {
	u := newUpstream(t)
	client := u.connect(sending()...)
	return hop{u, serve(t, func(ctx context.Context) error { return kind(ctx, client) }, relaying(f)...)()}
}

// web is an HTTP server that keeps the headers of what arrives.
func web(t testing.TB) (url string, arrived func() http.Header) {
	var mu sync.Mutex
	var last http.Header
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		last = r.Header
	}))
	t.Cleanup(s.Close)
	return s.URL, func() http.Header {
		mu.Lock()
		defer mu.Unlock()
		return last
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// httpClient returns a client whose connections are closed with the test.
func httpClient(t testing.TB, wrap func(http.RoundTripper) http.RoundTripper) *http.Client {
	base := new(http.Transport)
	t.Cleanup(base.CloseIdleConnections)
	if wrap == nil {
		return &http.Client{Transport: base}
	}
	return &http.Client{Transport: wrap(base)}
}

// received returns a context that carries the lines (name: value) as if they
// had come with a request over HTTP.
func received(f propagation.Families, lines ...string) context.Context {
	return propagation.NewContext(context.Background(), f.Collect(func(yield func(string, string) bool) {
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			if !yield(name, value) {
				return
			}
		}
	}))
}

// outgoing returns what Outgoing adds to ctx.
func outgoing(ctx context.Context) metadata.MD {
	md, _ := metadata.FromOutgoingContext(grpcrelay.Outgoing(ctx))
	return md
}
