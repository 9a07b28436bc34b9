package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c" //nolint:staticcheck // the trap
	"golang.org/x/net/http2/hpack"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestAServiceKeepsTheTraceOverHTTP1(t *testing.T) { exampletest.Conforms(t, service) }

// newHandler is deprecated, and still in use.
func newHandler(h http.Handler) http.Handler {
	return h2c.NewHandler(h, new(http2.Server)) //nolint:staticcheck // the trap
}

// http2Only returns a client that begins with HTTP/2 without TLS.
func http2Only() *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: p}}
}

// ids are the request IDs that a handler found, one a request.
type ids struct {
	mu  sync.Mutex
	ids []string
}

func (s *ids) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, propagation.FromContext(r.Context()).Get("x-request-id"))
	_, _ = io.WriteString(w, r.Proto)
}

func (s *ids) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids
}

// send makes a request with the ID for each, and returns their protocol.
func send(t *testing.T, client *http.Client, url string, ids ...string) (protocol string) {
	t.Helper()
	for _, id := range ids {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		req.Header.Set("X-Request-Id", id)
		res, err := client.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		protocol = string(body)
	}
	return protocol
}

func TestAServersProtocolsKeepEveryRequestsOwnHeaders(t *testing.T) {
	var got ids
	server := httptest.NewUnstartedServer(middleware.Relay(propagation.Istio())(&got))
	server.Config.Protocols = protocols()
	server.Start()
	defer server.Close()

	assert.Equal(t, "HTTP/2.0", send(t, http2Only(), server.URL, "first", "second"))
	assert.Equal(t, []string{"first", "second"}, got.seen())
}

func TestRelayOutsideNewHandlerSeesNoRequestAndSaysSo(t *testing.T) {
	var got ids
	var lines bytes.Buffer
	server := httptest.NewUnstartedServer(middleware.Relay(propagation.Istio())(newHandler(&got)))
	server.Config.ErrorLog = log.New(&lines, "", 0)
	server.Start()
	client := http2Only()

	assert.Equal(t, "HTTP/2.0", send(t, client, server.URL, "first", "second"))
	client.CloseIdleConnections()
	server.Close()
	assert.Equal(t, []string{"", ""}, got.seen())
	assert.Equal(t, 1, strings.Count(lines.String(), "\n"), lines.String())
	assert.Contains(t, lines.String(), "use h2c.NewHandler(middleware.Relay(families)(handler), server)")

	t.Run("and inside it every one", func(t *testing.T) {
		var got ids
		url := exampletest.Serve(t, newHandler(middleware.Relay(propagation.Istio())(&got)))
		assert.Equal(t, "HTTP/2.0", send(t, http2Only(), url, "first", "second"))
		assert.Equal(t, []string{"first", "second"}, got.seen())
	})
}

// received is Relay as it would be if it did not decline to upgrade.
func received(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, propagation.Istio().Incoming(r))
	})
}

func TestAnUpgradedConnectionsSecondRequestHasTheHeadersOfTheFirst(t *testing.T) {
	var got ids
	protocol := upgrade(t, exampletest.Serve(t, received(newHandler(&got))), "first", "second")
	assert.Equal(t, "101", protocol)
	assert.Equal(t, []string{"first", "first"}, got.seen())

	t.Run("and Relay outside declines the upgrade", func(t *testing.T) {
		var got ids
		url := exampletest.Serve(t, middleware.Relay(propagation.Istio())(newHandler(&got)))
		assert.Equal(t, "200", upgrade(t, url, "first", ""))
		send(t, http.DefaultClient, url, "second")
		assert.Equal(t, []string{"first", "second"}, got.seen())
	})
	t.Run("and Relay inside keeps every request's own", func(t *testing.T) {
		var got ids
		url := exampletest.Serve(t, newHandler(middleware.Relay(propagation.Istio())(&got)))
		assert.Equal(t, "101", upgrade(t, url, "first", "second"))
		assert.Equal(t, []string{"first", "second"}, got.seen())
	})
}

// upgrade offers HTTP/2 with the first request, and, if that is accepted, sends
// the second. It returns the status that the server answers the offer with.
func upgrade(t *testing.T, url, first, second string) (status string) {
	t.Helper()
	host := strings.TrimPrefix(url, "http://")
	conn, err := net.Dial("tcp", host)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nX-Request-Id: %s\r\n"+
		"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n", host, first)
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	status = fmt.Sprint(res.StatusCode)
	if res.StatusCode != http.StatusSwitchingProtocols {
		return status
	}

	_, err = io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	framer := http2.NewFramer(conn, reader)
	require.NoError(t, framer.WriteSettings())
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", host}, {":path", "/"}, {"x-request-id", second}} {
		require.NoError(t, encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	require.NoError(t, framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}))
	for {
		frame, err := framer.ReadFrame()
		require.NoError(t, err)
		if frame.Header().StreamID == 3 && frame.Header().Flags.Has(http2.FlagDataEndStream) {
			return status
		}
	}
}
