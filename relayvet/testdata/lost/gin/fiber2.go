package gin

import (
	"example.com/shop/pb"
	"github.com/gofiber/fiber/v2"
)

func fiber2Handler(c *fiber.Ctx, client pb.PricesClient) {
	_, _ = client.Price(c.Context(), &pb.PriceRequest{}) // want `client.Price is sent with c.Context\(\), which holds nothing of the request's context: .*; use c.UserContext\(\)`
}
