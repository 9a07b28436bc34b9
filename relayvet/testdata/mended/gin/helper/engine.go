package helper

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
)

func helperEngine() *gin.Engine {
	e := gin.Default()
	e.ContextWithFallback = true
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
