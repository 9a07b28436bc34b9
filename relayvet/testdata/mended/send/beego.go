package send

import (
	"net/http"

	"github.com/beego/beego/v2/server/web"
)

type controller struct{ web.Controller }

func (c *controller) Get() {
	req, err := http.NewRequestWithContext(c.Ctx.Request.Context(), http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	resp.Body.Close()
}
