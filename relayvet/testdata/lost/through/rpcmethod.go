package through

import (
	"context"
	"net/http"

	"example.com/shop/pb"
)

func rpcmethodPrice() string {
	resp, err := http.Get("http://prices/1") // want `rpcServer.Price -> rpcmethodPrice -> http.Get`
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

type rpcServer struct{}

func (rpcServer) Price(ctx context.Context, in *pb.PriceRequest) (*pb.PriceReply, error) {
	_ = rpcmethodPrice()
	return nil, nil
}
