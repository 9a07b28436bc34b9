package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/middleware/grpcrelay"
	"github.com/tracebaton/tracebaton/propagation"
)

// caller is a service that calls what its message says: a URL, or an address
// over gRPC.
type caller struct {
	testgrpc.UnimplementedTestServiceServer
	with func(context.Context) context.Context
}

func (s caller) call(ctx context.Context, to string) error {
	if s.with != nil {
		ctx = s.with(ctx)
	}
	if _, _, err := net.SplitHostPort(to); err == nil {
		conn, err := grpc.NewClient(to, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUnaryInterceptor(grpcrelay.UnaryClientInterceptor()))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		_, err = testgrpc.NewTestServiceClient(conn).EmptyCall(ctx, &testgrpc.Empty{})
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	client := &http.Client{Transport: &middleware.Transport{}}
	res, err := client.Do(r)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return res.Body.Close()
}

func (s caller) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{Username: "somebody"}, s.call(ctx, in.GetResponseStatus().GetMessage())
}

func (s caller) StreamingOutputCall(in *testgrpc.StreamingOutputCallRequest, stream testgrpc.TestService_StreamingOutputCallServer) error {
	if err := s.call(stream.Context(), in.GetResponseStatus().GetMessage()); err != nil {
		return err
	}
	if err := stream.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
		return err
	}
	<-stream.Context().Done() // it waits for what does not come
	return nil
}

func (s caller) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.call(stream.Context(), in.GetResponseStatus().GetMessage()); err != nil {
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

// serveCaller serves one, and returns where.
func serveCaller(t *testing.T, s caller, reflect bool, opts ...grpc.ServerOption) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer(opts...)
	testgrpc.RegisterTestServiceServer(server, s)
	if reflect {
		reflection.Register(server)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return "grpc://" + listener.Addr().String()
}

func relayingGRPC(f propagation.Families) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.UnaryInterceptor(grpcrelay.UnaryServerInterceptor(f)),
		grpc.StreamInterceptor(grpcrelay.StreamServerInterceptor(f)),
	}
}

const (
	unaryCall = "/grpc.testing.TestService/UnaryCall"
	toHTTP    = `{"responseStatus": {"message": "{upstream}"}}`
	toGRPC    = `{"responseStatus": {"message": "{grpc-upstream}"}}`
)

func TestCheckCallsAServiceOverGRPC(t *testing.T) {
	t.Parallel()
	whole := serveCaller(t, caller{}, true, relayingGRPC(propagation.Families{})...)
	all := serveCaller(t, caller{}, true, relayingGRPC(propagation.Istio().With(propagation.GRPCTraceBin, propagation.Custom("end-user")))...)
	unaryOnly := serveCaller(t, caller{}, true, relayingGRPC(propagation.Families{})[0])
	background := serveCaller(t, caller{with: func(context.Context) context.Context { return context.Background() }}, true, relayingGRPC(propagation.Families{})...)
	secured := serveCaller(t, caller{}, true, append(relayingGRPC(propagation.Families{}), grpc.ChainUnaryInterceptor(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			if md, _ := metadata.FromIncomingContext(ctx); len(md["token"]) == 0 || md["token"][0] != "secret" {
				return nil, status.Error(codes.Unauthenticated, "no token")
			}
			return handler(ctx, req)
		}))...)
	silent := serveCaller(t, caller{}, false)
	for name, test := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"a unary call that calls over HTTP":    {[]string{whole + unaryCall, "-d", toHTTP}, statusWhole, "Whole: relays"},
		"a stream of the server's, left open":  {[]string{whole + "/grpc.testing.TestService/StreamingOutputCall", "-d", toHTTP}, statusWhole, "Whole: relays"},
		"a stream of both":                     {[]string{whole + "/grpc.testing.TestService/FullDuplexCall", "-d", toHTTP}, statusWhole, "Whole: relays"},
		"a service that calls over gRPC":       {[]string{whole + unaryCall, "-d", toGRPC, "-answer", "/grpc.testing.TestService/EmptyCall="}, statusWhole, "Whole: relays"},
		"one that cannot live with the answer": {[]string{whole + unaryCall, "-d", toGRPC}, statusUnknown, "-answer '/grpc.testing.TestService/EmptyCall=' answers it with an empty message"},
		"bytes and a header of one's own":      {[]string{all + unaryCall, "-d", toHTTP, "-families", "request-id,b3,w3c,grpc-trace-bin,end-user"}, statusWhole, "Whole: relays"},
		"a service that loses all":             {[]string{background + unaryCall, "-d", toHTTP}, statusBroken, "Broken: drops"},
		"streams that lose all":                {[]string{unaryOnly + "/grpc.testing.TestService/FullDuplexCall", "-d", toHTTP}, statusBroken, "Broken: drops"},
		"a token in metadata":                  {[]string{secured + unaryCall, "-d", toHTTP, "-H", "token: secret"}, statusWhole, "Whole: relays"},
		"no token": {
			[]string{secured + unaryCall, "-d", toHTTP}, statusUnknown,
			"401 Unauthorized (Unauthenticated in gRPC: no token) and did not call its upstream",
		},
		"no reflection": {
			[]string{silent + unaryCall, "-d", toHTTP}, statusUnknown,
			"the server has no reflection, by which check learns what the method takes: register it",
		},
		"an unknown service": {
			[]string{whole + "/reviews.Reviews/Get", "-d", toHTTP}, statusUnknown,
			"the server has no service reviews.Reviews; it has grpc.reflection.v1.ServerReflection, grpc.reflection.v1alpha.ServerReflection, grpc.testing.TestService",
		},
		"an unknown method": {
			[]string{whole + "/grpc.testing.TestService/Get", "-d", toHTTP}, statusUnknown,
			"the service grpc.testing.TestService has no method Get; it has CacheableUnaryCall, EmptyCall, FullDuplexCall,",
		},
		"no method": {
			[]string{whole, "-d", toHTTP}, statusUnknown,
			"the URL names no method, as in grpc://host:port/package.Service/Method; the server has the services",
		},
		"an unknown field": {
			[]string{whole + unaryCall, "-d", `{"url": "{upstream}"}`}, statusUnknown,
			`unknown field "url"; its fields are `,
		},
		"nobody there": {
			[]string{"grpc://127.0.0.1:1" + unaryCall, "-d", toHTTP}, statusUnknown,
			"the service does not answer at 127.0.0.1:1: ",
		},
		"TLS for a server without": {
			[]string{"grpcs" + whole[4:] + unaryCall, "-d", toHTTP}, statusUnknown,
			"see that it listens there, and that grpc:// (without TLS) or grpcs:// (with) is right",
		},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := tracebaton(t, "", append([]string{"check"}, test.args...)...)
			assert.Equal(t, test.status, status, stdout+stderr)
			assert.Contains(t, flat(stdout+stderr), test.says)
		})
	}
}

func TestCheckSaysWhatIsWrongWithARequestOverGRPC(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"no upstream": {[]string{"grpc://127.0.0.1:1/a.B/C"}, "-d has no {upstream} and no {grpc-upstream}"},
		"a query":     {[]string{"grpc://127.0.0.1:1/a.B/C?url={upstream}"}, "has a query or a fragment; gRPC has neither"},
		"no host":     {[]string{"grpc:///a.B/C", "-d", toHTTP}, "is not of the form grpc://host:port/package.Service/Method"},
		"a method":    {[]string{"grpc://127.0.0.1:1/a.B/C", "-d", toHTTP, "-X", "PUT"}, "-X is for HTTP"},
		"a host":      {[]string{"grpc://127.0.0.1:1/a.B/C", "-d", toHTTP, "-H", "Host: a"}, "is for HTTP"},
		"a scheme":    {[]string{"ftp://127.0.0.1/{upstream}"}, "is not an http://, https://, grpc:// or grpcs:// URL"},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr, status := tracebaton(t, "", append([]string{"check"}, test.args...)...)
			assert.Equal(t, statusUnknown, status)
			assert.Contains(t, flat(stderr), test.says)
		})
	}
}

func TestAServiceThatDoesNotAnswerOverGRPCIsGivenUp(t *testing.T) {
	t.Parallel()
	url := serveCaller(t, caller{with: func(ctx context.Context) context.Context {
		<-ctx.Done()
		return ctx
	}}, true)
	stdout, _, status := tracebaton(t, "", "check", url+unaryCall, "-d", toHTTP, "-timeout", (300 * time.Millisecond).String())
	assert.Equal(t, statusUnknown, status)
	assert.Contains(t, flat(stdout), "the service did not answer within 300ms")
}

func TestAFieldThatIsRequiredIsNamed(t *testing.T) {
	field := func(name string, number int32, label descriptorpb.FieldDescriptorProto_Label) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{Name: &name, Number: &number, Label: &label, Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("old.proto"), Package: proto.String("old"), Syntax: proto.String("proto2"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: proto.String("Request"),
			Field: []*descriptorpb.FieldDescriptorProto{
				field("url", 1, descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL),
				field("tenant", 2, descriptorpb.FieldDescriptorProto_LABEL_REQUIRED),
			},
		}},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: proto.String("Service"),
			Method: []*descriptorpb.MethodDescriptorProto{{
				Name: proto.String("Get"), InputType: proto.String(".old.Request"), OutputType: proto.String(".old.Request"),
			}},
		}},
	}, nil)
	require.NoError(t, err)
	s := &grpcService{method: file.Services().Get(0).Methods().Get(0)}
	_, err = s.message(`{"url": "a"}`)
	assert.ErrorContains(t, err, "-d is not the old.Request in JSON that old.Service.Get takes")
	assert.ErrorContains(t, err, "required field old.Request.tenant not set; its fields are tenant, url")
	_, err = s.message(`{"url": "a", "tenant": "b"}`)
	assert.NoError(t, err)
}
