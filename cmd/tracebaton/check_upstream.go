package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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
	"sync/atomic"
	"time"

	"github.com/tracebaton/tracebaton/internal/hop"
	"github.com/tracebaton/tracebaton/internal/lab"
)

// bench is the service with check before and behind it.
type bench struct {
	flags      checkFlags
	client     *http.Client
	service    *grpcService // if it is called over gRPC
	server     *lab.Server
	url        string // of the upstream, as the service sees it
	background time.Duration
	together   time.Duration

	mu     sync.Mutex
	probes []*probe // those that are under way come last
	active []*probe
	others []upstreamCall // those that carry headers of an earlier probe
	astray string         // the first call for another path than the service was told
}

// upstreamCall is one that the upstream got.
type upstreamCall struct {
	name   string // method and path
	header http.Header
}

// probe is one request to the service and what came of it.
type probe struct {
	hop.Probe
	status int
	answer http.Header
	took   time.Duration
	calls  []upstreamCall
	judged []hop.Call
	err    error  // that the request told nothing with
	failed string // why calls that the service makes later were not seen

	number int
	called chan struct{} // closed with the first of calls
	enough chan struct{} // closed with as many as are expected
	meet   *meeting
}

// marker is a header that only a service which passes all headers on, as a
// proxy does, sends to its upstream.
const marker = "Tracebaton-Check"

func newBench(f checkFlags, e env) (*bench, error) {
	b := &bench{flags: f, background: e.background, together: e.together}
	if b.background == 0 {
		b.background = time.Second
	}
	if b.together == 0 {
		b.together = time.Second
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableCompression: true, DisableKeepAlives: true}
	if f.insecure || f.caCert != "" {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.insecure} //nolint:gosec // -k says so
	}
	if f.caCert != "" {
		pem, err := os.ReadFile(f.caCert)
		if err != nil {
			return nil, fmt.Errorf("cannot read -cacert: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("-cacert %s has no certificate in PEM", f.caCert)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	b.client = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if f.speaksGRPC() {
		service, err := newGRPCService(f, transport.TLSClientConfig, b.background)
		if err != nil {
			return nil, err
		}
		b.service, b.client.Transport = service, service
	}
	c := lab.Config{Addr: f.upstreamAddr, TLS: f.upstreamTLS != "", Patience: f.timeout}
	if u, err := url.Parse(f.upstreamURL); err == nil && u.Hostname() != "" {
		c.Hosts = append(c.Hosts, u.Hostname())
	}
	var err error
	if b.server, err = lab.Serve(c, b); err != nil {
		b.close()
		return nil, fmt.Errorf("%w (-upstream-addr says where to wait for the service's call)", err)
	}
	if b.url = strings.TrimSuffix(f.upstreamURL, "/"); b.url == "" {
		b.url = b.server.URL
	}
	if f.upstreamTLS != "" {
		if err := os.WriteFile(f.upstreamTLS, b.server.CA, 0o600); err != nil {
			b.close()
			return nil, fmt.Errorf("cannot write the upstream's certificate: %w", err)
		}
	}
	return b, nil
}

func (b *bench) close() {
	if b.service != nil {
		_ = b.service.conn.Close()
	}
	if b.server != nil {
		b.server.Close()
	}
}

// ServeHTTP is what the service calls.
func (b *bench) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := upstreamCall{name: r.Method + " " + r.URL.Path, header: r.Header.Clone()}
	b.mu.Lock()
	isGRPC := strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
	p := b.owner(r.URL.Path, call, isGRPC)
	if p != nil {
		if len(p.calls) == 0 {
			close(p.called)
		}
		path := strings.Replace(r.URL.Path, p.token(), "", 1)
		if path == "" {
			path = "/"
		}
		call.name = r.Method + " " + path
		p.calls = append(p.calls, call)
		if len(p.calls) == b.flags.expectCalls {
			close(p.enough)
		}
	}
	first := p != nil && len(p.calls) == 1
	b.mu.Unlock()
	if first && p.meet != nil {
		p.meet.wait(b.together)
	}
	b.flags.answers.ServeHTTP(w, r)
}

// meeting is where requests that are made at once wait for one another.
type meeting struct {
	left atomic.Int32
	met  chan struct{}
}

func newMeeting(n int32) *meeting {
	m := &meeting{met: make(chan struct{})}
	m.left.Store(n)
	return m
}

// wait returns when all have come, or when time is up.
func (m *meeting) wait(patience time.Duration) {
	if m.left.Add(-1) == 0 {
		close(m.met)
	}
	select {
	case <-m.met:
	case <-time.After(patience):
	}
}

// owner returns the probe that a call belongs to, or nil.
// A call of gRPC has no path of its own to be known by.
func (b *bench) owner(path string, call upstreamCall, isGRPC bool) *probe {
	if b.told("{upstream}") {
		for _, p := range b.active {
			if rest := path[max(0, strings.Index(path, p.token())):]; strings.HasPrefix(rest, p.token()) &&
				(len(rest) == len(p.token()) || rest[len(p.token())] < '0' || rest[len(p.token())] > '9') {
				return p
			}
		}
	}
	if byPath := !isGRPC || !b.told("{grpc-upstream}"); byPath && b.told("{upstream}") {
		// Whoever else calls, such as a health check, was not told the path.
		if len(b.active) > 0 && b.astray == "" {
			b.astray = call.name
		}
		return nil
	}
	for _, p := range b.active {
		if b.carries(call, p) {
			return p
		}
	}
	for _, p := range b.probes {
		if !slices.Contains(b.active, p) && b.carries(call, p) {
			// The service may work on in the background.
			b.others = append(b.others, call)
			return nil
		}
	}
	if len(b.active) == 0 {
		return nil
	}
	return b.active[0]
}

// carries reports whether a call has a header of the probe's.
func (b *bench) carries(call upstreamCall, p *probe) bool {
	for _, f := range append(slices.Clone(hop.Known), b.flags.families...) {
		for _, name := range f.Headers {
			if slices.ContainsFunc(call.header.Values(name), p.Owns) {
				return true
			}
		}
	}
	return false
}

// foreign returns whether a value is of another probe than p.
func (b *bench) foreign(p *probe) func(string) bool {
	return func(v string) bool {
		return !p.Owns(v) && slices.ContainsFunc(b.probes, func(q *probe) bool { return q != p && q.Owns(v) })
	}
}

// told reports whether the service is told where its upstream is, by one of the
// words that stand for it.
func (b *bench) told(words ...string) bool {
	return slices.ContainsFunc(words, func(word string) bool {
		if strings.Contains(b.flags.url+b.flags.body, word) {
			return true
		}
		for _, values := range b.flags.header {
			if strings.Contains(strings.Join(values, ""), word) {
				return true
			}
		}
		return false
	})
}

// token is the path under which a probe's calls are known.
func (p *probe) token() string { return "/tracebaton-" + strconv.Itoa(p.number) }

// begin makes the probes the ones that are under way.
func (b *bench) begin(probes ...*probe) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.active, b.others, b.astray = probes, nil, ""
	for _, p := range probes {
		p.called, p.enough = make(chan struct{}), make(chan struct{})
		b.probes = append(b.probes, p)
		p.number = len(b.probes)
	}
}

// send makes the request of a probe that is under way, and returns an error if
// that tells nothing.
func (b *bench) send(ctx context.Context, p *probe) error {
	ctx, cancel := context.WithTimeout(ctx, b.flags.timeout)
	defer cancel()
	r, err := b.request(ctx, p)
	if err != nil {
		return err
	}
	start := time.Now()
	res, err := b.client.Do(r)
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.judge(p) // what it did call
		return b.noAnswer(p, err)
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	_ = res.Body.Close()
	p.status, p.answer, p.took = res.StatusCode, res.Header, time.Since(start)
	select {
	case <-p.enough:
	case <-time.After(b.background):
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(p.calls) == 0 && len(b.active) == 1 {
		// Nobody but a service that mixes requests up has only others' headers.
		p.calls = b.others
	}
	if len(p.calls) == 0 {
		return b.notCalled(p, res, string(body))
	}
	switch {
	case res.StatusCode >= 500:
		p.failed = fmt.Sprintf("the service answered %s after this call; calls that it makes later were not seen. %s", answered(res.StatusCode, string(body)), b.mendAnswer(p))
	case len(p.calls) < b.flags.expectCalls:
		p.failed = fmt.Sprintf("the service called its upstream %s with %s, and -expect-calls says %d", times(len(p.calls)), p.Name, b.flags.expectCalls)
	}
	b.judge(p)
	return nil
}

// judge judges the calls that a probe has led to so far.
func (b *bench) judge(p *probe) {
	want := hop.Expect{Families: b.flags.families, Sidecars: true, Foreign: b.foreign(p)}
	for _, c := range p.calls {
		p.judged = append(p.judged, hop.Call{Name: c.name, Header: c.header, Judgment: hop.Judge(p.Sent, c.header, want)})
	}
}

// mendAnswer says how to answer the service with what it needs.
func (b *bench) mendAnswer(p *probe) string {
	last := p.calls[len(p.calls)-1]
	if strings.HasPrefix(last.header.Get("Content-Type"), "application/grpc") {
		_, method, _ := strings.Cut(last.name, " ")
		return fmt.Sprintf("The call is one of gRPC, which got UNIMPLEMENTED: -answer '%s=' answers it with an empty message, and -answer '%[1]s=@FILE' with one in protobuf's encoding", printable(method))
	}
	return "If it needs another answer than {} in JSON, give it with -answer"
}

func (b *bench) request(ctx context.Context, p *probe) (*http.Request, error) {
	_, address, _ := strings.Cut(b.url, "://")
	fill := strings.NewReplacer("{upstream}", b.url+p.token(), "{grpc-upstream}", address)
	method := b.flags.method
	var body io.Reader
	if b.flags.body != "" {
		body = strings.NewReader(fill.Replace(b.flags.body))
		if method == "" {
			method = http.MethodPost
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, fill.Replace(b.flags.url), body)
	if err != nil {
		return nil, fmt.Errorf("cannot make the request: %w", err)
	}
	r.Header.Set("User-Agent", "tracebaton")
	r.Header.Set("Accept", "*/*")
	r.Header.Set(marker, "1")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, values := range b.flags.header {
		switch {
		case strings.EqualFold(name, "host"):
			r.Host = values[0]
		case !b.flags.traces(name):
			r.Header[name] = nil
			for _, v := range values {
				r.Header.Add(name, fill.Replace(v))
			}
		}
	}
	for name, values := range p.Sent {
		r.Header[name] = values
	}
	return r, nil
}

// noAnswer says why there is no answer.
func (b *bench) noAnswer(p *probe, err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err):
		select {
		case <-p.called:
			return fmt.Errorf("the service called its upstream, and did not answer within %s (-timeout gives it longer)", b.flags.timeout)
		default:
			return fmt.Errorf("the service did not answer within %s, and did not call its upstream; %s", b.flags.timeout, b.reach(nil))
		}
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.As(err, &cert):
		return fmt.Errorf("the service's certificate is not valid here: %w; -cacert FILE names the authority to trust, and -k trusts any", err)
	default:
		return fmt.Errorf("the service did not answer: %w", err)
	}
}

// answered says what an answer was, and the first line of it if it failed.
func answered(status int, body string) string {
	answer := strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
	if line := firstLine(body); line != "" && status >= 400 {
		answer += fmt.Sprintf(" (%s)", line)
	}
	return answer
}

// notCalled says what the service did in place of calling.
func (b *bench) notCalled(p *probe, res *http.Response, body string) error {
	answer := answered(res.StatusCode, body)
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return fmt.Errorf("the service answered %d, a redirect to %s, and did not call its upstream; check that URL",
			res.StatusCode, printable(res.Header.Get("Location")))
	case res.StatusCode >= 400 && res.StatusCode < 500:
		return fmt.Errorf("the service answered %s and did not call its upstream; see that the URL is right and that the service may call %s", answer, b.url)
	case b.astray != "":
		return fmt.Errorf("the service answered %s and did not call its upstream, but %s was called in place of %s: if that was the service, it must call the URL that it was told, path included", answer, printable(b.astray), p.token())
	default:
		reach := b.reach(res.Header)
		if res.StatusCode >= 500 && len(b.probes) > 1 {
			reach = "it did for the request before" // and no cache keeps such answers
		}
		return fmt.Errorf("the service answered %s and did not call its upstream; %s", answer, reach)
	}
}

// reach says what to do if the service did not reach the upstream.
func (b *bench) reach(answer http.Header) string {
	switch {
	case cached(answer):
		return "the answer came out of a cache: turn the cache off while the service is checked, or give the URL a part that makes it new"
	case len(b.probes) > 1:
		return "it did for the request before: if it caches answers, turn that off while it is checked"
	case !b.told("{upstream}", "{grpc-upstream}"):
		return fmt.Sprintf("it must be set up to call %s for this request", b.url)
	}
	if host, _, err := net.SplitHostPort(b.server.Addr); err == nil && b.flags.upstreamURL == "" && net.ParseIP(host).IsLoopback() {
		return fmt.Sprintf("if it runs elsewhere, it cannot reach %s: say with -upstream-addr and -upstream-url where it can", b.url)
	}
	return fmt.Sprintf("see that it can reach %s from where it runs", b.url)
}

// cached reports whether a cache on the way says that it has answered.
func cached(h http.Header) bool {
	if age, err := strconv.Atoi(h.Get("Age")); err == nil && age >= 0 && h.Get("Age") != "0" {
		return true
	}
	for _, name := range []string{"X-Cache", "X-Cache-Status", "Cf-Cache-Status", "X-Proxy-Cache"} {
		if strings.HasPrefix(strings.ToLower(h.Get(name)), "hit") {
			return true
		}
	}
	return strings.Contains(strings.ToLower(h.Get("Cache-Status")), "; hit")
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	default:
		return fmt.Sprintf("%d times", n)
	}
}
