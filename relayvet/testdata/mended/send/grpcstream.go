package send

import (
	"example.com/shop/pb"
	"google.golang.org/grpc"
)

func grpcstreamHandler(client pb.PricesClient, stream grpc.ServerStream) error {
	reply, err := client.Price(stream.Context(), &pb.PriceRequest{})
	_, _ = reply, err
	return nil
}
