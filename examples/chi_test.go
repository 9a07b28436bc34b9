package examples_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// With chi, Relay is a middleware like any other. A header of the
// application's own, by which the mesh routes, is relayed beside the trace.
func Example_chi() {
	r := chi.NewRouter()
	r.Use(middleware.Relay(propagation.Istio().With(propagation.Custom("end-user"))))
	r.Get("/", func(w http.ResponseWriter, r *http.Request) {
		headers := propagation.FromContext(r.Context())
		_, _ = fmt.Fprintln(w, headers.Get("x-request-id"), headers.Get("end-user"))
	})

	in := httptest.NewRequest(http.MethodGet, "/", nil)
	in.Header = headers("x-request-id: 5c1e3d0d", "end-user: jason")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, in)
	fmt.Print(w.Body)
	// Output: 5c1e3d0d jason
}

func TestARoutesPatternIsKnownOutsideRelayBehindChi(t *testing.T) {
	for name, relay := range map[string]func(http.Handler) http.Handler{
		"Relay": middleware.Relay(propagation.Istio()),
		"Relay in Relay": func(next http.Handler) http.Handler {
			return middleware.Relay(propagation.Istio())(middleware.Relay(propagation.Istio())(next))
		},
		"Edge": middleware.Edge(propagation.Istio(), nil),
	} {
		t.Run(name, func(t *testing.T) {
			var inside, outside string
			telemetry := func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(w, r)
					outside = r.Pattern
				})
			}
			r := chi.NewRouter()
			r.Use(telemetry, relay)
			r.Post("/orders/{id}", func(_ http.ResponseWriter, r *http.Request) { inside = r.Pattern })
			in := httptest.NewRequest(http.MethodPost, "/orders/7", nil)
			in.Header = headers(walkthrough()...)
			r.ServeHTTP(httptest.NewRecorder(), in)
			assert.Equal(t, "/orders/{id}", inside)
			assert.Equal(t, "/orders/{id}", outside)
		})
	}
}
