package propagationtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tracebaton/tracebaton/internal/hop"
	"github.com/tracebaton/tracebaton/internal/wire"
	"github.com/tracebaton/tracebaton/propagation"
)

// crowd is how many requests are made at once.
const crowd = 32

// testCase is one thing that a service must do.
type testCase struct {
	name string // a sentence
	why  string // the case is there
	// needs are headers without one of which there is nothing to test.
	needs []string
	// drives says that the kit makes calls with the service's client.
	drives bool
	// beyond says that the case is about more than what is sent: faults of any
	// call whatever are not repeated.
	beyond bool
	run    func(l *lab, r *report)
}

var cases = []testCase{
	{
		name: "headers of all families arrive together",
		why:  "a mesh in transition sends several formats at once, and sidecars, gateways and older services each read their own",
		run: func(l *lab, r *report) {
			r.send(l.probe(newTrace(), l.names()...))
		},
	},
	{
		name: "every value of a repeated header arrives, in order",
		why:  "proxies split long lists into several headers of one name, and their values are one list",
		run: func(l *lab, r *report) {
			t := newTrace()
			p := l.probe(t, l.names()...)
			names := l.lists()
			if len(names) == 0 {
				r.skip("the service promises no header that may come several times")
				return
			}
			for _, name := range names {
				p.sent.Add(name, strings.Replace(p.sent.Get(name), "=", "2=", 1))
			}
			r.send(p)
		},
	},
	{
		name:  "a sampling decision without IDs is passed on",
		why:   "the gateway has decided, and leaves it to the next sidecar to start the trace; without the decision that sidecar decides again",
		needs: []string{"x-b3-sampled", "b3"},
		run: func(l *lab, r *report) {
			for _, h := range []http.Header{
				{"X-B3-Sampled": {"1"}}, {"X-B3-Sampled": {"0"}}, {"X-B3-Flags": {"1"}}, {"B3": {"0"}}, {"B3": {"1"}}, {"B3": {"d"}},
			} {
				p := l.probe(hop.Trace{})
				maps.Copy(p.sent, h)
				r.send(p)
			}
		},
	},
	{
		name:  "a debug request stays one",
		why:   "somebody is looking for a fault and asked for this one request to be recorded, whatever the samplers say",
		needs: []string{"x-b3-flags", "b3"},
		run: func(l *lab, r *report) {
			r.send(l.probe(newTrace().Decided(wire.Debug), multi...))
			r.send(l.probe(newTrace().Decided(wire.Debug), "b3"))
		},
	},
	{
		name:  "a trace that is not sampled stays so",
		why:   "services that record what nobody else does fill the store with pieces",
		needs: []string{"x-b3-sampled", "b3", "traceparent"},
		run: func(l *lab, r *report) {
			for _, names := range [][]string{multi, {"b3"}, {"traceparent", "tracestate"}} {
				if names = l.promised(names); len(names) > 0 {
					r.send(l.probe(newTrace().Decided(wire.Denied), names...))
				}
			}
		},
	},
	{
		name:  "IDs without a decision get none",
		why:   "in B3, no decision means that the receiver decides; one that is made up takes that from the sidecar",
		needs: []string{"x-b3-traceid", "b3"},
		run: func(l *lab, r *report) {
			r.send(l.probe(newTrace().Decided(wire.Deferred), multi...))
			r.send(l.probe(newTrace().Decided(wire.Deferred), "b3"))
		},
	},
	{
		name:  "a trace ID of 64 bits keeps its 16 digits",
		why:   "older Zipkin tracers make such IDs, and strict stores take the padded one for another trace",
		needs: []string{"x-b3-traceid", "b3"},
		run: func(l *lab, r *report) {
			r.send(l.probe(newTrace().Short(), multi...))
			r.send(l.probe(newTrace().Short(), "b3"))
		},
	},
	{
		name:  "a span without a parent gets none",
		why:   "the first span of a trace has no parent, and an empty or zero x-b3-parentspanid is not the same as none",
		needs: []string{"x-b3-parentspanid"},
		run: func(l *lab, r *report) {
			t := newTrace()
			t.Parent = ""
			r.send(l.probe(t, multi...))
		},
	},
	{
		name: "where nothing came in, nothing is invented",
		why:  "a call outside of any trace is for the sidecar to start one with; x-b3-sampled: 0 or an empty header forbids it",
		run: func(l *lab, r *report) {
			r.send(l.probe(hop.Trace{}))
		},
	},
	{
		name: "an empty header is not passed on",
		why:  "Envoy reads an empty x-b3-sampled as a decision not to sample, and fails on an empty b3",
		run: func(l *lab, r *report) {
			p := l.probe(hop.Trace{})
			for _, name := range l.names() {
				p.sent.Set(name, "")
			}
			r.send(p)
		},
	},
	{
		name:   "an upstream that answers 500 got them too",
		why:    "failing calls are those that traces are looked at for; one that is retried is a call of its own",
		beyond: true,
		run: func(l *lab, r *report) {
			p := l.probe(newTrace(), l.names()...)
			p.answer = func(w http.ResponseWriter, _ *http.Request, _ int) {
				http.Error(w, "failed on purpose", http.StatusInternalServerError)
			}
			r.send(p)
		},
	},
	{
		name:   "a redirect takes them along",
		why:    "each hop of a redirect is a call of its own, with a span of its own",
		beyond: true,
		run: func(l *lab, r *report) {
			p := l.probe(newTrace(), l.names()...)
			p.answer = redirect(p.at(l.upstream.addr, "/again"))
			if r.send(p); len(p.arrived()) == 1 {
				r.skip("the service does not follow redirects")
			}
		},
	},
	{
		name:   "a redirect to another host does not",
		why:    "headers that are set on a request stick to it when http.Client follows a redirect, wherever that leads",
		beyond: true,
		run:    redirectOutside,
	},
	{
		name:   "a body that is streamed passes through",
		why:    "what adds headers has no business with bodies: one that it reads to the end first breaks uploads, long answers and server-sent events",
		beyond: true,
		run:    streamed,
	},
	{
		name:   "32 requests at once keep their own",
		why:    "headers that are kept in anything that requests share (a global, the client, a pool) get mixed up under load only",
		beyond: true,
		run:    concurrent,
	},
	{
		name:   "a caller that goes away changes nothing",
		why:    "a request that is cancelled must not leave its headers behind, nor lose them for work that goes on",
		beyond: true,
		run:    cancelled,
	},
	{
		name:   "two calls for one request carry the same",
		why:    "all calls of a request belong to its trace, not only the first",
		drives: true,
		beyond: true,
		run: func(l *lab, r *report) {
			p := l.probe(newTrace(), l.names()...)
			r.during(p, func(ctx context.Context) {
				r.call(ctx, p)
				r.call(ctx, p)
			})
		},
	},
	{
		name:   "a header that the caller set itself wins, alone",
		why:    "half of one request's headers beside half of another's describe a trace that never was",
		drives: true,
		beyond: true,
		run:    explicit,
	},
	{
		name:   "the caller's request is not changed",
		why:    "a http.RoundTripper must not: a request that is sent again, or shared, would take the first caller's headers along",
		drives: true,
		beyond: true,
		run:    unchanged,
	},
	{
		name:   "work that goes on after the response keeps them",
		why:    "a goroutine with the request's context (context.WithoutCancel) works for that request still, while the next one is served",
		drives: true,
		beyond: true,
		run: func(l *lab, r *report) {
			p := l.probe(newTrace(), l.names()...)
			if !r.send(p) {
				return
			}
			p.finish()
			r.send(l.probe(newTrace(), l.names()...))
			r.late(p)
		},
	},
	{
		name: "the span that calls hangs from the caller's",
		why:  "a span whose parent is missing or wrong is drawn in the wrong place, or at the root",
		run:  ancestry,
	},
}

// multi are the headers of B3 in several headers.
var multi = []string{"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"}

// cases returns those of the service: those for all services, and one for each
// of its families.
func (l *lab) cases() []testCase {
	alone := func(what, why string, names ...string) testCase {
		return testCase{name: what + " alone arrives", why: why, needs: names[:1], run: func(l *lab, r *report) {
			r.send(l.probe(newTrace(), names...))
		}}
	}
	all := []testCase{
		alone("x-request-id", "Envoy's access logs are joined by it, also for requests that are in no trace", "x-request-id"),
		alone("B3 in several headers", "it is what sidecars of Istio's zipkin provider speak", multi...),
		alone("B3 in one header", "tracers that speak B3 between themselves have it in one header by default", "b3"),
		alone("W3C", "it is what OpenTelemetry and sidecars of Istio's opentelemetry provider speak", "traceparent", "tracestate"),
	}
	taken := slices.Concat([]string{"x-request-id", "b3", "traceparent", "tracestate"}, multi)
	for _, f := range hop.Known {
		if names := hop.Names(propagation.Of(f.Family)); !slices.Contains(taken, names[0]) && len(l.promised(names)) > 0 {
			all = append(all, alone(names[0], "one family is enough for those that speak only it", names...))
			taken = append(taken, names...)
		}
	}
	for _, name := range l.names() {
		if !slices.Contains(taken, name) {
			all = append(all, alone(name, "a header of the service's own goes wherever the trace does", name))
		}
	}
	return slices.Concat(cases[:1], all, cases[1:])
}

// names returns the headers that the service promises.
func (l *lab) names() []string { return hop.Names(l.service.Families) }

// promised returns those of the headers that the service promises.
func (l *lab) promised(names []string) []string {
	promised := l.names()
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(promised, name) })
}

// lists returns headers that may come several times: those that are lists, and
// those of which nothing is known.
func (l *lab) lists() []string {
	var lists []string
	for _, name := range l.names() {
		known := slices.ContainsFunc(hop.Known, func(f hop.Family) bool {
			return slices.Contains(hop.Names(propagation.Of(f.Family)), name)
		})
		if name == "tracestate" || name == "baggage" || !known {
			lists = append(lists, name)
		}
	}
	return lists
}

func redirectOutside(l *lab, r *report) {
	switch {
	case l.service.Match == nil:
		r.skip("the service sends the headers everywhere (Service.Match is nil)")
		return
	case l.server == nil:
		r.skip("outside.example cannot be made up for a service that runs already")
		return
	}
	p := l.probe(newTrace(), l.names()...)
	p.answer = redirect(p.at(outside, "/outside"))
	r.send(p)
	calls := p.arrived()
	if l.driven() {
		p := l.probe(newTrace(), l.names()...)
		r.during(p, func(ctx context.Context) {
			q, err := p.again(ctx, func(req *http.Request) { req.URL.Host, req.Host = outside, "" })
			if err != nil {
				r.errorf("a call to %s: %w", outside, err)
			}
			calls = append(calls, q.arrived()...)
		})
	}
	seen := false
	for _, c := range calls {
		if c.host == outside {
			seen = true
			r.leak(p, c)
		}
	}
	if !seen {
		r.skip("the service does not follow redirects")
	}
}

func streamed(l *lab, r *report) {
	p := l.probe(newTrace(), l.names()...)
	p.answer = func(w http.ResponseWriter, _ *http.Request, _ int) {
		for range 3 {
			_, _ = io.WriteString(w, "piece\n")
			_ = http.NewResponseController(w).Flush()
		}
	}
	r.send(p)
	if !l.driven() {
		return
	}
	p = l.probe(newTrace(), l.names()...)
	r.during(p, func(ctx context.Context) { upload(ctx, r, p) })
}

// upload makes a call whose body is written to its end only when its beginning
// has arrived.
func upload(ctx context.Context, r *report, p *probe) {
	const first, second = "first half, ", "second half"
	begun, whole := make(chan struct{}, 1), make(chan string, 1)
	body, half := io.Pipe()
	defer func() { _ = body.Close() }()
	go func() {
		_, _ = io.WriteString(half, first)
		select {
		case <-begun:
			_, _ = io.WriteString(half, second)
			_ = half.Close()
		case <-time.After(patience / 5):
			_ = half.CloseWithError(errors.New("nothing arrived while the body was being written"))
		}
	}()
	q, err := p.again(ctx, func(req *http.Request) {
		req.Method, req.Body, req.ContentLength = http.MethodPost, body, -1
		req.Context().Value(probeKey{}).(*probe).answer = func(_ http.ResponseWriter, req *http.Request, n int) {
			if n > 0 {
				return
			}
			buf := make([]byte, len(first))
			read, _ := io.ReadFull(req.Body, buf)
			begun <- struct{}{}
			rest, _ := io.ReadAll(req.Body)
			whole <- string(buf[:read]) + string(rest)
		}
	})
	if err != nil {
		r.errorf("a POST whose body is still being written: %w", err)
		return
	}
	if got := <-whole; got != first+second {
		r.errorf("a POST with the body %q arrived with %q", first+second, got)
	}
	r.judge(q)
}

func concurrent(l *lab, r *report) {
	// All are answered when all have arrived, and then call once more if they
	// follow a redirect: what they share has changed by then. A service that
	// lets fewer through at once is not waited for.
	everybody, over := make(chan struct{}), make(chan struct{})
	errs := make([]error, crowd)
	probes := make([]*probe, crowd)
	for i := range probes {
		p := l.probe(newTrace(), l.names()...)
		probes[i] = p
		again := redirect(p.at(l.upstream.addr, "/again"))
		p.answer = func(w http.ResponseWriter, req *http.Request, n int) {
			if n == 0 {
				select {
				case <-everybody:
				case <-time.After(patience / 5):
				}
			}
			again(w, req, n)
		}
	}
	go func() {
		for _, p := range probes {
			select {
			case <-p.called:
			case <-over:
				return
			}
		}
		close(everybody)
	}()
	var served sync.WaitGroup
	for i, p := range probes {
		served.Add(1)
		go func() {
			defer served.Done()
			errs[i] = p.do(context.Background())
		}()
	}
	served.Wait()
	close(over)
	for i, p := range probes {
		if errs[i] != nil {
			r.errorf("one of %d requests: %w", crowd, errs[i])
		}
		r.judge(p)
	}
}

func cancelled(l *lab, r *report) {
	p := l.probe(newTrace(), l.names()...)
	gone, noticed := make(chan struct{}), make(chan struct{})
	p.answer = func(_ http.ResponseWriter, req *http.Request, n int) {
		select {
		case <-gone:
		case <-req.Context().Done():
			if n == 0 {
				close(noticed)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-p.called:
		case <-time.After(patience / 2):
		}
		cancel()
	}()
	err := p.do(ctx)
	// What the service does when it notices is to be seen, before an answer
	// overtakes that. Not every service looks.
	select {
	case <-noticed:
	case <-time.After(patience / 5):
	}
	close(gone)
	if !errors.Is(err, context.Canceled) {
		r.errorf("a caller that goes away: %w", cmpError(err, "the service answered before it was answered"))
		return
	}
	r.judge(p)
	p.finish()
	r.late(p)
	r.send(l.probe(newTrace(), l.names()...))
}

func explicit(l *lab, r *report) {
	own := newTrace()
	for _, set := range []struct {
		names []string
		none  bool
	}{
		{names: []string{"x-request-id"}},
		{names: []string{"x-b3-traceid", "x-b3-spanid"}},
		{names: []string{"traceparent"}},
		{names: []string{"b3"}, none: true},
	} {
		if len(l.promised(set.names)) == 0 {
			continue
		}
		p := l.probe(newTrace(), l.names()...)
		r.during(p, func(ctx context.Context) {
			q, err := p.again(ctx, func(req *http.Request) {
				for _, name := range set.names {
					if req.Header.Set(name, own.Header(name).Get(name)); set.none {
						req.Header[http.CanonicalHeaderKey(name)] = nil
					}
				}
			})
			if err != nil {
				r.errorf("a call with a header of its own: %w", err)
				return
			}
			r.override(q, set.names, set.none)
		})
	}
}

func unchanged(l *lab, r *report) {
	p := l.probe(newTrace(), l.names()...)
	r.during(p, func(ctx context.Context) {
		var req *http.Request
		q, err := p.again(ctx, func(made *http.Request) {
			req = made
			req.Header.Set("Accept", "text/plain")
		})
		if err != nil {
			r.errorf("a call: %w", err)
			return
		}
		var added []string
		for name := range req.Header {
			if name != "Accept" {
				added = append(added, strings.ToLower(name))
			}
		}
		if slices.Sort(added); len(added) > 0 {
			r.fault(p.sent, call{header: req.Header}, hop.Fault{
				Kind: hop.Mutated, Headers: added, What: fmt.Sprintf("the caller's request was changed: it has %s now", hop.And(added)),
			})
		}
		r.judge(q)
	})
}

func ancestry(l *lab, r *report) {
	if l.service.Parent == nil {
		r.skip("the service's spans cannot be seen (Service.Parent is nil)")
		return
	}
	for _, names := range [][]string{multi, {"b3"}, {"traceparent"}} {
		if names = l.promised(names); len(names) == 0 {
			continue
		}
		t := newTrace()
		p := l.probe(t, names...)
		if !r.send(p) {
			return
		}
		for _, c := range p.arrived() {
			for _, o := range wire.Read(c.header) {
				if spanHeaders[o.Format] != nil && o.HasIDs() && o.Span != t.Span {
					r.descends(p, c, o, t.Span)
				}
			}
		}
	}
}

func cmpError(err error, otherwise string) error {
	if err == nil {
		return errors.New(otherwise)
	}
	return err
}

func newTrace() hop.Trace { return hop.NewTrace(rand.Reader) }
