// Package latent is of a program in which nothing relays.
package latent

import "net/http"

func get(w http.ResponseWriter, r *http.Request) {
	_, _ = http.Get("http://prices/1") // want `http.NewRequestWithContext\(r.Context\(\), …\) \(latent: go.mod requires nothing that relays them yet\)`
}
