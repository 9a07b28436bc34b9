package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnly200IsWell(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		well   bool
	}{
		{"a service that is ready", http.StatusOK, true},
		{"a service that is stopping", http.StatusServiceUnavailable, false},
		{"a service that sends elsewhere", http.StatusFound, false},
		{"a service without the path", http.StatusNotFound, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.status)
			}))
			defer s.Close()
			err := check(s.URL + "/readyz")
			if tt.well {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
			}
		})
	}
}

func TestAServiceThatIsNotThereIsNotWell(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	require.Error(t, check(s.URL+"/readyz"))
}
