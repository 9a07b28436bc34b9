package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tracebaton/tracebaton/internal/hop"
)

// background is how long a call may come after the answer.
const background = time.Second

// lab is the service with check before and behind it.
type lab struct {
	flags    checkFlags
	client   *http.Client
	listener net.Listener
	server   *http.Server
	url      string // of the upstream, as the service sees it

	mu     sync.Mutex
	probes []*probe // the last is under way
	calls  []upstreamCall
	others []upstreamCall // those that carry headers of an earlier probe
	astray string         // the first call for another path than the service was told
	called chan struct{}  // closed with the first of calls
}

// upstreamCall is one that the upstream got.
type upstreamCall struct {
	name   string // method and path
	header http.Header
}

// probe is one request to the service and what came of it.
type probe struct {
	Name    string    `json:"name"`
	Status  int       `json:"status,omitempty"`
	Calls   int       `json:"calls"`
	Call    string    `json:"call,omitempty"`    // the one that shows most
	Headers []hop.Row `json:"headers,omitempty"` // of that call

	trace   hop.Trace // that sent is made of
	sent    http.Header
	arrived []upstreamCall
	shown   int    // which of arrived Call is
	carried string // another call, that the trace arrived with
	took    time.Duration
}

// owns reports whether v is a value of the probe's trace, or one that it was
// sent with and that is long enough to be nobody else's.
func (p *probe) owns(v string) bool {
	if p.trace.ID != "" && p.trace.In(v) {
		return true
	}
	for _, values := range p.sent {
		if len(v) >= 16 && slices.Contains(values, v) {
			return true
		}
	}
	return false
}

func newLab(f checkFlags) (*lab, error) {
	addr := f.upstreamAddr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for the service's call: %w (-upstream-addr says where)", err)
	}
	l := &lab{flags: f, listener: listener, url: strings.TrimSuffix(f.upstreamURL, "/")}
	if l.url == "" {
		host, port, _ := net.SplitHostPort(listener.Addr().String())
		if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		l.url = "http://" + net.JoinHostPort(host, port)
	}
	l.server = &http.Server{Handler: l, ReadHeaderTimeout: f.timeout, ReadTimeout: f.timeout, WriteTimeout: f.timeout}
	go func() { _ = l.server.Serve(listener) }()
	l.client = &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return l, nil
}

func (l *lab) close() { _ = l.server.Close() }

// ServeHTTP is what the service calls.
func (l *lab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := upstreamCall{name: r.Method + " " + r.URL.Path, header: r.Header.Clone()}
	l.mu.Lock()
	switch {
	case len(l.probes) == 0:
	case l.told() && !strings.Contains(r.URL.Path, l.token()):
		// Whoever else calls, such as a health check, was not told the path.
		if l.astray == "" {
			l.astray = call.name
		}
	case !l.told() && l.late(call):
		l.others = append(l.others, call)
	default:
		if len(l.calls) == 0 {
			close(l.called)
		}
		l.calls = append(l.calls, call)
	}
	l.mu.Unlock()
	_, _ = io.WriteString(w, "tracebaton: ok\n")
}

// token is the path of the probe that is under way.
func (l *lab) token() string { return "/tracebaton-" + strconv.Itoa(len(l.probes)) }

// late reports whether a call carries what an earlier probe was sent with, for
// which the service may work on in the background.
func (l *lab) late(c upstreamCall) bool {
	foreign := l.foreign(l.probes[len(l.probes)-1])
	for _, name := range hop.AllNames(l.flags.families) {
		if slices.ContainsFunc(c.header.Values(name), foreign) {
			return true
		}
	}
	return false
}

// foreign returns whether a value is of another probe than p.
func (l *lab) foreign(p *probe) func(string) bool {
	return func(v string) bool {
		return !p.owns(v) && slices.ContainsFunc(l.probes, func(q *probe) bool { return q != p && q.owns(v) })
	}
}

// told reports whether the service is told where its upstream is.
func (l *lab) told() bool { return strings.Contains(l.flags.url, "{upstream}") }

// send makes the request and returns an error if that tells nothing.
func (l *lab) send(ctx context.Context, p *probe) error {
	l.mu.Lock()
	l.probes = append(l.probes, p)
	l.calls, l.others, l.astray, l.called = nil, nil, "", make(chan struct{})
	called, token := l.called, l.token()
	l.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, l.flags.timeout)
	defer cancel()
	r, err := l.request(ctx, p, strings.ReplaceAll(l.flags.url, "{upstream}", l.url+token))
	if err != nil {
		return err
	}
	start := time.Now()
	res, err := l.client.Do(r)
	if err != nil {
		return l.noAnswer(called, err)
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	_ = res.Body.Close()
	p.Status, p.took = res.StatusCode, time.Since(start)
	select {
	case <-called:
	case <-time.After(background):
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Nobody but a service that mixes requests up has only others' headers.
	if p.arrived = l.calls; len(p.arrived) == 0 {
		p.arrived = l.others
	}
	if p.Calls = len(p.arrived); p.Calls == 0 {
		return l.notCalled(res, string(body))
	}
	return nil
}

func (l *lab) request(ctx context.Context, p *probe, url string) (*http.Request, error) {
	method := l.flags.method
	var body io.Reader
	if l.flags.body != "" {
		body = strings.NewReader(l.flags.body)
		if method == "" {
			method = http.MethodPost
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, fmt.Errorf("cannot make the request: %w", err)
	}
	r.Header.Set("User-Agent", "tracebaton")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	trace := hop.AllNames(l.flags.families)
	for name, values := range l.flags.header {
		switch {
		case strings.EqualFold(name, "host"):
			r.Host = values[0]
		case !slices.Contains(trace, strings.ToLower(name)):
			r.Header[name] = values
		}
	}
	for name, values := range p.sent {
		r.Header[name] = values
	}
	return r, nil
}

// noAnswer says why there is no answer.
func (l *lab) noAnswer(called <-chan struct{}, err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err):
		select {
		case <-called:
			return fmt.Errorf("the service called its upstream, and did not answer within %s", l.flags.timeout)
		default:
			return fmt.Errorf("the service did not answer within %s, and did not call its upstream; %s", l.flags.timeout, l.reach())
		}
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.As(err, &cert):
		return fmt.Errorf("the service's certificate is not valid here: %w; check it behind its TLS, or set SSL_CERT_FILE", err)
	default:
		return fmt.Errorf("the service did not answer: %w", err)
	}
}

// notCalled says what the service did in place of calling.
func (l *lab) notCalled(res *http.Response, body string) error {
	answer := fmt.Sprintf("%d %s", res.StatusCode, http.StatusText(res.StatusCode))
	if line := firstLine(body); line != "" && res.StatusCode >= 400 {
		answer += fmt.Sprintf(" (%s)", line)
	}
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return fmt.Errorf("the service answered %d, a redirect to %s, and did not call its upstream; check that URL",
			res.StatusCode, printable(res.Header.Get("Location")))
	case res.StatusCode >= 400 && res.StatusCode < 500:
		return fmt.Errorf("the service answered %s and did not call its upstream; see that the URL is right and that the service may call %s", answer, l.url)
	case l.astray != "":
		return fmt.Errorf("the service answered %s and did not call its upstream, but %s was called in place of %s: if that was the service, it must call the URL that it was told, path included", answer, printable(l.astray), l.token())
	default:
		return fmt.Errorf("the service answered %s and did not call its upstream; %s", answer, l.reach())
	}
}

// reach says what to do if the service cannot reach the upstream.
func (l *lab) reach() string {
	switch {
	case len(l.probes) > 1:
		return "for the request before it did: if it keeps answers, let it not while it is checked"
	case !l.told():
		return fmt.Sprintf("it must be set up to call %s for this request", l.url)
	}
	return fmt.Sprintf("if it runs elsewhere, it cannot reach %s: say with -upstream-addr and -upstream-url where it can", l.url)
}

// judge compares what the probe sent with what arrived, and returns what is
// wrong with the call of which most is.
func (l *lab) judge(p *probe) (faults []hop.Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	want := hop.Expect{Families: l.flags.families, Spans: hop.AnySpans, Sidecars: true, Foreign: l.foreign(p)}
	for i, call := range p.arrived {
		rows, found := hop.Compare(p.sent, call.header, want)
		if i == 0 || len(found) > len(faults) {
			p.Headers, p.Call, p.shown, faults = rows, call.name, i, found
		}
		if !slices.ContainsFunc(found, func(f hop.Fault) bool { return f.Kind.AllLost() }) {
			p.carried = call.name
		}
	}
	return faults
}
