package tracestore_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzDependencies checks that a graph is drawn, or that it is said why not.
func FuzzDependencies(f *testing.F) {
	f.Add("endTs=1772370000000&lookback=86400000")
	handler := stored(f).Handler()
	f.Fuzz(func(t *testing.T, query string) {
		r := &http.Request{Method: http.MethodGet, Host: "localhost", URL: &url.URL{Path: "/api/dependencies", RawQuery: query}}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r.WithContext(t.Context()))
		var a struct {
			Data []struct {
				Parent, Child string
				CallCount     int
			}
			Errors []struct{ Msg string }
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
		if w.Code != http.StatusOK {
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.Len(t, a.Errors, 1)
			require.NotEmpty(t, a.Errors[0].Msg)
			require.Empty(t, a.Data)
			return
		}
		require.Empty(t, a.Errors)
		for _, link := range a.Data {
			require.NotEqual(t, link.Parent, link.Child)
			require.Positive(t, link.CallCount)
		}
	})
}

// FuzzHost checks that traces are shown under names of this machine alone,
// which no other page in the browser can have.
func FuzzHost(f *testing.F) {
	f.Add("localhost:16686")
	handler := stored(f).Handler()
	f.Fuzz(func(t *testing.T, host string) {
		r := &http.Request{Method: http.MethodGet, Host: host, URL: &url.URL{Path: "/api/services"}}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r.WithContext(t.Context()))
		if w.Code == http.StatusMisdirectedRequest {
			require.NotContains(t, w.Body.String(), "sleep")
			return
		}
		require.Equal(t, http.StatusOK, w.Code)
		u, err := url.Parse("http://" + host + "/")
		if err != nil || u.Host != host {
			return // no page has such a name
		}
		name := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
		plain, _, _ := strings.Cut(name, "%")
		require.True(t, name == "localhost" || strings.HasSuffix(name, ".localhost") || net.ParseIP(plain) != nil, "%q", host)
	})
}
