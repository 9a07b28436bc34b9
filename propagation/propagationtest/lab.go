package propagationtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tracebaton/tracebaton/internal/hop"
)

// patience is how long anything may take. Only the kit's own tests change it.
var patience = 10 * time.Second

// outside is a host that no service may take for one of its own (RFC 2606).
const outside = "outside.example"

// probeHeader tells the upstream which request a call belongs to. The service
// never sees it: it is taken from the request, and put on the call, outside of
// everything that is the service's.
const probeHeader = "Propagationtest-Probe"

// detached is its value on calls whose context is of no request.
const detached = "detached"

// lab is a service with the kit before and behind it.
type lab struct {
	service  Service
	want     hop.Expect
	upstream *server
	server   *server // nil if the service runs already
	url      string  // of the service
	base     *transport
	client   *http.Client // as the service has it
	caller   *http.Client

	always map[string]bool // faults of any call, by their keys
	lost   bool            // one of them is that nothing of the trace arrives
	silent int             // how many requests in a row were not answered in time

	mu     sync.Mutex
	probes []*probe
}

func newLab(s Service) (*lab, error) {
	switch {
	case (s.Handler == nil) == (s.URL == ""):
		return nil, errors.New("propagationtest: set either Service.Handler or Service.URL")
	case s.URL != "" && !strings.Contains(s.Path, "{upstream}"):
		return nil, errors.New("propagationtest: put {upstream} into Service.Path: a service that runs already cannot know otherwise where its upstream is")
	case s.Parent != nil && s.Spans != OwnSpans:
		return nil, errors.New("propagationtest: Service.Parent is for a service with OwnSpans")
	case s.Path == "":
		s.Path = "/"
	case s.Path[0] != '/':
		return nil, fmt.Errorf("propagationtest: Service.Path %q does not begin with a slash", s.Path)
	}
	l := &lab{service: s, url: strings.TrimSuffix(s.URL, "/")}
	l.want = hop.Expect{Families: s.Families, Sidecars: s.URL != ""}
	l.want.Spans = map[Spans]hop.Spans{NoSpans: hop.NoSpans, DroppedSpans: hop.DroppedSpans, OwnSpans: hop.OwnSpans}[s.Spans]
	var err error
	if l.upstream, err = serve(http.HandlerFunc(l.serveUpstream)); err != nil {
		return nil, err
	}
	if s.Match != nil {
		if !s.Match(l.outgoing(l.upstream.URL)) {
			l.close()
			return nil, fmt.Errorf("propagationtest: Service.Match does not match the upstream, %s, to which nothing must go then", l.upstream.URL)
		}
		if s.Match(l.outgoing("http://" + outside)) {
			l.close()
			return nil, fmt.Errorf("propagationtest: Service.Match matches %s, which stands for all hosts that must not get the headers; leave it nil if there are none", outside)
		}
	}
	l.caller = &http.Client{
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: crowd},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if s.Handler != nil {
		l.base = newTransport(l, l.upstream.addr)
		l.client = &http.Client{Transport: l.base}
		if l.server, err = serve(l.mark(s.Handler(l.upstream.URL, l.client))); err != nil {
			l.close()
			return nil, err
		}
		l.url = l.server.URL
	}
	if err := l.plainCall(); err != nil {
		l.close()
		return nil, fmt.Errorf("propagationtest: cannot test the service: %w", err)
	}
	return l, nil
}

// plainCall sees that the service can be tested, and what is wrong with any
// call that it makes.
func (l *lab) plainCall() error {
	p := l.probe(newTrace(), l.names()...)
	if err := p.do(context.Background()); err != nil {
		return err
	}
	l.always = make(map[string]bool)
	for _, c := range p.arrived() {
		_, faults := hop.Compare(p.sent, c.header, l.want)
		for _, f := range faults {
			l.always[key(f)] = true
			l.lost = l.lost || f.Kind.AllLost()
		}
	}
	return nil
}

// key tells faults apart.
func key(f hop.Fault) string { return string(f.Kind) + f.What + strings.Join(f.Headers, " ") }

func (l *lab) close() {
	if l.server != nil {
		l.server.close()
	}
	if l.base != nil {
		l.base.CloseIdleConnections()
	}
	if l.caller != nil {
		l.caller.CloseIdleConnections()
	}
	l.upstream.close()
}

// server is a server on a loopback address that can be closed while a handler
// never returns, for which httptest.Server waits.
type server struct {
	URL, addr string
	http      *http.Server
}

func serve(h http.Handler) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("propagationtest: cannot listen on a loopback address: %w", err)
	}
	addr := listener.Addr().String()
	s := &server{URL: "http://" + addr, addr: addr, http: &http.Server{Handler: h, ReadHeaderTimeout: patience}}
	go func() { _ = s.http.Serve(listener) }()
	return s, nil
}

func (s *server) close() { _ = s.http.Close() }

// driven reports whether the kit can make calls as the service makes them.
func (l *lab) driven() bool {
	return l.client != nil && l.client.Transport != http.RoundTripper(l.base)
}

func (l *lab) outgoing(url string) *http.Request {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		panic(err) // the URLs are ours
	}
	return r
}

// probe is a request to the service, and the calls that the service made
// meanwhile.
type probe struct {
	lab    *lab
	id     string
	traces []hop.Trace // that its headers are of
	sent   http.Header

	// answer is what the upstream answers to the n-th call, from 0 on. Nil is
	// a short text.
	answer func(w http.ResponseWriter, r *http.Request, n int)

	served chan struct{} // closed when the service's handler has returned
	called chan struct{} // closed with the first call

	mu     sync.Mutex
	over   bool
	calls  []call
	ctx    context.Context // of the last call
	status int
	body   string
}

type call struct {
	host     string
	path     string
	name     string // method and path
	detached bool   // it was made with a context that is not the request's
	header   http.Header
}

// probe returns a request with the named headers for the trace.
func (l *lab) probe(t hop.Trace, names ...string) *probe {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &probe{
		lab: l, id: strconv.Itoa(len(l.probes)), sent: t.Header(names...),
		served: make(chan struct{}), called: make(chan struct{}),
	}
	if t.ID != "" {
		p.traces = append(p.traces, t)
	}
	l.probes = append(l.probes, p)
	return p
}

// do sends the request and returns when the service has answered and called
// its upstream, or an error that says why it has not.
func (p *probe) do(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer p.end()
	l := p.lab
	path := strings.ReplaceAll(l.service.Path, "{upstream}", l.upstream.URL+"/p/"+p.id)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+path, nil)
	if err != nil {
		return fmt.Errorf("request %s: %w", l.url+path, err)
	}
	for name, values := range p.sent {
		r.Header[name] = slices.Clone(values)
	}
	if l.server != nil {
		r.Header.Set(probeHeader, p.id)
	}
	res, err := l.caller.Do(r)
	if err != nil {
		return fmt.Errorf("the service did not answer GET %s: %w", l.service.Path, err)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	_ = res.Body.Close()
	p.status, p.body = res.StatusCode, string(body)
	if err != nil {
		return fmt.Errorf("the service did not answer GET %s to the end: %w", l.service.Path, err)
	}
	select {
	case <-p.called:
		return nil
	case <-time.After(time.Second): // the call may be made in the background
		line, _, _ := strings.Cut(strings.TrimSpace(p.body), "\n")
		return fmt.Errorf("the service answered GET %s with %d %s (%.80q) and did not call its upstream", l.service.Path, res.StatusCode, http.StatusText(res.StatusCode), line)
	}
}

// finish waits until the service's handler has returned, which may be after its
// response has arrived.
func (p *probe) finish() {
	if p.lab.server != nil {
		select {
		case <-p.served:
		case <-time.After(patience):
		}
	}
}

// end says that no call is expected any more.
func (p *probe) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

// arrived returns the calls that were made so far.
func (p *probe) arrived() []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

func (p *probe) context() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ctx
}

// again makes a call as the service would while serving p, and returns it as a
// probe of its own.
func (p *probe) again(ctx context.Context, change func(*http.Request)) (*probe, error) {
	q := p.lab.probe(hop.Trace{})
	q.sent, q.traces = p.sent, p.traces
	defer q.end()
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, probeKey{}, q), patience)
	defer cancel()
	r := p.lab.outgoing(p.lab.upstream.URL + "/p/" + q.id).WithContext(ctx)
	if change != nil {
		change(r)
	}
	res, err := p.lab.client.Do(r)
	if err != nil {
		return q, fmt.Errorf("the service's client failed: %w", err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	q.status, q.body = res.StatusCode, string(body)
	if err == nil && len(q.arrived()) == 0 {
		err = errors.New("the service's client made no call")
	}
	return q, err
}

type probeKey struct{}

// mark puts into each request's context which probe it is.
func (l *lab) mark(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := l.find(r.Header.Get(probeHeader))
		r.Header.Del(probeHeader)
		if p != nil {
			r = r.WithContext(context.WithValue(r.Context(), probeKey{}, p))
			defer close(p.served)
		}
		next.ServeHTTP(w, r)
	})
}

func (l *lab) find(id string) *probe {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, err := strconv.Atoi(id); err == nil && 0 <= n && n < len(l.probes) {
		return l.probes[n]
	}
	return nil
}

// transport is below everything that the service does to a call.
type transport struct {
	*http.Transport
	lab *lab
}

// newTransport returns one for which all hosts are at the address.
func newTransport(l *lab, addr string) *transport {
	var dialer net.Dialer
	return &transport{lab: l, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", addr)
		},
		MaxIdleConnsPerHost: crowd,
	}}
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	id := detached
	if p, ok := r.Context().Value(probeKey{}).(*probe); ok {
		id = p.id
		p.mu.Lock()
		p.ctx = r.Context()
		p.mu.Unlock()
	}
	out := r.Clone(r.Context())
	out.Header.Set(probeHeader, id)
	return t.Transport.RoundTrip(out)
}

// only returns the probe that is under way, if there is just one.
func (l *lab) only() (only *probe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.probes {
		p.mu.Lock()
		over := p.over
		p.mu.Unlock()
		switch {
		case over:
		case only != nil:
			return nil
		default:
			only = p
		}
	}
	return only
}

// serveUpstream is what the service calls.
func (l *lab) serveUpstream(w http.ResponseWriter, r *http.Request) {
	p := l.owner(r)
	if p == nil {
		http.Error(w, "this call belongs to no request of the kit", http.StatusNotFound)
		return
	}
	c := call{host: r.Host, path: r.URL.Path, name: r.Method + " " + r.URL.Path, detached: r.Header.Get(probeHeader) == detached}
	r.Header.Del(probeHeader)
	c.header = r.Header.Clone()
	p.mu.Lock()
	n := len(p.calls)
	p.calls = append(p.calls, c)
	p.mu.Unlock()
	if n == 0 {
		close(p.called)
	}
	if p.answer != nil {
		p.answer(w, r, n)
		return
	}
	_, _ = io.WriteString(w, "ok")
}

// owner returns the probe that a call belongs to: by the kit's own mark, by
// the URL, by the trace that it carries, or because there is no other.
func (l *lab) owner(r *http.Request) *probe {
	if p := l.find(r.Header.Get(probeHeader)); p != nil {
		return p
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/p/"); ok {
		id, _, _ := strings.Cut(rest, "/")
		if p := l.find(id); p != nil {
			return p
		}
	}
	for _, p := range l.all() {
		for _, values := range r.Header {
			if slices.ContainsFunc(values, p.owns) {
				return p
			}
		}
	}
	return l.only()
}

func (l *lab) all() []*probe {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.probes)
}

// owns reports whether v is a value of the probe's traces.
func (p *probe) owns(v string) bool {
	return slices.ContainsFunc(p.traces, func(t hop.Trace) bool { return t.In(v) })
}

// redirect answers the first call with a redirect to the URL, and the others
// with a short text.
func redirect(to string) func(http.ResponseWriter, *http.Request, int) {
	return func(w http.ResponseWriter, r *http.Request, n int) {
		if n == 0 {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "ok")
	}
}

func (p *probe) at(host, path string) string {
	u := url.URL{Scheme: "http", Host: host, Path: "/p/" + p.id + path}
	return u.String()
}
