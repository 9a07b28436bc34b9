package through

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
)

func viaginPrice(ctx context.Context) string {
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

func ginHandler(c *gin.Context) {
	_ = viaginPrice(c.Request.Context())
}
