package send

import (
	"net/http"

	"github.com/beego/beego/v2/server/web"
)

type controller struct{ web.Controller }

func (c *controller) Get() {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without .*NewRequestWithContext\(c\.Ctx\.Request\.Context\(\),`
	if err != nil {
		return
	}
	resp.Body.Close()
}
