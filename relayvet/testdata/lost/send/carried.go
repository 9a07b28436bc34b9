package send

import (
	"context"
	"net/http"

	"example.com/shop/pb"
)

func carry(ctx context.Context, client pb.PricesClient) error {
	_, err := client.Price(ctx, &pb.PriceRequest{})
	return err
}

func carried(client pb.PricesClient, w http.ResponseWriter, r *http.Request) {
	_ = carry(context.Background(), client) // want `carry is called with context.Background\(\)`
}
