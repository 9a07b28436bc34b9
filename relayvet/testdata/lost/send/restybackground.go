package send

import (
	"context"
	"net/http"

	"github.com/go-resty/resty/v2"
)

func restyBackground(w http.ResponseWriter, r *http.Request) {
	_, _ = resty.New().R().SetContext(context.Background()).Execute(http.MethodGet, "http://prices/1") // want `Execute is sent with context.Background\(\): .*; pass r.Context\(\)`
}
