package through

import (
	"context"
	"net/http"

	"example.com/shop/pb"
)

func grpcPrice(client pb.PricesClient) error {
	_, err := client.Price(context.Background(), &pb.PriceRequest{}) // want `client.Price is sent without the context that its caller has: grpcHandler -> grpcPrice -> client.Price`
	return err
}

func grpcHandler(client pb.PricesClient, w http.ResponseWriter, r *http.Request) {
	_ = grpcPrice(client)
}
