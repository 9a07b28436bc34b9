package send

import (
	"net/http"

	"example.com/shop/pb"
)

func grpcHandler(client pb.PricesClient, w http.ResponseWriter, r *http.Request) {
	reply, err := client.Price(r.Context(), &pb.PriceRequest{})
	_, _ = reply, err
}
