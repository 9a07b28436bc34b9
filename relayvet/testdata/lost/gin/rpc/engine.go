package rpc

import (
	"example.com/shop/pb"
	"github.com/gin-gonic/gin"
)

func rpcEngine() *gin.Engine {
	e := gin.Default() // want `the contexts of this gin engine hide the context of the request: [a-z]+.price passes c to client.Price \(lost/gin/rpc/engine.go:\d+\)`
	e.GET("/", nil)
	return e
}

func price(c *gin.Context, client pb.PricesClient) {
	_, _ = client.Price(c, &pb.PriceRequest{})
}
