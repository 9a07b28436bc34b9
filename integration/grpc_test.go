package integration_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fullstorydev/grpchan"
	"github.com/fullstorydev/grpchan/inprocgrpc"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otel "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/tracebaton/tracebaton/integration/jaeger"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/middleware/grpcrelay"
	"github.com/tracebaton/tracebaton/middleware/grpcrelay/grpcrelaytest"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
	"github.com/tracebaton/tracebaton/propagation/propagationtest"
)

// meshTrace are the headers of a traced request in an Istio mesh, with a repeated
// one.
var meshTrace = metadata.Pairs(
	"x-request-id", "5f2c1c9a-77b3-9f0e-a2fd-8d1a3f6f8f2f",
	"x-b3-traceid", "463ac35c9f6413ad48485a3953bb6124",
	"x-b3-spanid", "a2fb4a1d1a96d312",
	"x-b3-parentspanid", "0020000000000001",
	"x-b3-sampled", "1",
	"traceparent", "00-463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-01",
	"tracestate", "rojo=1",
	"tracestate", "congo=2",
)

// tracedHeader is the same for HTTP.
func tracedHeader() http.Header {
	h := make(http.Header)
	for name, values := range meshTrace {
		h[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	return h
}

// ofTrace returns those of the headers that are of a trace.
func ofTrace(h map[string][]string) metadata.MD {
	found := make(metadata.MD)
	for name, values := range h {
		if name = strings.ToLower(name); meshTrace[name] != nil {
			found[name] = values
		}
	}
	return found
}

// recorder keeps the trace headers of each call that arrives.
type recorder struct {
	mu  sync.Mutex
	all []metadata.MD
}

func (r *recorder) add(h map[string][]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, ofTrace(h))
}

func (r *recorder) take() []metadata.MD {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

func (r *recorder) ServeHTTP(_ http.ResponseWriter, req *http.Request) { r.add(req.Header) }

// testService does the same for each call.
type testService struct {
	testgrpc.UnimplementedTestServiceServer
	do func(context.Context) error
}

func (s testService) EmptyCall(ctx context.Context, in *testgrpc.Empty) (*testgrpc.Empty, error) {
	return in, s.do(ctx)
}

func (s testService) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.do(stream.Context()); err != nil {
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

// grpcCalls are a call of either kind.
var grpcCalls = map[string]func(context.Context, grpc.ClientConnInterface) error{
	"a unary call": func(ctx context.Context, conn grpc.ClientConnInterface) error {
		_, err := testgrpc.NewTestServiceClient(conn).EmptyCall(ctx, &testgrpc.Empty{})
		return err
	},
	"a stream": func(ctx context.Context, conn grpc.ClientConnInterface) error {
		stream, err := testgrpc.NewTestServiceClient(conn).FullDuplexCall(ctx)
		if err != nil {
			return err
		}
		_ = stream.Send(&testgrpc.StreamingOutputCallRequest{}) // Recv has the error
		if err := stream.CloseSend(); err != nil {
			return err
		}
		for {
			if _, err := stream.Recv(); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	},
}

func serverInterceptors(f propagation.Families) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(grpcrelay.UnaryServerInterceptor(f)),
		grpc.ChainStreamInterceptor(grpcrelay.StreamServerInterceptor(f)),
	}
}

func clientInterceptors() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(grpcrelay.UnaryClientInterceptor()),
		grpc.WithChainStreamInterceptor(grpcrelay.StreamClientInterceptor()),
	}
}

// serveGRPC serves what register registers.
func serveGRPC(t testing.TB, register func(*grpc.Server), opts ...grpc.ServerOption) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer(opts...)
	register(s)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(s.Stop)
	return listener.Addr().String()
}

func dialGRPC(t testing.TB, addr string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// fetch calls url with the context's headers.
func fetch(ctx context.Context, url string) error {
	client := &http.Client{Transport: &middleware.Transport{}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return err
}

// The gRPC service between flaskapp and httpbin makes no spans: the trace is
// whole because it relays.
func TestAGRPCServiceBetweenServicesKeepsTheTraceWholeInJaeger(t *testing.T) {
	jaeger.Need(t)
	for kind, call := range grpcCalls {
		t.Run(kind, func(t *testing.T) {
			server := jaeger.Start(t, "")
			s := start(t, server.Env("otlp")...)
			front := func(opts []grpc.ServerOption, dial []grpc.DialOption) string {
				addr := serveGRPC(t, func(g *grpc.Server) {
					testgrpc.RegisterTestServiceServer(g, testService{do: func(ctx context.Context) error { return fetch(ctx, s.httpbinURL+"/ip") }})
				}, opts...)
				conn := dialGRPC(t, addr, dial...)
				web := httptest.NewServer(middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if err := call(r.Context(), conn); err != nil {
						http.Error(w, err.Error(), http.StatusBadGateway)
					}
				})))
				t.Cleanup(web.Close)
				return s.flaskappURL + "/fetch_with_trace?url=" + web.URL + "/"
			}
			relayed, not := front(serverInterceptors(propagation.Istio()), clientInterceptors()), front(nil, nil)

			s.sleep(t, relayed)
			s.sleep(t, not)
			s.stop(t)
			var trees []string
			for _, service := range []string{"sleep", "httpbin"} {
				for _, trace := range find(t, server, service) {
					if tree := "\n" + trace.Tree(); !slices.Contains(trees, tree) {
						trees = append(trees, tree)
					}
				}
			}
			assert.ElementsMatch(t, []string{whole, `
sleep: GET, client
  flaskapp: GET /fetch_with_trace, server
    flaskapp: GET, client
`, `
httpbin: GET /ip, server
`}, trees)
		})
	}
}

// The service makes spans with OpenTelemetry, and every hop is in the trace.
func TestAGRPCServiceWithSpansOfItsOwnIsPartOfTheTraceInJaeger(t *testing.T) {
	jaeger.Need(t)
	server := jaeger.Start(t, "")
	s := start(t, server.Env("otlp")...)
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(endpoint(t, server)+"/v1/traces"))
	require.NoError(t, err)
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "reviews"))))
	opts := []otelgrpc.Option{otelgrpc.WithTracerProvider(provider), otelgrpc.WithPropagators(otelprop.Propagator{})}
	addr := serveGRPC(t, func(g *grpc.Server) {
		testgrpc.RegisterTestServiceServer(g, testService{do: func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.httpbinURL+"/ip", nil)
			if err != nil {
				return err
			}
			otelprop.Propagator{}.Inject(ctx, otel.HeaderCarrier(req.Header))
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			return res.Body.Close()
		}})
	}, grpc.StatsHandler(otelgrpc.NewServerHandler(opts...)))
	// The caller relays without spans of its own.
	conn := dialGRPC(t, addr, clientInterceptors()...)
	web := httptest.NewServer(middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := grpcCalls["a unary call"](r.Context(), conn); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})))
	t.Cleanup(web.Close)

	s.sleep(t, s.flaskappURL+"/fetch_with_trace?url="+web.URL+"/")
	require.NoError(t, provider.Shutdown(context.Background()))
	s.stop(t)
	require.Equal(t, `
sleep: GET, client
  flaskapp: GET /fetch_with_trace, server
    flaskapp: GET, client
      reviews: grpc.testing.TestService/EmptyCall, server
        httpbin: GET /ip, server
`, "\n"+one(t, find(t, server, "sleep")).Tree())
}

// endpoint is where the server takes spans over OTLP.
func endpoint(t testing.TB, server *jaeger.Server) string {
	for _, env := range server.Env("otlp") {
		if url, ok := strings.CutPrefix(env, "OTEL_EXPORTER_OTLP_ENDPOINT="); ok {
			return url
		}
	}
	require.FailNow(t, "the server has no endpoint for OTLP")
	return ""
}

func TestAGRPCServerWithinAnHTTPServerNeedsTheRelayOrTheInterceptors(t *testing.T) {
	var upstream recorder
	web := httptest.NewServer(&upstream)
	t.Cleanup(web.Close)
	for name, test := range map[string]struct {
		relay        bool
		interceptors bool
		want         metadata.MD
	}{
		"Relay outside":    {relay: true, want: meshTrace},
		"interceptors":     {interceptors: true, want: meshTrace},
		"both":             {relay: true, interceptors: true, want: meshTrace},
		"neither, nothing": {want: metadata.MD{}},
	} {
		t.Run(name, func(t *testing.T) {
			var opts []grpc.ServerOption
			if test.interceptors {
				opts = serverInterceptors(propagation.Istio())
			}
			g := grpc.NewServer(opts...)
			testgrpc.RegisterTestServiceServer(g, testService{do: func(ctx context.Context) error { return fetch(ctx, web.URL) }})
			var h http.Handler = g
			if test.relay {
				h = middleware.Relay(propagation.Istio())(g)
			}
			front := serveH2C(t, h)
			conn := dialGRPC(t, strings.TrimPrefix(front, "http://"))
			for kind, call := range grpcCalls {
				require.NoError(t, call(metadata.NewOutgoingContext(t.Context(), meshTrace), conn), kind)
				assert.Equal(t, []metadata.MD{test.want}, upstream.take(), kind)
			}
		})
	}
}

// serveH2C serves HTTP/1 and HTTP/2 in cleartext.
func serveH2C(t testing.TB, h http.Handler) (url string) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func TestAChannelWithinTheProcessCarriesTheHeaders(t *testing.T) {
	var upstream recorder
	web := httptest.NewServer(&upstream)
	t.Cleanup(web.Close)
	channel := new(inprocgrpc.Channel).
		WithServerUnaryInterceptor(grpcrelay.UnaryServerInterceptor(propagation.Istio())).
		WithServerStreamInterceptor(grpcrelay.StreamServerInterceptor(propagation.Istio()))
	testgrpc.RegisterTestServiceServer(channel, testService{do: func(ctx context.Context) error { return fetch(ctx, web.URL) }})
	conn := grpchan.InterceptClientConn(channel, grpcrelay.UnaryClientInterceptor(), grpcrelay.StreamClientInterceptor())
	ctx := propagation.NewContext(t.Context(), propagation.Istio().Extract(tracedHeader()))
	for kind, call := range grpcCalls {
		require.NoError(t, call(ctx, conn), kind)
		assert.Equal(t, []metadata.MD{meshTrace}, upstream.take(), kind)
	}
}

func TestARetryOfAnotherInterceptorsCarriesTheHeadersOnceWhicheverIsOutside(t *testing.T) {
	again := retry.UnaryClientInterceptor(retry.WithMax(3), retry.WithBackoff(retry.BackoffLinear(time.Millisecond)), retry.WithCodes(codes.Unavailable))
	relay := grpcrelay.UnaryClientInterceptor()
	for name, chain := range map[string][]grpc.UnaryClientInterceptor{
		"the retry outside": {again, relay},
		"the relay outside": {relay, again},
	} {
		t.Run(name, func(t *testing.T) {
			var attempts recorder
			var made atomic.Int32
			addr := serveGRPC(t, func(g *grpc.Server) {
				testgrpc.RegisterTestServiceServer(g, testService{do: func(ctx context.Context) error {
					md, _ := metadata.FromIncomingContext(ctx)
					attempts.add(md)
					if made.Add(1) < 3 {
						return status.Error(codes.Unavailable, "try again")
					}
					return nil
				}})
			})
			conn := dialGRPC(t, addr, grpc.WithChainUnaryInterceptor(chain...))
			ctx := propagation.NewContext(t.Context(), propagation.Istio().Extract(tracedHeader()))
			require.NoError(t, grpcCalls["a unary call"](ctx, conn))
			assert.Equal(t, []metadata.MD{meshTrace, meshTrace, meshTrace}, attempts.take())
		})
	}
}

// kitted is a service that calls the method that it is called with.
func kitted(server []grpc.ServerOption, client []grpc.DialOption) grpcrelaytest.Service {
	return grpcrelaytest.Service{
		Register: func(s grpc.ServiceRegistrar, upstream grpcrelaytest.Upstream) {
			testgrpc.RegisterTestServiceServer(s, testService{do: func(ctx context.Context) error {
				return grpcCalls["a unary call"](ctx, upstream)
			}})
		},
		ServerOptions: server,
		DialOptions:   client,
		Methods: map[string]proto.Message{
			"/grpc.testing.TestService/EmptyCall":      nil,
			"/grpc.testing.TestService/FullDuplexCall": nil,
		},
	}
}

// notW3C is what is relayed beside TraceContext.
var notW3C = propagation.Of(propagation.RequestID, propagation.B3, propagation.OTSpanContext)

// handlers are otelgrpc's, with an SDK that samples what comes without a decision.
func handlers(p otel.TextMapPropagator) ([]grpc.ServerOption, []grpc.DialOption) {
	opts := []otelgrpc.Option{otelgrpc.WithTracerProvider(sdk.NewTracerProvider()), otelgrpc.WithPropagators(p)}
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(opts...))},
		[]grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler(opts...))}
}

// beside adds the interceptors to otelgrpc's handlers.
func beside(p otel.TextMapPropagator, relayed propagation.Families) ([]grpc.ServerOption, []grpc.DialOption) {
	server, client := handlers(p)
	return append(server, serverInterceptors(relayed)...), append(client, clientInterceptors()...)
}

// onlyRepeated requires that nothing is wrong but that otelgrpc's carrier has one
// value of a name.
func onlyRepeated(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if strings.HasPrefix(line, "/grpc.testing.TestService") {
			assert.Contains(t, line, "every value of a repeated header arrives, in order")
		}
	}
}

func TestEachFamilyKeepsItsTraceWhereOtelgrpcOrTheInterceptorsWriteIt(t *testing.T) {
	t.Run("both write a family, and mix two spans in it", func(t *testing.T) {
		s := kitted(beside(otelprop.Propagator{}, propagation.Istio()))
		s.Spans = propagationtest.OwnSpans
		err := grpcrelaytest.Test(s)
		assert.ErrorContains(t, err, "x-b3-parentspanid arrived empty")
		assert.ErrorContains(t, err, "the caller set traceparent, and tracestate of the request went out")
	})
	t.Run("with TraceContext, the interceptors relay what it does not write", func(t *testing.T) {
		s := kitted(beside(otel.TraceContext{}, notW3C))
		s.Families = notW3C
		assert.NoError(t, grpcrelaytest.Test(s))
	})
	t.Run("with TraceContext, the service's spans are in W3C's trace", func(t *testing.T) {
		s := kitted(beside(otel.TraceContext{}, notW3C))
		s.Families, s.Spans = propagation.Of(propagation.W3C), propagationtest.OwnSpans
		onlyRepeated(t, grpcrelaytest.Test(s))
	})
	t.Run("with this repository's propagator, they are in the trace of all", func(t *testing.T) {
		s := kitted(handlers(otelprop.Propagator{}))
		s.Spans = propagationtest.OwnSpans
		onlyRepeated(t, grpcrelaytest.Test(s))
	})
}
