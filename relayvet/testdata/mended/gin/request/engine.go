package request

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

func requestEngine() *gin.Engine {
	e := gin.New()
	e.ContextWithFallback = true
	e.GET("/", nil)
	return e
}

func price(c *gin.Context) {
	req, err := http.NewRequestWithContext(c, http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	resp.Body.Close()
}
