package through

import (
	"context"
	"net/http"
)

func plainPrice() string {
	resp, err := http.Get("http://prices/1") // want `plainJob -> plainPrice -> http.Get`
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Status
}

func plainJob(ctx context.Context) {
	_ = plainPrice()
}
