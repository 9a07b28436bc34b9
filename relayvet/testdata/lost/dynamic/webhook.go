package dynamic

import (
	"context"
	"net/http"
)

func webhook(ctx context.Context, u string) {
	resp, err := http.Post(u, "application/json", nil) // want `http.Post is sent without ctx`
	if err != nil {
		return
	}
	resp.Body.Close()
}
