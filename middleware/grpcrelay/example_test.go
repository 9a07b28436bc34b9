package grpcrelay_test

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/tracebaton/tracebaton/middleware/grpcrelay"
	"github.com/tracebaton/tracebaton/propagation"
)

func Example() {
	families := propagation.Istio().With(propagation.Custom("end-user"))
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(grpcrelay.UnaryServerInterceptor(families)),
		grpc.ChainStreamInterceptor(grpcrelay.StreamServerInterceptor(families)),
	)
	testgrpc.RegisterTestServiceServer(server, service{serve: func(ctx context.Context) error {
		fmt.Println("served for", propagation.FromContext(ctx).Get("end-user"))
		return nil
	}})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()

	conn, err := grpc.NewClient(listener.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(grpcrelay.UnaryClientInterceptor()),
		grpc.WithChainStreamInterceptor(grpcrelay.StreamClientInterceptor()),
	)
	if err != nil {
		panic(err)
	}
	defer func() { _ = conn.Close() }()

	// What a server's interceptor or middleware.Relay has put into the context.
	ctx := received(families, "end-user: alice")
	if _, err := testgrpc.NewTestServiceClient(conn).EmptyCall(ctx, &testgrpc.Empty{}); err != nil {
		panic(err)
	}
	// Output: served for alice
}

// A proxy has a context, and no interceptor of its own.
func ExampleIncoming() {
	in := metadata.NewIncomingContext(context.Background(), metadata.Pairs("x-request-id", "42", "authorization", "secret"))
	ctx := grpcrelay.Outgoing(grpcrelay.Incoming(in, propagation.Istio()))
	md, _ := metadata.FromOutgoingContext(ctx)
	fmt.Println(map[string][]string(md))
	// Output: map[x-request-id:[42]]
}
