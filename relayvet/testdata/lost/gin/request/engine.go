package request

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

func requestEngine() *gin.Engine {
	e := gin.New() // want `the contexts of this gin engine hide the context of the request: [a-z]+.price passes c to http.DefaultClient.Do`
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
