package send

import (
	"net/http"

	"github.com/hashicorp/go-retryablehttp"
)

func retryableDo(w http.ResponseWriter, r *http.Request) {
	client := &retryablehttp.Client{}
	req, err := retryablehttp.NewRequest(http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := client.Do(req) // want `client.Do is sent without`
	if err != nil {
		return
	}
	resp.Body.Close()
}
