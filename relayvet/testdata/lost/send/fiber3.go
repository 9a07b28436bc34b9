package send

import (
	"net/http"

	"github.com/gofiber/fiber/v3"
)

func fiberHandler3(c fiber.Ctx) {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without .*NewRequestWithContext\(c\.Context\(\),`
	if err != nil {
		return
	}
	resp.Body.Close()
}
