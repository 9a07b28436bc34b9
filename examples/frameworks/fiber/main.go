// Fiber is fasthttp, not net/http: Families.Receive reads its headers.
package main

import (
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// relay is what middleware.Relay is to net/http.
func relay(families propagation.Families) fiber.Handler {
	return func(c *fiber.Ctx) error {
		c.SetUserContext(families.Receive(c.UserContext(), func(name string) []string {
			var values []string
			for _, v := range c.Request().Header.PeekAll(name) {
				values = append(values, string(v)) // a copy: fiber uses the memory again
			}
			return values
		}))
		return c.Next()
	}
}

func app(client *http.Client) *fiber.App {
	client.Transport = &middleware.Transport{Base: client.Transport}

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(relay(propagation.Istio()))
	app.Get("/", func(c *fiber.Ctx) error {
		body, err := example.Get(c.UserContext(), client, string(c.Request().URI().QueryArgs().Peek("url")))
		if err != nil {
			return fiber.NewError(fiber.StatusBadGateway, err.Error())
		}
		return c.Send(body)
	})
	return app
}

func main() {
	client := &http.Client{Timeout: 10 * time.Second}
	if err := app(client).Listen("127.0.0.1:8080"); err != nil {
		panic(err)
	}
}
