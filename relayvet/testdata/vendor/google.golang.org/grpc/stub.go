package grpc

import "context"

type CallOption interface{ before() }

type ClientConnInterface interface {
	Invoke(ctx context.Context, method string, args, reply any, opts ...CallOption) error
}

type ClientConn struct{}

func (*ClientConn) Invoke(ctx context.Context, method string, args, reply any, opts ...CallOption) error {
	return nil
}

type ServerStream interface {
	Context() context.Context
	SetTrailer(map[string][]string)
	SendMsg(any) error
	RecvMsg(any) error
}
