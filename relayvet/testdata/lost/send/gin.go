package send

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

func ginHandler(c *gin.Context) {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without .*NewRequestWithContext\(c\.Request\.Context\(\),`
	if err != nil {
		return
	}
	resp.Body.Close()
}
