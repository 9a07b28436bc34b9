package through

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"
)

func viaechoPrice(ctx context.Context) string {
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

func echoHandler(c echo.Context) {
	_ = viaechoPrice(c.Request().Context())
}
