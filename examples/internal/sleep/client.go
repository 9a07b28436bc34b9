// Package sleep is the client that the walkthrough drives its traffic from.
package sleep

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
)

// Client makes calls the way that separate commands would: each over a
// connection of its own, with no redirect followed. The zero value leaves
// traces to the sidecar. Its fields must not be changed after the first call.
type Client struct {
	// Tracing starts a trace with each call, if it makes spans. Nil does not.
	Tracing *telemetry.Tracing

	// Base sends the requests. Nil is a transport like net/http's that keeps
	// no connections.
	Base http.RoundTripper

	// Timeout is the time for a call, its body included. Zero is 30 s.
	Timeout time.Duration

	// KeepBody is how many bytes of an answer's body are kept. The rest is
	// read and dropped. Zero is 64 KiB.
	KeepBody int64

	once   sync.Once
	client *http.Client
}

// Answer is what came of a call.
type Answer struct {
	Proto    string
	Status   int
	Sent     http.Header // as it was written to the connection, Host included
	Received http.Header
	Body     []byte // as much as is kept
	CutShort bool   // there was more
	Took     time.Duration

	// TraceID and RequestID are those of the call, as far as they can be
	// known: from the headers that were sent, that came back, or that the
	// service which was called says it saw. Empty is unknown.
	TraceID, RequestID string
}

// Get calls url with the headers, a Host among them if need be. If the client
// makes spans, the call is the root of a trace, or a child of what the headers
// say, and gets a request ID, which a sidecar would otherwise give it. An
// answer with an error status is no error.
func (c *Client) Get(ctx context.Context, url string, header http.Header) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, 30*time.Second))
	defer cancel()
	if c.Tracing.MakesSpans() {
		header = header.Clone()
		if header == nil {
			header = make(http.Header)
		}
		if header.Get("X-Request-Id") == "" {
			header.Set("X-Request-Id", uuid.NewString())
		}
		ctx = c.Tracing.Context(ctx, header)
	}

	var wire wire
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:          func(httptrace.GotConnInfo) { wire.reset() },
		WroteHeaderField: wire.add,
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		if name == "Host" {
			req.Host = header.Get(name)
			continue
		}
		req.Header[name] = values
	}

	c.once.Do(func() {
		c.client = &http.Client{
			Transport:     c.Tracing.Transport(cmp.Or[http.RoundTripper](c.Base, ownConnections)),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	})
	start := time.Now()
	res, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	a := &Answer{Proto: res.Proto, Status: res.StatusCode, Received: res.Header}
	a.Body, err = io.ReadAll(io.LimitReader(res.Body, cmp.Or(c.KeepBody, 64<<10)))
	if err == nil {
		var more int64
		more, err = io.Copy(io.Discard, res.Body)
		a.CutShort = more > 0
	}
	if err != nil {
		return nil, err
	}
	a.Took = time.Since(start)
	a.Sent = wire.header()
	a.identify()
	return a, nil
}

// ownConnections gives each call a connection of its own, so that a service
// with several instances is seen to have them.
var ownConnections = func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableKeepAlives = true
	t.DisableCompression = true
	return t
}()

// identify finds out which trace and request the call was.
func (a *Answer) identify() {
	for _, h := range []http.Header{a.Sent, a.Received, a.echo()} {
		a.TraceID = cmp.Or(a.TraceID, telemetry.HeaderTraceID(h.Get))
		a.RequestID = cmp.Or(a.RequestID, h.Get("X-Request-Id"))
	}
}

// echo returns the headers that the called service says it got, as flaskapp
// and httpbin do, or nil. Those that another service got, whose answer is
// passed on, may be of another trace: their Host tells them apart.
func (a *Answer) echo() http.Header {
	var doc map[string]any
	if json.NewDecoder(bytes.NewReader(a.Body)).Decode(&doc) != nil {
		return nil
	}
	if headers, ok := doc["headers"].(map[string]any); ok {
		doc = headers
	}
	h := make(http.Header)
	for name, value := range doc {
		if list, ok := value.([]any); ok && len(list) > 0 {
			value = list[0]
		}
		if s, ok := value.(string); ok {
			h.Set(name, s)
		}
	}
	if host := h.Get("Host"); host == "" || !strings.EqualFold(host, a.Sent.Get("Host")) {
		return nil
	}
	return h
}

// wire collects the headers that are written to a connection.
type wire struct {
	mu sync.Mutex
	h  http.Header
}

func (w *wire) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.h = make(http.Header)
}

func (w *wire) add(name string, values []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if name == ":authority" { // HTTP/2's Host
		name = "Host"
	}
	if name[0] != ':' {
		w.h[http.CanonicalHeaderKey(name)] = append(w.h[http.CanonicalHeaderKey(name)], values...)
	}
}

func (w *wire) header() http.Header {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.h.Clone()
}
