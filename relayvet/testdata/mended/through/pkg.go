package through

import (
	"net/http"

	"example.com/shop/mended/through/prices"
)

func otherPackage(w http.ResponseWriter, r *http.Request) {
	_ = prices.Fetch(r.Context())
}
