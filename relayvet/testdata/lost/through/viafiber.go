package through

import (
	"net/http"

	"github.com/gofiber/fiber/v2"
)

func viafiberPrice() string {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without the context that its caller has: fiberHandler -> viafiberPrice -> http.Get: .*; give viafiberPrice a context.Context`
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

func fiberHandler(c *fiber.Ctx) {
	_ = viafiberPrice()
}
