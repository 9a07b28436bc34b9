package middleware_test

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// givesUp is a timeout middleware that, unlike http.TimeoutHandler, hands its
// own request on, as several do.
func givesUp(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Millisecond)
		defer cancel()
		in := r.WithContext(ctx)
		go next.ServeHTTP(httptest.NewRecorder(), in)
		<-ctx.Done()
		w.Header().Set("pattern", in.Pattern)
		w.WriteHeader(http.StatusGatewayTimeout)
	})
}

// Under the race detector, this fails where Relay writes to a request that an
// outer middleware has taken back.
func TestAHandlerThatWasGivenUpOnTouchesTheRequestNoMore(t *testing.T) {
	for name, timeout := range map[string]func(http.Handler) http.Handler{
		"by http.TimeoutHandler":     func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Millisecond, "") },
		"by one that copies nothing": givesUp,
	} {
		t.Run(name, func(t *testing.T) {
			gone, done := make(chan struct{}), make(chan string, 1)
			mux := http.NewServeMux()
			mux.HandleFunc("POST /{rest...}", func(_ http.ResponseWriter, r *http.Request) {
				assert.NoError(t, r.ParseMultipartForm(1))
				f, err := r.MultipartForm.File["file"][0].Open()
				if assert.NoError(t, err) {
					defer func() { done <- f.(*os.File).Name() }()
					defer func() { _ = f.Close() }()
				}
				<-gone
			})
			returned := make(chan struct{})
			relay := middleware.Relay(propagation.Istio())(mux)
			server := httptest.NewServer(timeout(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(returned)
				relay.ServeHTTP(w, r)
			})))
			defer server.Close()

			var form bytes.Buffer
			parts := multipart.NewWriter(&form)
			part, err := parts.CreateFormFile("file", "a.txt")
			require.NoError(t, err)
			_, err = part.Write(bytes.Repeat([]byte("x"), 1<<16))
			require.NoError(t, err)
			require.NoError(t, parts.Close())
			r, err := http.NewRequest(http.MethodPost, server.URL+"/a", &form)
			require.NoError(t, err)
			r.Header.Set("Content-Type", parts.FormDataContentType())
			r.Header.Set("x-request-id", "r")
			res, err := server.Client().Do(r)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.GreaterOrEqual(t, res.StatusCode, 500)
			close(gone)
			file := <-done
			<-returned
			assert.NoFileExists(t, file, "nobody else removes the files of its form")
		})
	}
}
