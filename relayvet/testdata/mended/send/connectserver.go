package send

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"example.com/shop/pb"
)

type connectHandler struct{}

func (connectHandler) Price(ctx context.Context, req *connect.Request[pb.PriceRequest]) (*connect.Response[pb.PriceReply], error) {
	out, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(out)
	if err != nil {
		return nil, err
	}
	return nil, resp.Body.Close()
}
