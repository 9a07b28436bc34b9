package gin

import (
	"context"

	"example.com/shop/pb"
	"github.com/valyala/fasthttp"
)

// relayed puts the incoming headers into a context.
func relayed(c *fasthttp.RequestCtx) context.Context { return context.Background() }

func fastHandler(c *fasthttp.RequestCtx, client pb.PricesClient) {
	_, _ = client.Price(relayed(c), &pb.PriceRequest{})
}
