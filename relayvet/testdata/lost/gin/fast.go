package gin

import (
	"example.com/shop/pb"
	"github.com/valyala/fasthttp"
)

func fastHandler(c *fasthttp.RequestCtx, client pb.PricesClient) {
	_, _ = client.Price(c, &pb.PriceRequest{}) // want `client.Price is sent with c, which holds nothing`
}
