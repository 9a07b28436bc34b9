package send

import (
	"example.com/shop/pb"
	"github.com/gin-gonic/gin"
)

func grpcginHandler(client pb.PricesClient, c *gin.Context) {
	reply, err := client.Price(c.Request.Context(), &pb.PriceRequest{})
	_, _ = reply, err
}
