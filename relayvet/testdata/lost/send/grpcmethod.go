package send

import (
	"context"

	"example.com/shop/pb"
)

func grpcmethodHandler(ctx context.Context, client pb.PricesClient) {
	reply, err := client.Price(context.TODO(), &pb.PriceRequest{}) // want `client.Price is sent with context\.TODO\(\): .*; pass ctx`
	_, _ = reply, err
}
