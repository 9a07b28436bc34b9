package through

import (
	"context"
	"net/http"

	"github.com/gofiber/fiber/v2"
)

func viafiberPrice(ctx context.Context) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

func fiberHandler(c *fiber.Ctx) {
	_ = viafiberPrice(c.UserContext())
}
