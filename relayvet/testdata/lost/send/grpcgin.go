package send

import (
	"context"

	"example.com/shop/pb"
	"github.com/gin-gonic/gin"
)

func grpcginHandler(client pb.PricesClient, c *gin.Context) {
	reply, err := client.Price(context.TODO(), &pb.PriceRequest{}) // want `client.Price is sent with context\.TODO\(\): .*; pass c\.Request\.Context\(\)`
	_, _ = reply, err
}
