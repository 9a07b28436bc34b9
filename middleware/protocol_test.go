package middleware_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// protocol is a version of HTTP and what it is spoken over.
type protocol struct {
	name  string
	major int
	tls   bool
	set   func(*http.Protocols, bool)
}

var protocols = []protocol{
	{name: "HTTP/1.1", major: 1, set: (*http.Protocols).SetHTTP1},
	{name: "HTTP/2 over TLS", major: 2, tls: true, set: (*http.Protocols).SetHTTP2},
	{name: "HTTP/2 in plain text", major: 2, set: (*http.Protocols).SetUnencryptedHTTP2},
}

// serve serves h, and returns where and a transport that speaks nothing but
// the protocol.
func (p protocol) serve(t *testing.T, h http.Handler) (string, *http.Transport) {
	t.Helper()
	speaks := new(http.Protocols)
	p.set(speaks, true)
	srv := httptest.NewUnstartedServer(h)
	srv.Config.Protocols = speaks
	if srv.EnableHTTP2 = p.tls; p.tls {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	transport := srv.Client().Transport.(*http.Transport).Clone()
	transport.Protocols = speaks
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.URL, transport
}

// inEach runs the test with every protocol.
func inEach(t *testing.T, test func(*testing.T, protocol)) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) { test(t, p) })
	}
}

// chain serves upstream, and before it a proxy that relays, and returns where
// the proxy is and a client that brings it the walkthrough's headers.
func (p protocol) chain(t *testing.T, upstream http.Handler) (string, *http.Client) {
	t.Helper()
	up, transport := p.serve(t, middleware.Relay(propagation.Istio())(upstream))
	to, err := url.Parse(up)
	require.NoError(t, err)
	front, transport2 := p.serve(t, middleware.Relay(propagation.Istio())(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			// Only what the context has can reach the upstream, in a call
			// that is not a forwarded request.
			for name := range walkthrough() {
				r.Out.Header.Del(name)
			}
			r.Out.RequestURI = ""
		},
		Transport: &middleware.Transport{Base: transport},
		ErrorLog:  log.New(io.Discard, "", 0),
	}))
	return front, &http.Client{Transport: &middleware.Transport{Base: transport2}}
}

// assertRelayed checks that a request brought the walkthrough's headers, to
// its handler and to what the handler calls.
func assertRelayed(t *testing.T, r *http.Request) {
	t.Helper()
	out := http.Header{}
	propagation.FromContext(r.Context()).Inject(out)
	assert.Equal(t, walkthrough(), out, "in the context")
	for name, values := range walkthrough() {
		assert.Equal(t, values, r.Header.Values(name), "in the request")
	}
}

// within returns a context of a request that brought the walkthrough's
// headers, and that ends before the test hangs for good.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(serving(walkthrough()), patience)
	t.Cleanup(cancel)
	return ctx
}

// patience is what ends a test that would hang for good.
const patience = 30 * time.Second

// wait waits for a message, and fails the test where none comes. It returns to
// the caller, which may be a handler.
func wait[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Errorf("%s: nothing happens", what)
	}
	return v
}

// tell hands on a message likewise.
func tell[T any](t *testing.T, c chan<- T, v T, what string) {
	t.Helper()
	select {
	case c <- v:
	case <-time.After(patience):
		t.Errorf("%s does not listen", what)
	}
}

func send(t *testing.T, client *http.Client, r *http.Request) *http.Response {
	t.Helper()
	res, err := client.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, res.Body.Close()) })
	return res
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(b)
}

func post(ctx context.Context, t *testing.T, target string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, body)
	require.NoError(t, err)
	return r
}

func TestRequestsOverHTTP2RunAtOnceAndKeepTheirOwnHeaders(t *testing.T) {
	for _, p := range protocols[1:] {
		t.Run(p.name, func(t *testing.T) {
			const n = 8
			var arrived atomic.Int64
			all := make(chan bool) // closed when all are there
			front, client := p.chain(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, p.major, r.ProtoMajor)
				assert.Equal(t, p.tls, r.TLS != nil)
				if arrived.Add(1) == n {
					close(all)
				}
				wait(t, all, "the other requests")
				fmt.Fprint(w, r.Header.Get("x-request-id"))
			}))
			var calls sync.WaitGroup
			for i := range n {
				calls.Add(1)
				go func() {
					defer calls.Done()
					in := walkthrough()
					in.Set("x-request-id", fmt.Sprint("request ", i))
					ctx, cancel := context.WithTimeout(serving(in), patience)
					defer cancel()
					r, err := http.NewRequestWithContext(ctx, http.MethodGet, front, nil)
					if !assert.NoError(t, err) {
						return
					}
					res, err := client.Do(r)
					if !assert.NoError(t, err) {
						return
					}
					b, err := io.ReadAll(res.Body)
					assert.NoError(t, errors.Join(err, res.Body.Close()))
					assert.Equal(t, 2, res.ProtoMajor)
					assert.Equal(t, in.Get("x-request-id"), string(b))
				}()
			}
			calls.Wait()
		})
	}
}

func TestBothSidesTalkAtOnceOverHTTP2(t *testing.T) {
	for _, p := range protocols[1:] {
		t.Run(p.name, func(t *testing.T) {
			front, client := p.chain(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assertRelayed(t, r)
				assert.NoError(t, http.NewResponseController(w).Flush())
				lines := bufio.NewScanner(r.Body)
				for lines.Scan() {
					fmt.Fprintln(w, "echo", lines.Text())
					assert.NoError(t, http.NewResponseController(w).Flush())
				}
				assert.NoError(t, lines.Err())
			}))
			in, out := io.Pipe()
			res := send(t, client, post(within(t), t, front, in))
			answers := bufio.NewReader(res.Body)
			for _, line := range []string{"one", "two", "three"} {
				_, err := fmt.Fprintln(out, line)
				require.NoError(t, err)
				answer, err := answers.ReadString('\n')
				require.NoError(t, err)
				assert.Equal(t, "echo "+line+"\n", answer)
			}
			require.NoError(t, out.Close())
			rest, err := io.ReadAll(answers)
			require.NoError(t, err)
			assert.Empty(t, rest)
		})
	}
}

// bodyFunc is a body that says what is done with it.
type bodyFunc struct {
	read  func([]byte) (int, error)
	close func() error
}

func (b bodyFunc) Read(p []byte) (int, error) { return b.read(p) }
func (b bodyFunc) Close() error               { return b.close() }

func TestABodyThatAwaits100ContinueIsSentWhenItIsAskedFor(t *testing.T) {
	inEach(t, func(t *testing.T, p protocol) {
		asked := make(chan bool, 1) // by the server, before which nobody may read the body
		target, transport := p.serve(t, middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assertRelayed(t, r)
			if r.URL.Path == "/refuse" {
				w.WriteHeader(http.StatusExpectationFailed)
				return
			}
			asked <- true
			_, err := io.Copy(w, r.Body)
			assert.NoError(t, err)
		})))
		transport.ExpectContinueTimeout = time.Hour
		client := &http.Client{Transport: &middleware.Transport{Base: transport}}

		var continued atomic.Bool
		ctx := httptrace.WithClientTrace(within(t), &httptrace.ClientTrace{Got100Continue: func() { continued.Store(true) }})
		text := strings.NewReader("body")
		r := post(ctx, t, target+"/accept", bodyFunc{
			read: func(b []byte) (int, error) {
				assert.True(t, continued.Load(), "the body is read before the server has asked for it")
				return text.Read(b)
			},
			close: func() error { return nil },
		})
		r.Header.Set("Expect", "100-continue")
		r.ContentLength = 4
		res := send(t, client, r)
		assert.Equal(t, "body", body(t, res))
		assert.True(t, wait(t, asked, "the handler"))

		t.Run("and not when it is refused", func(t *testing.T) {
			closed := make(chan bool, 1)
			r := post(within(t), t, target+"/refuse", bodyFunc{
				read: func([]byte) (int, error) {
					t.Error("the body is read")
					return 0, io.EOF
				},
				close: func() error { closed <- true; return nil },
			})
			r.Header.Set("Expect", "100-continue")
			r.ContentLength = 4
			assert.Equal(t, http.StatusExpectationFailed, send(t, client, r).StatusCode)
			assert.True(t, wait(t, closed, "the body's Close"))
		})
	})
}

func TestTrailersPassThroughInBothDirections(t *testing.T) {
	inEach(t, func(t *testing.T, p protocol) {
		upstream, toUpstream := p.serve(t, middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assertRelayed(t, r)
			w.Header().Set("Trailer", "Result")
			assert.Equal(t, http.Header{"Checksum": nil}, r.Trailer, "what is announced is known before it comes")
			b, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			assert.Equal(t, http.Header{"Checksum": {"of " + string(b)}}, r.Trailer)
			fmt.Fprint(w, "answer")
			w.Header().Set("Result", "announced")
			w.Header().Set(http.TrailerPrefix+"More", "not announced")
		})))
		// A service that passes trailers on as those do who stream: the values
		// are there when the body has ended.
		client := &http.Client{Transport: &middleware.Transport{Base: toUpstream}}
		front, toFront := p.serve(t, middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			out, err := http.NewRequestWithContext(r.Context(), http.MethodPost, upstream, nil)
			if !assert.NoError(t, err) {
				return
			}
			out.Trailer = http.Header{"Checksum": nil}
			out.Body = bodyFunc{
				read: func(b []byte) (int, error) {
					n, err := r.Body.Read(b)
					if errors.Is(err, io.EOF) {
						out.Trailer["Checksum"] = r.Trailer["Checksum"]
					}
					return n, err
				},
				close: func() error { return nil },
			}
			out.ContentLength = -1
			res, err := client.Do(out)
			if !assert.NoError(t, err) {
				return
			}
			_, err = io.Copy(w, res.Body)
			assert.NoError(t, errors.Join(err, res.Body.Close(), http.NewResponseController(w).Flush()))
			for name, values := range res.Trailer {
				w.Header()[http.TrailerPrefix+name] = values
			}
		})))

		r := post(within(t), t, front, nil)
		r.Trailer = http.Header{"Checksum": nil}
		text := strings.NewReader("body")
		r.Body = bodyFunc{
			read: func(b []byte) (int, error) {
				n, err := text.Read(b)
				if errors.Is(err, io.EOF) {
					r.Trailer.Set("Checksum", "of body")
				}
				return n, err
			},
			close: func() error { return nil },
		}
		r.ContentLength = -1
		res := send(t, &http.Client{Transport: &middleware.Transport{Base: toFront}}, r)
		assert.Equal(t, "answer", body(t, res))
		assert.Equal(t, http.Header{"Result": {"announced"}, "More": {"not announced"}}, res.Trailer)
	})
}

func TestTrailersThatWereNotAnnouncedReachTheHandlerToo(t *testing.T) {
	serve := func(mw func(http.Handler) http.Handler) string {
		target, _ := protocols[0].serve(t, mw(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			assert.NoError(t, err)
			fmt.Fprint(w, r.Trailer)
		})))
		return strings.TrimPrefix(target, "http://")
	}
	for name, row := range map[string]struct{ trailers, want string }{
		"one":  {"Checksum: 1\r\n", "map[Checksum:[1]]"},
		"none": {"", "map[]"},
	} {
		t.Run(name, func(t *testing.T) {
			for middleware, addr := range map[string]string{
				"no middleware": serve(func(h http.Handler) http.Handler { return h }),
				"Relay":         serve(middleware.Relay(propagation.Istio())),
				"Edge":          serve(middleware.Edge(propagation.Istio(), nil)),
			} {
				// net/http's client announces what it sends.
				conn, err := net.Dial("tcp", addr)
				require.NoError(t, err)
				_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nX-Request-Id: r\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n%s\r\n", row.trailers)
				require.NoError(t, err)
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err)
				assert.Equal(t, row.want, body(t, res), middleware)
				assert.NoError(t, errors.Join(res.Body.Close(), conn.Close()))
			}
		})
	}
}

func TestWhatIsFlushedArrivesBeforeTheHandlerEnds(t *testing.T) {
	inEach(t, func(t *testing.T, p protocol) {
		read := make(chan bool)
		target, transport := p.serve(t, middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assertRelayed(t, r)
			for _, part := range []string{"one", "two", "three"} {
				fmt.Fprint(w, part)
				w.(http.Flusher).Flush()
				wait(t, read, "the client, which is to read "+part)
			}
		})))
		res := send(t, &http.Client{Transport: &middleware.Transport{Base: transport}}, request(within(t), t, target))
		for _, part := range []string{"one", "two", "three"} {
			b := make([]byte, len(part))
			_, err := io.ReadFull(res.Body, b)
			require.NoError(t, err)
			assert.Equal(t, part, string(b))
			tell(t, read, true, "the handler")
		}
		assert.Empty(t, body(t, res))
	})
}

func TestTheServersOwnResponseWriterIsThereForTheHandler(t *testing.T) {
	content := bytes.Repeat([]byte("a file that the kernel sends by itself\n"), 10_000)
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, content, 0o600))

	var bare http.ResponseWriter
	served := make(chan bool, 1)
	relayed := middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { served <- true }()
		assertRelayed(t, r)
		assert.Same(t, bare, w)
		control := http.NewResponseController(w)
		assert.NoError(t, control.EnableFullDuplex())
		assert.NoError(t, control.SetReadDeadline(time.Now().Add(time.Minute)))
		assert.NoError(t, control.SetWriteDeadline(time.Now().Add(time.Minute)))

		f, err := os.Open(name)
		if !assert.NoError(t, err) {
			return
		}
		defer func() { assert.NoError(t, f.Close()) }()
		to, ok := w.(io.ReaderFrom)
		if assert.True(t, ok, "%T is no io.ReaderFrom", w) {
			n, err := to.ReadFrom(f)
			assert.NoError(t, err)
			assert.EqualValues(t, len(content), n)
		}
	}))
	target, transport := protocols[0].serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bare = w
		relayed.ServeHTTP(w, r)
	}))
	res := send(t, &http.Client{Transport: &middleware.Transport{Base: transport}}, request(within(t), t, target))
	assert.True(t, string(content) == body(t, res), "the file arrives whole")
	assert.True(t, wait(t, served, "the handler"))
}

// accept returns what a server answers to the key of a WebSocket's handshake
// (RFC 6455, section 4.2.2).
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestAConnectionThatIsUpgradedCarriesBytesBothWays(t *testing.T) {
	ended := make(chan error, 1)
	front, client := protocols[0].chain(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assertRelayed(t, r)
		assert.Equal(t, "websocket", r.Header.Get("Upgrade"))
		conn, rw, err := w.(http.Hijacker).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer func() { assert.NoError(t, conn.Close()) }()
		_, err = fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\nhello",
			accept(r.Header.Get("Sec-WebSocket-Key")))
		assert.NoError(t, errors.Join(err, rw.Flush()))
		for {
			var b [1]byte
			if _, err := io.ReadFull(rw, b[:]); err != nil {
				ended <- err
				return
			}
			_, err := rw.Write([]byte{b[0] ^ 0xff})
			assert.NoError(t, errors.Join(err, rw.Flush()))
		}
	}))
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	r := request(within(t), t, front)
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {key}}
	res, err := client.Do(r)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
	assert.Equal(t, accept(key), res.Header.Get("Sec-WebSocket-Accept"))
	conn, ok := res.Body.(io.ReadWriteCloser)
	require.True(t, ok, "%T cannot be written to", res.Body)

	hello := make([]byte, 5)
	_, err = io.ReadFull(conn, hello)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(hello))
	for i := range 256 {
		_, err := conn.Write([]byte{byte(i)})
		require.NoError(t, err)
		var b [1]byte
		_, err = io.ReadFull(conn, b[:])
		require.NoError(t, err)
		require.Equal(t, byte(i)^0xff, b[0])
	}
	require.NoError(t, conn.Close())
	assert.Error(t, wait(t, ended, "the upstream, whose client is gone"))
}

func TestServerSentEventsArriveOneByOneUntilTheClientLeaves(t *testing.T) {
	inEach(t, func(t *testing.T, p protocol) {
		read, left := make(chan int), make(chan error, 1)
		front, client := p.chain(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assertRelayed(t, r)
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "id: %d\ndata: event %[1]d\n\n", i)
				w.(http.Flusher).Flush()
				wait(t, read, "the client, which is to read an event")
			}
			wait(t, r.Context().Done(), "the client, which is to leave")
			left <- r.Context().Err()
		}))
		ctx, leave := context.WithCancel(within(t))
		defer leave()
		res := send(t, client, request(ctx, t, front))
		assert.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
		events := bufio.NewReader(res.Body)
		for i := range 3 {
			for _, want := range []string{fmt.Sprintf("id: %d\n", i), fmt.Sprintf("data: event %d\n", i), "\n"} {
				line, err := events.ReadString('\n')
				require.NoError(t, err)
				assert.Equal(t, want, line)
			}
			tell(t, read, i, "the handler")
		}
		leave()
		assert.ErrorIs(t, wait(t, left, "the upstream's handler"), context.Canceled)
		_, err := events.ReadByte()
		assert.ErrorIs(t, err, context.Canceled)
	})
}

// replayable is a body that can be had again, and what is done with it.
type replayable struct {
	t      *testing.T
	text   string
	made   int       // touched by one goroutine at a time
	closed chan bool // one for each Close
}

func newReplayable(t *testing.T, text string) *replayable {
	t.Helper()
	return &replayable{t: t, text: text, closed: make(chan bool, 100)}
}

func (b *replayable) open() (io.ReadCloser, error) {
	b.made++
	return bodyFunc{
		read:  strings.NewReader(b.text).Read,
		close: func() error { b.closed <- true; return nil },
	}, nil
}

// request returns a request that has the body.
func (b *replayable) request(ctx context.Context, target string) *http.Request {
	b.t.Helper()
	body, err := b.open()
	require.NoError(b.t, err)
	r := post(ctx, b.t, target, body)
	r.ContentLength = int64(len(b.text))
	r.GetBody = b.open
	return r
}

// wait waits until every body has been closed, of which there are to be n.
func (b *replayable) wait(n int) {
	b.t.Helper()
	assert.Equal(b.t, n, b.made, "bodies")
	for range b.made {
		wait(b.t, b.closed, "the body's Close")
	}
}

func TestARetryOfNetHTTPSendsHeadersAndBodyAgain(t *testing.T) {
	type attempt struct {
		from, body string
		header     http.Header
	}
	attempts := make(chan attempt, 10)
	var posts atomic.Int64
	target, transport := protocols[0].serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		if r.Method == http.MethodGet {
			return
		}
		attempts <- attempt{r.RemoteAddr, string(b), r.Header}
		if posts.Add(1) == 1 {
			// As a server does that was about to close an idle connection.
			conn, _, err := w.(http.Hijacker).Hijack()
			if assert.NoError(t, err) {
				assert.NoError(t, conn.Close())
			}
		}
	}))
	client := &http.Client{Transport: &middleware.Transport{Base: transport}}
	// Only a request on a connection that was used before is retried.
	assert.Empty(t, body(t, send(t, client, request(within(t), t, target))))

	b := newReplayable(t, "body")
	r := b.request(within(t), target)
	r.Header.Set("Idempotency-Key", "1")
	assert.Equal(t, http.StatusOK, send(t, client, r).StatusCode)
	b.wait(2)

	first, second := wait(t, attempts, "the first attempt"), wait(t, attempts, "the second attempt")
	assert.NotEqual(t, first.from, second.from)
	assert.Equal(t, first.header, second.header)
	for name, values := range walkthrough() {
		assert.Equal(t, values, second.header.Values(name))
	}
	assert.Equal(t, "body", first.body)
	assert.Equal(t, "body", second.body)
	assert.Equal(t, http.Header{"Idempotency-Key": {"1"}}, r.Header, "the caller's request")
}

func TestARedirectTakesHeadersAndBodyAlong(t *testing.T) {
	for name, row := range map[string]struct {
		status int
		method string
		body   string
		bodies int
	}{
		"307 keeps the method and the body": {http.StatusTemporaryRedirect, http.MethodPost, "body", 3},
		"308 keeps the method and the body": {http.StatusPermanentRedirect, http.MethodPost, "body", 3},
		"303 asks for another page":         {http.StatusSeeOther, http.MethodGet, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			inEach(t, func(t *testing.T, p protocol) {
				var paths []string
				target, transport := p.serve(t, middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					assertRelayed(t, r)
					b, err := io.ReadAll(r.Body)
					assert.NoError(t, err)
					paths = append(paths, r.URL.Path)
					switch r.URL.Path {
					case "/a":
						assert.Equal(t, "body", string(b))
						http.Redirect(w, r, "/b", row.status)
					case "/b":
						http.Redirect(w, r, "/c", row.status)
					default:
						fmt.Fprint(w, r.Method, " ", string(b))
					}
				})))
				b := newReplayable(t, "body")
				res := send(t, &http.Client{Transport: &middleware.Transport{Base: transport}}, b.request(within(t), target+"/a"))
				assert.Equal(t, row.method+" "+row.body, body(t, res))
				assert.Equal(t, []string{"/a", "/b", "/c"}, paths)
				b.wait(row.bodies)
			})
		})
	}
}

func TestACallIsCancelledAllTheWay(t *testing.T) {
	inEach(t, func(t *testing.T, p protocol) {
		here, left := make(chan bool, 1), make(chan error, 1)
		front, client := p.chain(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assertRelayed(t, r)
			if r.URL.Path == "/answers" {
				w.WriteHeader(http.StatusOK)
				w.(http.Flusher).Flush()
			}
			here <- true
			wait(t, r.Context().Done(), "the caller, who is to give up")
			left <- r.Context().Err()
		}))
		t.Run("before the answer", func(t *testing.T) {
			ctx, cancel := context.WithCancel(within(t))
			go func() {
				wait(t, here, "the upstream's handler")
				cancel()
			}()
			_, err := client.Do(request(ctx, t, front)) //nolint:bodyclose // there is no response
			assert.ErrorIs(t, err, context.Canceled)
			assert.ErrorIs(t, wait(t, left, "the upstream's handler"), context.Canceled)
		})
		t.Run("within the answer", func(t *testing.T) {
			ctx, cancel := context.WithCancel(within(t))
			res := send(t, client, request(ctx, t, front+"/answers"))
			wait(t, here, "the upstream's handler")
			cancel()
			_, err := io.ReadAll(res.Body)
			assert.ErrorIs(t, err, context.Canceled)
			assert.ErrorIs(t, wait(t, left, "the upstream's handler"), context.Canceled)
		})
	})
}

func TestTheRequestsBodyIsClosedExactlyOnce(t *testing.T) {
	down := errors.New("upstream is down")
	for name, row := range map[string]struct {
		status int // 0: the call fails
		serve  http.HandlerFunc
		change func(*http.Transport, *http.Request)
	}{
		"when it is read to its end": {status: http.StatusOK, serve: func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			assert.NoError(t, err)
		}},
		"when the server answers and reads nothing": {status: http.StatusUnauthorized, serve: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
		}},
		"when the server hangs up": {serve: func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}},
		"when nobody can be reached": {change: func(transport *http.Transport, _ *http.Request) {
			dial := func(context.Context, string, string) (net.Conn, error) { return nil, down }
			transport.DialContext, transport.DialTLSContext = dial, nil
		}},
		"when net/http refuses the request": {change: func(_ *http.Transport, r *http.Request) {
			r.Header.Set("Accept", "a\nb")
		}},
		"when the caller has given up before": {change: func(_ *http.Transport, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			*r = *r.WithContext(ctx)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inEach(t, func(t *testing.T, p protocol) {
				b := newReplayable(t, "body")
				t.Cleanup(func() { assert.Empty(t, b.closed, "closed more than once") })
				target, transport := p.serve(t, middleware.Relay(propagation.Istio())(row.serve))
				r := b.request(within(t), target)
				r.GetBody = nil // which would allow another attempt
				if row.change != nil {
					row.change(transport, r)
				}
				res, err := (&middleware.Transport{Base: transport}).RoundTrip(r)
				if row.status == 0 {
					assert.Error(t, err)
				} else if assert.NoError(t, err) {
					assert.Equal(t, row.status, res.StatusCode)
					assert.NoError(t, res.Body.Close())
				}
				b.wait(1)
			})
		})
	}
}
