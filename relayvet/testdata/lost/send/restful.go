package send

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
)

func restfulHandler(req *restful.Request, resp *restful.Response) {
	got, err := http.Get("http://prices/1") // want `http.Get is sent without .*NewRequestWithContext\(req\.Request\.Context\(\),`
	if err != nil {
		return
	}
	got.Body.Close()
}
