package derived

import (
	"context"
	"time"

	"example.com/shop/pb"
	"github.com/gin-gonic/gin"
)

func derivedEngine() *gin.Engine {
	e := gin.Default() // want `the contexts of this gin engine hide the context of the request: [a-z]+.price passes c to client.Price`
	e.GET("/", nil)
	return e
}

func price(c *gin.Context, client pb.PricesClient) {
	ctx, cancel := context.WithTimeout(c, time.Second)
	defer cancel()
	_, _ = client.Price(ctx, &pb.PriceRequest{})
}
