package gin

import (
	"example.com/shop/pb"
	"github.com/gofiber/fiber/v2"
)

func fiber2Handler(c *fiber.Ctx, client pb.PricesClient) {
	_, _ = client.Price(c.UserContext(), &pb.PriceRequest{})
}
