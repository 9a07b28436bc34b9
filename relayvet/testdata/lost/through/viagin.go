package through

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

func viaginPrice() string {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without the context that its caller has: ginHandler -> viaginPrice -> http.Get: .*; give viaginPrice a context.Context`
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

func ginHandler(c *gin.Context) {
	_ = viaginPrice()
}
