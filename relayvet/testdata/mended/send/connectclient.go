package send

import (
	"context"

	"connectrpc.com/connect"
	"example.com/shop/pb"
)

type connectClient interface {
	Price(context.Context, *connect.Request[pb.PriceRequest]) (*connect.Response[pb.PriceReply], error)
}

type connectServer struct{ next connectClient }

func (s connectServer) Price(ctx context.Context, req *connect.Request[pb.PriceRequest]) (*connect.Response[pb.PriceReply], error) {
	return s.next.Price(ctx, connect.NewRequest(req.Msg))
}
