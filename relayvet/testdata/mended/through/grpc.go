package through

import (
	"context"
	"net/http"

	"example.com/shop/pb"
)

func grpcPrice(ctx context.Context, client pb.PricesClient) error {
	_, err := client.Price(ctx, &pb.PriceRequest{})
	return err
}

func grpcHandler(client pb.PricesClient, w http.ResponseWriter, r *http.Request) {
	_ = grpcPrice(r.Context(), client)
}
