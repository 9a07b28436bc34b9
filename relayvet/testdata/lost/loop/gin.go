package loop

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

func copyGin(c *gin.Context, out *http.Request) {
	out.Header.Set("b3", c.GetHeader("b3")) // want `sets b3 even where`
}
