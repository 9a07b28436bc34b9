package send

import (
	"context"

	"example.com/shop/pb"
)

func grpcmethodHandler(ctx context.Context, client pb.PricesClient) {
	reply, err := client.Price(ctx, &pb.PriceRequest{})
	_, _ = reply, err
}
