package send

import (
	"net/http"

	"github.com/gofiber/fiber/v2"
)

func fiberHandler2(c *fiber.Ctx) {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without .*NewRequestWithContext\(c\.UserContext\(\),`
	if err != nil {
		return
	}
	resp.Body.Close()
}
