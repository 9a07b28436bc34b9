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
// Install all four: with only those for unary calls, streams lose the headers.
// Package middleware uses the same context, so what came in over HTTP goes out
// over gRPC, and the reverse.
//
// A connection has one target, so there is no counterpart of the Match of
// middleware.Transport: install the client's interceptors only on connections that
// stay inside the mesh. There is no counterpart of middleware.Edge either: do not
// install the server's interceptors on a listener that strangers reach.
//
// # What is sent
//
// gRPC fails a call for values and names that HTTP allows, and a server refuses a
// call with larger headers than it takes. Tracing must not make a call fail, so
// [Outgoing] drops such families from the call; calls over HTTP still carry them.
//
// If the outgoing metadata has any key of a family, the caller has set it, and
// nothing of that family is added. So metadata that a method copied from its
// request by hand is sent once.
//
// # Where it goes wrong
//
//   - Beside OpenTelemetry. otelgrpc's client handler runs after all interceptors
//     and overwrites single headers, so that a family which both write has headers
//     of two spans. On one connection, let only one of the two write a family.
//     The best propagator for otelgrpc is that of package propagation/otelprop: it
//     writes B3 and W3C and relays the rest, so do not install the client's
//     interceptors. Where OpenTelemetry's own TraceContext must stay, relay the
//     families that it does not write: give the server's interceptors
//     propagation.Of(propagation.RequestID, propagation.B3,
//     propagation.OTSpanContext). Without B3, the trace of sidecars that speak B3
//     ends at the service, since they do not read traceparent.
//   - otelgrpc's carrier returns only the first of several values, and takes
//     grpc-trace-bin for text. Services that relay these and make no spans need
//     the interceptors, not a propagator.
//   - Order. grpc-go runs interceptors in the order in which they were chained,
//     those of grpc.UnaryInterceptor and grpc.WithUnaryInterceptor before all
//     others. On the server, put the relay first: an interceptor outside it (a log,
//     an authorization that makes a call) has no headers. On the client, put it
//     last: it cannot see what an interceptor inside it adds to the metadata, and
//     both values are sent.
//   - Credentials. credentials.PerRPCCredentials add their metadata after all
//     interceptors, too. If they write trace headers, these are sent twice.
//   - A gateway's RegisterXHandlerServer (grpc-gateway) calls the methods without
//     any interceptor. Put middleware.Relay around its mux; that is right for
//     RegisterXHandlerFromEndpoint as well. A header matcher alone fills the
//     metadata and not the context.
//   - grpc.Server.ServeHTTP: use middleware.Relay outside or the interceptors
//     inside, or both.
//   - Connect (connectrpc.com/connect) is net/http for all three of its
//     protocols: use middleware.Relay and middleware.Transport.
//   - Retries, by service config or by an interceptor in any place, send the
//     headers once with every attempt.
//   - Channels within the process, such as fullstorydev/grpchan's, run
//     interceptors with a nil *grpc.ClientConn, which is no problem for these. The
//     channels do not check values, nor decode names that end in -bin.
//   - A stream carries the headers of the request that opened it. Messages have
//     none: calls that a long stream makes for its thousandth message belong to
//     the trace of its first. A subscription that serves many requests needs the
//     headers in its messages ([propagation.Headers.All] and
//     [propagation.Families.Collect]).
//   - Work that outlives the method: its context is canceled when the method
//     returns. Use context.WithoutCancel.
//   - In proxies with grpc.UnknownServiceHandler, gRPC runs the stream
//     interceptor, for unary calls too.
//
// # Cost
//
// Receiving six headers takes 7 allocations, one for each header since
// [metadata.ValueFromIncomingContext] copies them. Sending takes 4, however many
// headers there are. With the cost of an interceptor in grpc-go, a unary call
// takes 13 on both sides together, and a message of a stream none. Without headers,
// nothing is allocated.
package grpcrelay
