package send

import (
	"net/http"

	"github.com/emicklei/go-restful/v3"
)

func restfulHandler(req *restful.Request, resp *restful.Response) {
	out, err := http.NewRequestWithContext(req.Request.Context(), http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	got, err := http.DefaultClient.Do(out)
	if err != nil {
		return
	}
	got.Body.Close()
}
