// Echo v5 differs from v4 in its handlers' parameter.
package main

import (
	"net/http"

	"github.com/labstack/echo/v5"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func service(upstream string, client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}

	e := echo.New()
	e.Use(echo.WrapMiddleware(middleware.Relay(propagation.Istio())))
	e.GET("/", func(c *echo.Context) error {
		body, err := example.Get(c.Request().Context(), client, upstream)
		if err != nil {
			return echo.NewHTTPError(http.StatusBadGateway, err.Error())
		}
		return c.Blob(http.StatusOK, echo.MIMETextPlain, body)
	})
	return e
}

func main() { example.Serve(service) }
