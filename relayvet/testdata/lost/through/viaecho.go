package through

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

func viaechoPrice() string {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without the context that its caller has: echoHandler -> viaechoPrice -> http.Get: .*; give viaechoPrice a context.Context`
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

func echoHandler(c echo.Context) {
	_ = viaechoPrice()
}
