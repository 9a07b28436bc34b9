package send

import (
	"net/http"

	"github.com/gofiber/fiber/v2"
)

func fiberHandler2(c *fiber.Ctx) {
	req, err := http.NewRequestWithContext(c.UserContext(), http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	resp.Body.Close()
}
