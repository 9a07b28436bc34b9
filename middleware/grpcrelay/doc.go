// Package grpcrelay relays trace headers through gRPC: the server's two
// interceptors keep those that come in, the client's two send them with every
// call made with the context of the method or of the stream. gRPC itself
// forwards nothing, by design.
//
//	server := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(grpcrelay.UnaryServerInterceptor(propagation.Istio())),
//		grpc.ChainStreamInterceptor(grpcrelay.StreamServerInterceptor(propagation.Istio())),
//	)
//	conn, err := grpc.NewClient("reviews:9080",
//		grpc.WithTransportCredentials(insecure.NewCredentials()), // the sidecar's mTLS
//		grpc.WithChainUnaryInterceptor(grpcrelay.UnaryClientInterceptor()),
//		grpc.WithChainStreamInterceptor(grpcrelay.StreamClientInterceptor()),
//	)
//
// Install all four: with those for unary calls alone, streams lose the headers.
// It is the same context that joins gRPC and HTTP: what came in over one leaves
// over the other, with package middleware on the HTTP side.
//
// A connection leads to one target for as long as it lives, so that there is no
// counterpart of the Match of middleware.Transport: install the client's two on
// connections that stay inside the mesh, and on no others. There is none of
// middleware.Edge either: do not install the server's two on a listener that
// strangers reach.
//
// # What is sent
//
// gRPC fails a call for values and names that HTTP allows, a server refuses one
// whose headers are more than it takes, and neither may happen for the sake of
// a trace: [Outgoing] says what is left out. What is left out goes out over HTTP
// all the same.
//
// A family of which the outgoing metadata has any key is the caller's, and
// nothing of it is added. So metadata that a method copied from its request by
// hand is sent once.
//
// # Where it goes wrong
//
//   - Beside OpenTelemetry. otelgrpc's client handler runs after all
//     interceptors and writes over what they wrote, in part: traceparent of its
//     span stays beside tracestate and x-b3-* of the caller's. On one connection
//     one of the two must own a family. With otelgrpc and
//     the propagator of package propagation/otelprop on the connection, leave the
//     client's interceptors out; with otelgrpc and OpenTelemetry's own
//     propagator, give the server's interceptors a list without what that
//     writes (propagation.Of(propagation.RequestID, propagation.B3) beside
//     TraceContext).
//   - otelgrpc's carrier returns only the first of several values, and takes
//     grpc-trace-bin for text. Services that relay these and make no spans need
//     the interceptors, not a propagator.
//   - Order. grpc-go runs interceptors in the order in which they were chained,
//     those of grpc.UnaryInterceptor and grpc.WithUnaryInterceptor before all
//     others. On the server, put the relay first: what is outside of it (a log,
//     authorization that makes a call) has no headers. On the client, put it
//     last: what an interceptor inside of it adds to the metadata cannot be seen,
//     and is sent beside the relayed value.
//   - Credentials (credentials.PerRPCCredentials) add their metadata after all
//     interceptors, too. Those that write trace headers send them twice.
//   - A gateway's RegisterXHandlerServer (grpc-gateway) calls the methods without
//     any interceptor. Put middleware.Relay around its mux, which does for
//     RegisterXHandlerFromEndpoint as well. A header matcher alone fills the
//     metadata and not the context.
//   - grpc.Server.ServeHTTP: either middleware.Relay outside or the interceptors
//     inside will do, and both do no harm.
//   - Connect (connectrpc.com/connect) is net/http for all three of its
//     protocols: use middleware.Relay and middleware.Transport.
//   - Retries by service config, and those of an interceptor, send the headers
//     once with every attempt, whichever is outside.
//   - Channels within the process, such as fullstorydev/grpchan's, run
//     interceptors, with a nil *grpc.ClientConn, which these do not touch. They
//     do not check values, nor decode names that end in -bin.
//   - A stream carries the headers of the request that opened it. Messages have
//     none: calls that a long stream makes for its thousandth message belong to
//     the trace of its first. A subscription that serves many requests needs the
//     headers in its messages ([propagation.Headers.All] and
//     [propagation.Families.Collect]).
//   - Work that outlives the method: its context is canceled when the method
//     returns. Use context.WithoutCancel.
//   - Proxies with grpc.UnknownServiceHandler get the stream interceptor, for
//     unary calls too.
//
// # Cost
//
// Six headers cost 7 allocations to receive (one a header, as
// [metadata.ValueFromIncomingContext] copies them) and 4 to send, however many
// they are; with what an interceptor costs grpc-go anyway it is 13 for a unary
// call on both sides together, and none for a message of a stream. Without
// headers nothing is allocated.
package grpcrelay
