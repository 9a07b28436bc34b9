package send

import (
	"context"

	"example.com/shop/pb"
	"google.golang.org/grpc"
)

func grpcstreamHandler(client pb.PricesClient, stream grpc.ServerStream) error {
	reply, err := client.Price(context.Background(), &pb.PriceRequest{}) // want `client.Price is sent with context\.Background\(\): .*; pass stream\.Context\(\)`
	_, _ = reply, err
	return nil
}
