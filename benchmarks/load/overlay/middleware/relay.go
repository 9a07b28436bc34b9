// Package middleware takes the place of the library's own in a service that is
// to be compared with itself: it does nothing.
package middleware

import (
	"net/http"

	"github.com/tracebaton/tracebaton/propagation"
)

// Relay returns middleware that is not there.
func Relay(propagation.Families) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler { return next }
}
