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

// givesUp is a middleware that, unlike http.TimeoutHandler, hands its own
// request on, and gives up on its handler once enough is closed.
func givesUp(next http.Handler, enough chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		in := r.WithContext(ctx)
		go next.ServeHTTP(httptest.NewRecorder(), in)
		<-enough
		cancel()
		w.Header().Set("pattern", in.Pattern)
		w.WriteHeader(http.StatusGatewayTimeout)
	})
}

// Under the race detector, this fails where Relay writes to a request that an
// outer middleware has taken back.
func TestAHandlerThatWasGivenUpOnTouchesTheRequestNoMore(t *testing.T) {
	t.Run("by http.TimeoutHandler", func(t *testing.T) {
		// The time is up before the form is read where the machine is busy.
		for patience := 10 * time.Millisecond; ; patience *= 4 {
			require.Less(t, patience, time.Minute)
			file, status := abandoned(t, func(next http.Handler, _ chan struct{}) http.Handler {
				return http.TimeoutHandler(next, patience, "")
			})
			require.Equal(t, http.StatusServiceUnavailable, status)
			if file != "" {
				assert.NoFileExists(t, file, "nobody else removes the files of its form")
				return
			}
		}
	})
	t.Run("by one that copies nothing", func(t *testing.T) {
		file, status := abandoned(t, givesUp)
		require.Equal(t, http.StatusGatewayTimeout, status)
		require.NotEmpty(t, file)
		assert.NoFileExists(t, file, "nobody else removes the files of its form")
	})
}

// Not every middleware that gives up on a handler ends its context.
func TestARequestThatAHandlerDidNotChangeIsNotWrittenTo(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("x-request-id", "r")
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		middleware.Relay(propagation.Istio())(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	}()
	assert.Empty(t, r.Pattern, "the race detector sees who writes meanwhile")
	assert.Nil(t, r.MultipartForm)
	<-returned
}

// abandoned posts a form to a handler behind a Relay, which is given up on when
// the handler has read the form. It returns the form's file, or "" if the handler
// could not read it in time, and the status of the answer.
func abandoned(t *testing.T, timeout func(next http.Handler, enough chan struct{}) http.Handler) (file string, status int) {
	t.Helper()
	enough, gone, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{rest...}", func(_ http.ResponseWriter, r *http.Request) {
		defer func() { <-gone }()
		defer close(enough)
		if r.ParseMultipartForm(1) != nil || r.MultipartForm.File["file"] == nil {
			return
		}
		if f, err := r.MultipartForm.File["file"][0].Open(); assert.NoError(t, err) {
			file = f.(*os.File).Name()
			assert.NoError(t, f.Close())
		}
	})
	relay := middleware.Relay(propagation.Istio())(mux)
	server := httptest.NewServer(timeout(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(returned)
		relay.ServeHTTP(w, r)
	}), enough))
	defer server.Close()

	body, contentType := formWithFile(t)
	r, err := http.NewRequest(http.MethodPost, server.URL+"/a", body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("x-request-id", "r")
	res, err := server.Client().Do(r)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	close(gone)
	<-returned
	return file, res.StatusCode
}

func TestTheFormOfThoseOutsideIsTheirs(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r := httptest.NewRequest(http.MethodPost, "/", nil).WithContext(ctx)
	r.Header.Set("x-request-id", "r")
	body, contentType := formWithFile(t)
	read := httptest.NewRequest(http.MethodPost, "/", body)
	read.Header.Set("Content-Type", contentType)
	require.NoError(t, read.ParseMultipartForm(1))
	form := read.MultipartForm
	r.MultipartForm = form
	middleware.Relay(propagation.Istio())(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() })).ServeHTTP(httptest.NewRecorder(), r)
	f, err := form.File["file"][0].Open()
	require.NoError(t, err, "the files of a form that was read outside are gone")
	require.NoError(t, f.Close())
	require.NoError(t, form.RemoveAll())
}

// formWithFile returns a form with a file that is too large to stay in memory.
func formWithFile(t *testing.T) (body *bytes.Buffer, contentType string) {
	t.Helper()
	body = new(bytes.Buffer)
	parts := multipart.NewWriter(body)
	part, err := parts.CreateFormFile("file", "a.txt")
	require.NoError(t, err)
	_, err = part.Write(bytes.Repeat([]byte("x"), 1<<16))
	require.NoError(t, err)
	require.NoError(t, parts.Close())
	return body, parts.FormDataContentType()
}
