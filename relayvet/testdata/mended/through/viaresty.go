package through

import (
	"context"
	"net/http"

	"github.com/go-resty/resty/v2"
)

func restyPrice(ctx context.Context) (*resty.Response, error) {
	return resty.New().R().SetContext(ctx).Get("http://prices/1")
}

func viaResty(w http.ResponseWriter, r *http.Request) { _, _ = restyPrice(r.Context()) }
