package main

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestAServiceInsideAllOfThemKeepsTheTrace(t *testing.T) {
	exampletest.ConformsBy(t, "/api/", service)
}

func TestRelayMayStandOnEitherSide(t *testing.T) {
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"of TimeoutHandler": func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "too slow") },
		"of gzip":           func(h http.Handler) http.Handler { return gzhttp.GzipHandler(h) },
	} {
		t.Run(name, func(t *testing.T) {
			exampletest.Conforms(t, func(upstream string, client *http.Client) http.Handler {
				client.Transport = &middleware.Transport{Base: client.Transport}
				return wrap(middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, err := example.Get(r.Context(), client, upstream)
					example.Answer(w, body, err)
				})))
			})
		})
	}
}

// timedOut has a handler make a call when its TimeoutHandler has answered, and
// returns the call's error.
func timedOut(t *testing.T, upstream string, call func(r *http.Request) context.Context) error {
	t.Helper()
	client := &http.Client{Transport: &middleware.Transport{}}
	result := make(chan error, 1)
	slow := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		_, err := example.Get(call(r), client, upstream)
		result <- err
	})
	url := exampletest.Serve(t, middleware.Relay(propagation.Istio())(http.TimeoutHandler(slow, time.Millisecond, "too slow")))
	status, _ := exampletest.Try(t, url, exampletest.Trace("r"))
	assert.Equal(t, http.StatusServiceUnavailable, status)
	return <-result
}

func TestAHandlerThatTimedOutGoesOnWithoutAContextThatItCanUse(t *testing.T) {
	upstream := exampletest.NewUpstream(t)

	assert.ErrorIs(t, timedOut(t, upstream.URL, (*http.Request).Context), context.DeadlineExceeded)
	assert.Empty(t, upstream.Calls(), "the request's context has ended")

	assert.NoError(t, timedOut(t, upstream.URL, func(*http.Request) context.Context { return context.Background() }))
	assert.Equal(t, []http.Header{{}}, upstream.Calls(), "a new one has no headers")

	assert.NoError(t, timedOut(t, upstream.URL, func(r *http.Request) context.Context {
		return context.WithoutCancel(r.Context())
	}))
	assert.Equal(t, []http.Header{exampletest.Trace("r")}, upstream.Calls(), "one without the end has both")
}

// The handler reads a form after the server has given up on the request: with
// -race, this fails if Relay writes to the server's request.
func TestAnAbandonedHandlerInsideRelayDoesNotRaceWithTheServer(t *testing.T) {
	release, done := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		defer close(done)
		r.Pattern = "/slow"
		assert.NoError(t, r.ParseMultipartForm(1<<20))
		<-release
	})
	url := exampletest.Serve(t, http.TimeoutHandler(middleware.Relay(propagation.Istio())(slow), 50*time.Millisecond, "too slow"))
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	require.NoError(t, form.WriteField("field", "value"))
	require.NoError(t, form.Close())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, &body)
	require.NoError(t, err)
	req.Header = exampletest.Trace("r")
	req.Header.Set("Content-Type", form.FormDataContentType())
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	close(release)
	<-done
}

func TestABodyThatIsTooLongEndsTheConnectionThroughRelay(t *testing.T) {
	limited := http.MaxBytesHandler(middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		assert.ErrorAs(t, err, new(*http.MaxBytesError))
		http.Error(w, "too long", http.StatusRequestEntityTooLarge)
	})), 10)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, exampletest.Serve(t, limited), strings.NewReader(strings.Repeat("a", 100)))
	require.NoError(t, err)
	req.Header = exampletest.Trace("r")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
	assert.True(t, res.Close, "the ResponseWriter was told")
}
