package send

import (
	"context"
	"net/http"

	"example.com/shop/pb"
)

func grpcHandler(client pb.PricesClient, w http.ResponseWriter, r *http.Request) {
	reply, err := client.Price(context.Background(), &pb.PriceRequest{}) // want `client.Price is sent with context\.Background\(\): .*; pass r\.Context\(\)`
	_, _ = reply, err
}
