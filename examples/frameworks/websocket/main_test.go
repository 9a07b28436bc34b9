package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/propagation"
)

// The kit's upstream speaks no WebSocket, and refuses the handshake: that is the
// call that is looked at.
func TestAHandshakeKeepsTheTrace(t *testing.T) {
	exampletest.ConformsBy(t, "/coder", func(upstream string, client *http.Client) http.Handler {
		dials := service(upstream, client)
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { dials.ServeHTTP(httptest.NewRecorder(), r) })
	})
}

// upstream is a WebSocket that notes the trace headers of each handshake.
func upstream(t *testing.T) (url string, handshakes func() http.Header) {
	t.Helper()
	headers := make(chan http.Header, 1)
	url = exampletest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers <- exampletest.Relayed(r.Header)
		conn, err := coder.Accept(w, r, nil)
		if !assert.NoError(t, err) {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		assert.NoError(t, conn.Write(r.Context(), coder.MessageText, []byte("hello")))
	}))
	return url, func() http.Header { return <-headers }
}

func TestADialerWithoutAHeaderLosesEverything(t *testing.T) {
	url, handshake := upstream(t)
	ctx := propagation.NewContext(t.Context(), propagation.Istio().Extract(exampletest.Trace("r")))

	conn, _, err := coder.Dial(ctx, url, nil)
	if assert.NoError(t, err) {
		assert.NoError(t, conn.CloseNow())
	}
	assert.Empty(t, handshake(), "coder's with the context alone")

	other, _, err := gorilla.DefaultDialer.DialContext(ctx, "ws"+url[len("http"):], nil)
	if assert.NoError(t, err) {
		assert.NoError(t, other.Close())
	}
	assert.Empty(t, handshake(), "gorilla's with the context alone")

	served := exampletest.Serve(t, service(url, &http.Client{}))
	for _, library := range []string{"coder", "gorilla"} {
		t.Run(library+"'s carries them in its client or its header", func(t *testing.T) {
			assert.Equal(t, "hello", exampletest.Get(t, served+"/"+library, exampletest.Trace("r")))
			assert.Equal(t, exampletest.Trace("r"), handshake())
		})
	}
}
