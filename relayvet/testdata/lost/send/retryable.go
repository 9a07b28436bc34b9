package send

import (
	"net/http"

	"github.com/hashicorp/go-retryablehttp"
)

func retryable(w http.ResponseWriter, r *http.Request) {
	client := &retryablehttp.Client{}
	resp, err := client.Get("http://prices/1") // want `client.Get is sent without`
	if err != nil {
		return
	}
	resp.Body.Close()
}
