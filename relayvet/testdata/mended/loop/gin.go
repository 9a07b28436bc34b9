package loop

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

func copyGin(c *gin.Context, out *http.Request) {
	if v := c.GetHeader("b3"); v != "" {
		out.Header.Set("b3", v)
	}
}
