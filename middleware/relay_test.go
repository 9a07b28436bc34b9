package middleware_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestRelayKeepsTheHeadersInTheContext(t *testing.T) {
	for name, row := range map[string]struct {
		families propagation.Families
		want     string
	}{
		"the zero Families is Istio's":   {want: "r"},
		"families that it does not have": {families: propagation.Of(propagation.W3C)},
	} {
		t.Run(name, func(t *testing.T) {
			served := false
			h := middleware.Relay(row.families)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				served = true
				assert.Equal(t, row.want, propagation.FromContext(r.Context()).Get("x-request-id"))
			}))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("x-request-id", "r")
			h.ServeHTTP(httptest.NewRecorder(), r)
			assert.True(t, served)
		})
	}
}

// everything is a ResponseWriter with all that net/http's own can do.
type everything struct {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
	io.ReaderFrom
}

func TestNothingIsWrappedThatNeedNotBe(t *testing.T) {
	serve := func(t *testing.T, w http.ResponseWriter, r *http.Request, handler http.HandlerFunc) {
		t.Helper()
		middleware.Relay(propagation.Istio())(handler).ServeHTTP(w, r)
	}
	incoming := func() *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader([]byte("body")))
		r.Header.Set("x-request-id", "r")
		return r
	}

	t.Run("the ResponseWriter and the body are the very same", func(t *testing.T) {
		w, r := &everything{}, incoming()
		serve(t, w, r, func(got http.ResponseWriter, in *http.Request) {
			assert.Same(t, w, got)
			assert.Equal(t, r.Body, in.Body)
			assert.NotSame(t, r, in)
		})
	})
	t.Run("so is a request that brings nothing", func(t *testing.T) {
		r := incoming()
		r.Header = http.Header{"Accept": {"*/*"}}
		serve(t, &everything{}, r, func(_ http.ResponseWriter, in *http.Request) {
			assert.Same(t, r, in)
		})
	})
	t.Run("the route's pattern is known outside", func(t *testing.T) {
		var inside, outside string
		handler := func(_ http.ResponseWriter, r *http.Request) { inside = r.Pattern }
		telemetry := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r)
				outside = r.Pattern
			})
		}
		relay := middleware.Relay(propagation.Istio())

		mux := http.NewServeMux()
		mux.HandleFunc("POST /{rest...}", handler)
		telemetry(relay(mux)).ServeHTTP(httptest.NewRecorder(), incoming())
		assert.Equal(t, "POST /{rest...}", inside)
		assert.Equal(t, inside, outside)
	})
	t.Run("also when the handler panics", func(t *testing.T) {
		r := incoming()
		mux := http.NewServeMux()
		mux.HandleFunc("POST /", func(_ http.ResponseWriter, r *http.Request) {
			r.MultipartForm = &multipart.Form{}
			panic(http.ErrAbortHandler)
		})
		assert.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { serve(t, httptest.NewRecorder(), r, mux.ServeHTTP) })
		assert.Equal(t, "POST /", r.Pattern)
		assert.NotNil(t, r.MultipartForm)
	})
	t.Run("the server removes the files of a form", func(t *testing.T) {
		var form bytes.Buffer
		parts := multipart.NewWriter(&form)
		part, err := parts.CreateFormFile("file", "a.txt")
		require.NoError(t, err)
		_, err = part.Write(bytes.Repeat([]byte("x"), 1<<20))
		require.NoError(t, err)
		require.NoError(t, parts.Close())

		var file string
		relayed := middleware.Relay(propagation.Istio())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			assert.NoError(t, r.ParseMultipartForm(1))
			f, err := r.MultipartForm.File["file"][0].Open()
			if assert.NoError(t, err) {
				file = f.(*os.File).Name()
				assert.FileExists(t, file)
				assert.NoError(t, f.Close())
			}
		}))
		srv := httptest.NewServer(relayed)
		r, err := http.NewRequest(http.MethodPost, srv.URL, &form)
		require.NoError(t, err)
		r.Header.Set("Content-Type", parts.FormDataContentType())
		r.Header.Set("x-request-id", "r")
		res, err := srv.Client().Do(r)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		// Close waits until the server is done with the request.
		srv.Close()
		require.NotEmpty(t, file)
		assert.NoFileExists(t, file)
	})
}

func TestRelaysInsideEachOtherAddUp(t *testing.T) {
	outer := middleware.Relay(propagation.Istio())
	inner := middleware.Relay(propagation.Of(propagation.Custom("end-user")))
	h := outer(inner(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got := propagation.FromContext(r.Context())
		assert.Equal(t, "r", got.Get("x-request-id"))
		assert.Equal(t, "jason", got.Get("end-user"))
	})))
	r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(context.Background())
	r.Header.Set("x-request-id", "r")
	r.Header.Set("end-user", "jason")
	h.ServeHTTP(httptest.NewRecorder(), r)
}

// What is really behind it, golang.org/x/net's h2c.NewHandler, is tried in
// examples/frameworks/h2c.
func TestAConnectionIsNotUpgradedInsideRelay(t *testing.T) {
	for name, row := range map[string]struct {
		upgrade []string
		want    []string
	}{
		"an offer of HTTP/2 is not passed on":    {upgrade: []string{"h2c"}},
		"in any case":                            {upgrade: []string{"H2C"}},
		"nor one among others, which are":        {upgrade: []string{"websocket", "foo/2, h2c"}, want: []string{"websocket", "foo/2"}},
		"that of another protocol is":            {upgrade: []string{"websocket"}, want: []string{"websocket"}},
		"and a request without one has none yet": {},
	} {
		t.Run(name, func(t *testing.T) {
			for _, traced := range []bool{true, false} {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				if traced {
					r.Header.Set("x-request-id", "r")
				}
				if row.upgrade != nil {
					r.Header["Upgrade"] = row.upgrade
				}
				served := false
				middleware.Relay(propagation.Istio())(http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
					served = true
					assert.Equal(t, row.want, in.Header["Upgrade"])
					assert.Equal(t, r.Header.Get("x-request-id"), propagation.FromContext(in.Context()).Get("x-request-id"))
				})).ServeHTTP(httptest.NewRecorder(), r)
				assert.True(t, served)
				assert.Equal(t, row.upgrade, r.Header["Upgrade"], "the request of those outside is as it was")
			}
		})
	}
}

func TestAConnectionThatBeginsWithHTTP2IsNoticedOnce(t *testing.T) {
	var lines bytes.Buffer
	t.Run("in the server's log", func(t *testing.T) { noticed(t, log.New(&lines, "", 0), &lines) })
	t.Run("in the program's, where the server has none", func(t *testing.T) {
		log.SetOutput(&lines)
		defer log.SetOutput(os.Stderr)
		lines.Reset()
		noticed(t, nil, &lines)
	})
}

func noticed(t *testing.T, to *log.Logger, lines *bytes.Buffer) {
	t.Helper()
	server := httptest.NewUnstartedServer(middleware.Relay(propagation.Istio())(http.NotFoundHandler()))
	server.Config.ErrorLog = to
	server.Start()
	for range 2 {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		require.NoError(t, err)
		_, err = bufio.NewReader(conn).ReadString('\n') // an answer of some kind
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	server.Close()
	assert.Equal(t, 1, strings.Count(lines.String(), "h2c.NewHandler(middleware.Relay(families)(handler), server)"), lines.String())
}
