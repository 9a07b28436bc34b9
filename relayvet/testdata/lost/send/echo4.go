package send

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

func echoHandler4(c echo.Context) {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without .*NewRequestWithContext\(c\.Request\(\)\.Context\(\),`
	if err != nil {
		return
	}
	resp.Body.Close()
}
