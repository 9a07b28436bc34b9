package send

import (
	"context"
	"net/http"
)

var forever = context.Background()

func global(w http.ResponseWriter, r *http.Request) {
	req, err := http.NewRequestWithContext(forever, http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req) // want `Do is sent with forever, not with r.s context: `
	if err != nil {
		return
	}
	resp.Body.Close()
}
