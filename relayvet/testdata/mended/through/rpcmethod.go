package through

import (
	"context"
	"net/http"

	"example.com/shop/pb"
)

func rpcmethodPrice(ctx context.Context) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

type rpcServer struct{}

func (rpcServer) Price(ctx context.Context, in *pb.PriceRequest) (*pb.PriceReply, error) {
	_ = rpcmethodPrice(ctx)
	return nil, nil
}
