package send

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

func echoHandler4(c echo.Context) {
	req, err := http.NewRequestWithContext(c.Request().Context(), http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	resp.Body.Close()
}
