package send

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"example.com/shop/pb"
)

type connectHandler struct{}

func (connectHandler) Price(ctx context.Context, req *connect.Request[pb.PriceRequest]) (*connect.Response[pb.PriceReply], error) {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without ctx`
	if err != nil {
		return nil, err
	}
	return nil, resp.Body.Close()
}
