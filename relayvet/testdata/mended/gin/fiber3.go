package gin

import (
	"example.com/shop/pb"
	"github.com/gofiber/fiber/v3"
)

func fiber3Handler(c fiber.Ctx, client pb.PricesClient) {
	_, _ = client.Price(c.Context(), &pb.PriceRequest{})
}
