package through

import (
	"net/http"

	"example.com/shop/lost/through/prices"
)

func otherPackage(w http.ResponseWriter, r *http.Request) {
	_ = prices.Fetch() // want `http.Get \(lost/through/prices/prices.go:7\) is sent without .*: otherPackage -> prices.Fetch -> http.Get: .*; give prices.Fetch a`
}
