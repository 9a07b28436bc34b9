package integration_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	gw "go.etcd.io/etcd/api/v3/etcdserverpb/gw"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// store is etcd's service, whose gateway is generated code of other people's.
type store struct {
	etcdserverpb.UnimplementedKVServer
	do func(context.Context) error
}

func (s store) Range(ctx context.Context, _ *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	return &etcdserverpb.RangeResponse{}, s.do(ctx)
}

func TestGRPCGatewayKeepsTheHeadersInBothRegistrations(t *testing.T) {
	none := metadata.MD{}
	for name, test := range map[string]struct {
		endpoint     bool // RegisterKVHandlerFromEndpoint, not RegisterKVHandlerServer
		relay        bool // around the mux
		matcher      bool
		interceptors bool // on the endpoint's connection, and on its server
		want         metadata.MD
	}{
		"in the process, nothing":               {want: none},
		"in the process, a matcher alone":       {matcher: true, want: none},
		"in the process, Relay":                 {relay: true, want: meshTrace},
		"in the process, Relay and a matcher":   {relay: true, matcher: true, want: meshTrace},
		"over a connection, nothing":            {endpoint: true, want: none},
		"over a connection, interceptors alone": {endpoint: true, interceptors: true, want: none},
		"over a connection, Relay":              {endpoint: true, relay: true, interceptors: true, want: meshTrace},
		"over a connection, a matcher":          {endpoint: true, matcher: true, interceptors: true, want: meshTrace},
		"over a connection, both, each once":    {endpoint: true, relay: true, matcher: true, interceptors: true, want: meshTrace},
	} {
		t.Run(name, func(t *testing.T) {
			var upstream, called recorder
			web := httptest.NewServer(&upstream)
			t.Cleanup(web.Close)
			next := dialGRPC(t, serveGRPC(t, func(g *grpc.Server) {
				etcdserverpb.RegisterKVServer(g, store{do: func(ctx context.Context) error {
					md, _ := metadata.FromIncomingContext(ctx)
					called.add(md)
					return nil
				}})
			}), clientInterceptors()...)
			service := store{do: func(ctx context.Context) error {
				if _, err := etcdserverpb.NewKVClient(next).Range(ctx, &etcdserverpb.RangeRequest{}); err != nil {
					return err
				}
				return fetch(ctx, web.URL)
			}}

			var opts []runtime.ServeMuxOption
			if test.matcher {
				opts = append(opts, runtime.WithIncomingHeaderMatcher(func(name string) (string, bool) {
					return name, meshTrace[strings.ToLower(name)] != nil
				}))
			}
			mux := runtime.NewServeMux(opts...)
			if test.endpoint {
				var server []grpc.ServerOption
				var dial []grpc.DialOption
				if test.interceptors {
					server, dial = serverInterceptors(propagation.Istio()), clientInterceptors()
				}
				addr := serveGRPC(t, func(g *grpc.Server) { etcdserverpb.RegisterKVServer(g, service) }, server...)
				require.NoError(t, gw.RegisterKVHandler(t.Context(), mux, dialGRPC(t, addr, dial...)))
			} else {
				require.NoError(t, gw.RegisterKVHandlerServer(t.Context(), mux, service))
			}
			var h http.Handler = mux
			if test.relay {
				h = middleware.Relay(propagation.Istio())(mux)
			}
			front := httptest.NewServer(h)
			t.Cleanup(front.Close)

			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front.URL+"/v3/kv/range", strings.NewReader("{}"))
			require.NoError(t, err)
			req.Header = tracedHeader()
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusOK, res.StatusCode)
			assert.Equal(t, []metadata.MD{test.want}, upstream.take(), "over HTTP")
			assert.Equal(t, []metadata.MD{test.want}, called.take(), "over gRPC")
		})
	}
}

func TestConnectIsHTTPInAllOfItsProtocols(t *testing.T) {
	const unary, bidi = "/test.Service/Unary", "/test.Service/Bidi"
	for name, option := range map[string]connect.ClientOption{
		"Connect":  connect.WithClientOptions(),
		"gRPC":     connect.WithGRPC(),
		"gRPC-Web": connect.WithGRPCWeb(),
	} {
		t.Run(name, func(t *testing.T) {
			var upstream recorder
			web := httptest.NewServer(&upstream)
			t.Cleanup(web.Close)
			mux := http.NewServeMux()
			mux.Handle(unary, connect.NewUnaryHandler(unary, func(ctx context.Context, _ *connect.Request[emptypb.Empty]) (*connect.Response[emptypb.Empty], error) {
				return connect.NewResponse(new(emptypb.Empty)), fetch(ctx, web.URL)
			}))
			mux.Handle(bidi, connect.NewBidiStreamHandler(bidi, func(ctx context.Context, stream *connect.BidiStream[emptypb.Empty, emptypb.Empty]) error {
				if _, err := stream.Receive(); err != nil {
					return err
				}
				if err := fetch(ctx, web.URL); err != nil {
					return err
				}
				return stream.Send(new(emptypb.Empty))
			}))
			url := serveH2C(t, middleware.Relay(propagation.Istio())(mux))

			base := &http.Transport{Protocols: new(http.Protocols)}
			base.Protocols.SetUnencryptedHTTP2(true)
			t.Cleanup(base.CloseIdleConnections)
			client := &http.Client{Transport: &middleware.Transport{Base: base}}
			ctx := propagation.NewContext(t.Context(), propagation.Istio().Extract(tracedHeader()))

			_, err := connect.NewClient[emptypb.Empty, emptypb.Empty](client, url+unary, option).CallUnary(ctx, connect.NewRequest(new(emptypb.Empty)))
			require.NoError(t, err)
			assert.Equal(t, []metadata.MD{meshTrace}, upstream.take(), "a unary call")

			stream := connect.NewClient[emptypb.Empty, emptypb.Empty](client, url+bidi, option).CallBidiStream(ctx)
			require.NoError(t, stream.Send(new(emptypb.Empty)))
			_, err = stream.Receive()
			require.NoError(t, err)
			require.NoError(t, stream.CloseRequest())
			require.NoError(t, stream.CloseResponse())
			assert.Equal(t, []metadata.MD{meshTrace}, upstream.take(), "a stream")
		})
	}
}
