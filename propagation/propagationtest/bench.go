package propagationtest

import (
	"cmp"
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
	"github.com/tracebaton/tracebaton/internal/lab"
)

// pace is how long the kit waits, and how much it asks at once. Only the kit's
// own tests change it.
type pace struct {
	patience time.Duration // for what must happen: an answer
	grace    time.Duration // for what may never happen: a service that notices that its caller is gone
	crowd    int           // requests at once
}

func usualPace() pace { return pace{patience: 10 * time.Second, grace: lab.Grace, crowd: 32} }

// outside is a host that no service may take for one of its own (RFC 2606).
const outside = "outside.example"

// probeHeader tells the upstream which request a call belongs to, and which
// call of the transport it is. The service never sees it: it is taken from the
// request, and put on the call, outside of everything that is the service's.
const probeHeader = "Propagationtest-Probe"

// markerHeader goes with every request. Only a service that passes all headers
// on, as a proxy does, sends it to its upstream.
const markerHeader = "Propagationtest-Marker"

// bench is a service with the kit before and behind it.
type bench struct {
	service  Service
	pace     pace
	families []hop.Family
	want     hop.Expect
	clues    hop.Clues
	upstream *lab.Server
	server   *lab.Server // nil if the service runs already
	url      string      // of the service
	base     *transport
	client   *http.Client // as the service has it
	caller   *http.Client
	restore  func() // what was put in place of http.DefaultTransport

	always map[string]bool // faults of any call, by their keys
	lost   bool            // one of them is that nothing of the trace arrives
	failed error           // of a plain request, which was answered with 5xx
	busy   bool            // the service's client makes one call at a time
	silent int             // how many requests in a row were not answered in time

	mu     sync.Mutex
	probes []*probe
	sent   []context.Context // of each call that the transport made
}

func newBench(s Service) (*bench, error) {
	switch {
	case (s.Handler == nil) == (s.URL == ""):
		return nil, errors.New("propagationtest: set either Service.Handler or Service.URL")
	case s.URL != "" && !s.told():
		return nil, errors.New("propagationtest: put {upstream} into Service.Path, Body or Header: a service that runs already cannot know otherwise where its upstream is")
	case s.URL != "" && s.DefaultTransport:
		return nil, errors.New("propagationtest: Service.DefaultTransport is for a service with a Handler")
	case s.Parent != nil && s.Spans != OwnSpans:
		return nil, errors.New("propagationtest: Service.Parent is for a service with OwnSpans")
	case s.Path == "":
		s.Path = "/"
	case s.Path[0] != '/':
		return nil, fmt.Errorf("propagationtest: Service.Path %q does not begin with a slash", s.Path)
	}
	b := &bench{service: s, pace: s.pace, url: strings.TrimSuffix(s.URL, "/"), families: hop.Families(s.Families.Names()...)}
	if b.pace == (pace{}) {
		b.pace = usualPace()
	}
	b.want = hop.Expect{Families: b.families, Sidecars: s.URL != ""}
	b.want.Spans = map[Spans]hop.Spans{NoSpans: hop.NoSpans, DroppedSpans: hop.DroppedSpans, OwnSpans: hop.OwnSpans}[s.Spans]
	var err error
	if b.upstream, err = lab.Serve(lab.Config{Patience: b.pace.patience}, http.HandlerFunc(b.serveUpstream)); err != nil {
		return nil, fmt.Errorf("propagationtest: %w", err)
	}
	if err := b.start(); err != nil {
		b.close()
		return nil, fmt.Errorf("propagationtest: %w", err)
	}
	return b, nil
}

// start starts the service and sees that it can be tested.
func (b *bench) start() error {
	s := b.service
	if s.Match != nil {
		if !s.Match(outgoing(b.upstream.URL)) {
			return fmt.Errorf("Service.Match does not match the upstream, %s, to which nothing must go then", b.upstream.URL)
		}
		if s.Match(outgoing("http://" + outside)) {
			return fmt.Errorf("Service.Match matches %s, which stands for all hosts that must not get the headers; leave it nil if there are none", outside)
		}
	}
	b.caller = &http.Client{
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: b.pace.crowd},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if s.Handler != nil {
		b.clues.Language = hop.Go
		b.base = newTransport(b)
		b.client = &http.Client{Transport: b.base}
		var ours http.RoundTripper
		if s.DefaultTransport {
			ours = b.replaceDefault()
		}
		handler := s.Handler(b.upstream.URL, b.client)
		if s.DefaultTransport && b.client.Transport == http.RoundTripper(b.base) && http.DefaultTransport != ours {
			// What the service has put in its place adds the headers.
			b.client = &http.Client{Transport: http.DefaultTransport}
		}
		var err error
		if b.server, err = lab.Serve(lab.Config{Patience: b.pace.patience}, b.mark(handler)); err != nil {
			return err
		}
		b.url = b.server.URL
	}
	if err := b.plainCall(); err != nil {
		return fmt.Errorf("cannot test the service: %w", err)
	}
	return nil
}

// replaceDefault puts the kit's transport below http.DefaultTransport. That
// stays a *http.Transport, which programs rely on.
func (b *bench) replaceDefault() http.RoundTripper {
	before := http.DefaultTransport
	b.restore = func() { http.DefaultTransport = before }
	t := &http.Transport{}
	t.RegisterProtocol("http", b.base)
	http.DefaultTransport = t
	return t
}

// plainCall sees that the service can be tested, and what is wrong with any
// call that it makes.
func (b *bench) plainCall() error {
	p := b.probe(newTrace(), b.names()...)
	if err := p.do(context.Background()); err != nil {
		return err
	}
	if p.status >= 500 {
		line, _, _ := strings.Cut(strings.TrimSpace(p.body), "\n")
		b.failed = fmt.Errorf("the service answered %s with %d %s (%.80q): calls that it makes after that are not seen. "+
			"Its upstream answers {} in JSON, or what the call accepts; Service.Upstream says what else it needs", b.service.request(), p.status, http.StatusText(p.status), line)
	}
	b.always = make(map[string]bool)
	for _, c := range p.arrived() {
		b.clues.Proxy = b.clues.Proxy || c.header.Get(markerHeader) != ""
		if b.server == nil {
			b.clues.Language = hop.LanguageOf(c.header, p.answered)
		}
		for _, f := range hop.Judge(p.sent, c.header, b.want).Faults {
			b.always[key(f)] = true
			b.lost = b.lost || allLost(f)
		}
	}
	return nil
}

// allLost reports whether a fault says that nothing of the trace arrived.
func allLost(f hop.Fault) bool {
	return f.Kind == hop.AllLost || f.Kind == hop.OnlyRequestID || f.Kind == hop.OtherTrace
}

// key tells faults apart.
func key(f hop.Fault) string { return string(f.Kind) + f.What + strings.Join(f.Headers, " ") }

func (b *bench) close() {
	if b.restore != nil {
		b.restore()
	}
	if b.server != nil {
		b.server.Close()
	}
	if b.base != nil {
		b.base.CloseIdleConnections()
	}
	if b.caller != nil {
		b.caller.CloseIdleConnections()
	}
	b.upstream.Close()
}

// driven reports whether the kit can make calls as the service makes them.
func (b *bench) driven() bool {
	return b.client != nil && b.client.Transport != http.RoundTripper(b.base)
}

func outgoing(url string) *http.Request {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		panic(err) // the URLs are ours
	}
	return r
}

// probe is a request to the service, and the calls that the service made
// meanwhile.
type probe struct {
	bench  *bench
	id     string
	traces []hop.Trace // that its headers are of
	sent   http.Header

	// answer is what the upstream answers to a call. Nil is what the service
	// says, or an empty JSON object.
	answer func(w http.ResponseWriter, r *http.Request, c call)

	served chan struct{} // closed when the service's handler has returned
	called chan struct{} // closed with the first call
	once   sync.Once     // that served is closed, if the request is sent again

	mu    sync.Mutex
	over  bool
	calls []call

	// What the service answered, when do has returned.
	status   int
	body     string
	answered http.Header
}

type call struct {
	n        int // from 0 on
	host     string
	path     string // without what the kit put into it
	name     string // method and path
	detached bool   // it was made with a context that is not the request's
	ctx      context.Context
	header   http.Header
}

// probe returns a request with the named headers for the trace.
func (b *bench) probe(t hop.Trace, names ...string) *probe {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &probe{
		bench: b, id: strconv.Itoa(len(b.probes)), sent: t.Header(names...),
		served: make(chan struct{}), called: make(chan struct{}),
	}
	if t.ID != "" {
		p.traces = append(p.traces, t)
	}
	b.probes = append(b.probes, p)
	return p
}

// do sends the request and returns when the service has answered and called
// its upstream, or an error that says why it has not.
func (p *probe) do(ctx context.Context) error {
	b, s := p.bench, p.bench.service
	ctx, cancel := context.WithTimeout(ctx, b.pace.patience)
	defer cancel()
	defer p.end()
	fill := strings.NewReplacer("{upstream}", b.upstream.URL+"/p/"+p.id)
	var body io.Reader
	if s.Body != "" {
		body = strings.NewReader(fill.Replace(s.Body))
	}
	r, err := http.NewRequestWithContext(ctx, s.method(), b.url+fill.Replace(s.Path), body)
	if err != nil {
		return fmt.Errorf("request %s: %w", b.url+s.Path, err)
	}
	for name, values := range s.Header {
		for _, v := range values {
			r.Header.Add(name, fill.Replace(v))
		}
	}
	for name, values := range p.sent {
		r.Header[name] = slices.Clone(values)
	}
	r.Header.Set(markerHeader, "1")
	if b.server != nil {
		r.Header.Set(probeHeader, p.id)
	}
	res, err := b.caller.Do(r)
	if err != nil {
		return fmt.Errorf("the service did not answer %s: %w", s.request(), err)
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	_ = res.Body.Close()
	p.status, p.body, p.answered = res.StatusCode, string(answer), res.Header
	if err != nil {
		return fmt.Errorf("the service did not answer %s to the end: %w", s.request(), err)
	}
	select {
	case <-p.called:
		return nil
	case <-time.After(b.pace.grace): // the call may be made in the background
		line, _, _ := strings.Cut(strings.TrimSpace(p.body), "\n")
		return fmt.Errorf("the service answered %s with %d %s (%.80q) and did not call its upstream", s.request(), res.StatusCode, http.StatusText(res.StatusCode), line)
	}
}

// told reports whether the service is told where its upstream is.
func (s Service) told() bool {
	if strings.Contains(s.Path+s.Body, "{upstream}") {
		return true
	}
	for _, values := range s.Header {
		if strings.Contains(strings.Join(values, ""), "{upstream}") {
			return true
		}
	}
	return false
}

func (s Service) method() string {
	if s.Body != "" {
		return cmp.Or(s.Method, http.MethodPost)
	}
	return cmp.Or(s.Method, http.MethodGet)
}

// request says what the service is asked.
func (s Service) request() string { return s.method() + " " + s.Path }

// finish waits until the service's handler has returned, which may be after its
// response has arrived.
func (p *probe) finish() {
	if p.bench.server != nil {
		select {
		case <-p.served:
		case <-time.After(p.bench.pace.patience):
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

// context returns that of the last call, or nil if there is none that comes
// from the request's.
func (p *probe) context() context.Context {
	for _, c := range slices.Backward(p.arrived()) {
		if c.ctx != nil && !c.detached {
			return c.ctx
		}
	}
	return nil
}

// What keeps the kit from making a call, and is no fault of the service.
var (
	errGone = errors.New("the service gave up the context of its call meanwhile")
	errBusy = errors.New("the service's client makes no further call while one is under way")
)

// again makes a call as the service would while serving p, and returns it as a
// probe of its own. Change and answer may be nil.
func (p *probe) again(ctx context.Context, change func(*http.Request), answer func(http.ResponseWriter, *http.Request, call)) (*probe, error) {
	q := p.bench.probe(hop.Trace{})
	q.sent, q.traces, q.answer = p.sent, p.traces, answer
	defer q.end()
	// The request that is being served is not answered before this.
	within, cancel := context.WithTimeout(context.WithValue(ctx, probeKey{}, q), p.bench.pace.patience/4)
	defer cancel()
	r := outgoing(p.bench.upstream.URL + "/p/" + q.id).WithContext(within)
	if change != nil {
		change(r)
	}
	done := make(chan error, 1)
	go func() {
		res, err := p.bench.client.Do(r)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		done <- err
	}()
	var err error
	select {
	case err = <-done:
	case <-within.Done():
		select {
		case err = <-done:
		case <-time.After(p.bench.pace.grace): // it waits for a lock, and for no context
			err = within.Err()
		}
	}
	switch {
	case err != nil && ctx.Err() != nil:
		// A service may cancel what it does at once when one of its calls
		// fails, as an errgroup does.
		return q, errGone
	case err != nil && within.Err() != nil && len(q.arrived()) == 0:
		return q, errBusy
	case err != nil:
		return q, fmt.Errorf("the service's client failed: %w", err)
	case len(q.arrived()) == 0:
		return q, errors.New("the service's client made no call")
	}
	return q, nil
}

type probeKey struct{}

// mark puts into each request's context which probe it is.
func (b *bench) mark(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := b.find(r.Header.Get(probeHeader))
		r.Header.Del(probeHeader)
		if p != nil {
			r = r.WithContext(context.WithValue(r.Context(), probeKey{}, p))
			// net/http sends a request again if its connection breaks.
			defer p.once.Do(func() { close(p.served) })
		}
		next.ServeHTTP(w, r)
	})
}

func (b *bench) find(id string) *probe {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n, err := strconv.Atoi(id); err == nil && 0 <= n && n < len(b.probes) {
		return b.probes[n]
	}
	return nil
}

// transport is below everything that the service does to a call.
type transport struct {
	*http.Transport
	bench *bench
}

// newTransport returns one for which all hosts are the upstream.
func newTransport(b *bench) *transport {
	var dialer net.Dialer
	return &transport{bench: b, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", b.upstream.Addr)
		},
		MaxIdleConnsPerHost: b.pace.crowd,
	}}
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	id := ""
	if p, ok := r.Context().Value(probeKey{}).(*probe); ok {
		id = p.id
	}
	t.bench.mu.Lock()
	n := len(t.bench.sent)
	t.bench.sent = append(t.bench.sent, r.Context())
	t.bench.mu.Unlock()
	out := r.Clone(r.Context())
	out.Header.Set(probeHeader, id+"."+strconv.Itoa(n))
	return t.Transport.RoundTrip(out)
}

// only returns the probe that is under way, if there is just one.
func (b *bench) only() (only *probe) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.probes {
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
func (b *bench) serveUpstream(w http.ResponseWriter, r *http.Request) {
	mark := r.Header.Get(probeHeader)
	r.Header.Del(probeHeader)
	id, number, ours := strings.Cut(mark, ".")
	p := b.owner(id, r)
	if p == nil {
		http.Error(w, "this call belongs to no request of the kit", http.StatusNotFound)
		return
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/p/"); ok {
		_, rest, _ = strings.Cut(rest, "/")
		r.URL.Path, r.URL.RawPath = "/"+rest, ""
	}
	c := call{host: r.Host, path: r.URL.Path, name: r.Method + " " + r.URL.Path, header: r.Header.Clone()}
	if n, err := strconv.Atoi(number); ours && err == nil {
		b.mu.Lock()
		if n < len(b.sent) {
			c.ctx, c.detached = b.sent[n], id == ""
		}
		b.mu.Unlock()
	}
	p.mu.Lock()
	c.n = len(p.calls)
	p.calls = append(p.calls, c)
	p.mu.Unlock()
	if c.n == 0 {
		close(p.called)
	}
	if p.answer != nil {
		p.answer(w, r, c)
		return
	}
	b.answer(w, r)
}

// answer answers a call as the service needs it.
func (b *bench) answer(w http.ResponseWriter, r *http.Request) {
	if b.service.Upstream != nil {
		b.service.Upstream.ServeHTTP(w, r)
		return
	}
	lab.Answers(nil).ServeHTTP(w, r)
}

// owner returns the probe that a call belongs to: by the kit's own mark, by
// the URL, by the trace that it carries, or because there is no other.
func (b *bench) owner(id string, r *http.Request) *probe {
	if p := b.find(id); p != nil {
		return p
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/p/"); ok {
		id, _, _ := strings.Cut(rest, "/")
		if p := b.find(id); p != nil {
			return p
		}
	}
	for _, p := range b.all() {
		for _, values := range r.Header {
			if slices.ContainsFunc(values, p.owns) {
				return p
			}
		}
	}
	return b.only()
}

func (b *bench) all() []*probe {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.probes)
}

// owns reports whether v is a value of the probe's traces.
func (p *probe) owns(v string) bool {
	return slices.ContainsFunc(p.traces, func(t hop.Trace) bool { return t.In(v) })
}

// redirect answers the first call with a redirect to the URL, and the others
// as usual.
func (b *bench) redirect(to string) func(http.ResponseWriter, *http.Request, call) {
	return func(w http.ResponseWriter, r *http.Request, c call) {
		if c.n == 0 {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		b.answer(w, r)
	}
}

func (p *probe) at(host, path string) string {
	u := url.URL{Scheme: "http", Host: host, Path: "/p/" + p.id + path}
	return u.String()
}
