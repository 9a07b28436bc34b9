package helper

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
)

func helperEngine() *gin.Engine {
	e := gin.Default() // want `the contexts of this gin engine hide the context of the request: [a-z]+.price passes c to fetch`
	e.GET("/", nil)
	return e
}

func fetch(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	resp.Body.Close()
}

func price(c *gin.Context) { fetch(c) }
