// Package pb has the form of what protoc generates.
package pb

import (
	"context"

	"google.golang.org/grpc"
)

type PriceRequest struct{}

func (*PriceRequest) ProtoMessage() {}

type PriceReply struct{}

func (*PriceReply) ProtoMessage() {}

type PricesClient interface {
	Price(ctx context.Context, in *PriceRequest, opts ...grpc.CallOption) (*PriceReply, error)
}
