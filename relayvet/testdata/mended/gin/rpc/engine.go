package rpc

import (
	"example.com/shop/pb"
	"github.com/gin-gonic/gin"
)

func rpcEngine() *gin.Engine {
	e := gin.Default()
	e.ContextWithFallback = true
	e.GET("/", nil)
	return e
}

func price(c *gin.Context, client pb.PricesClient) {
	_, _ = client.Price(c, &pb.PriceRequest{})
}
