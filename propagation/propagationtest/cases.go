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
)

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
	// first says that the case is about a plain request.
	first bool
	run   func(b *bench, r *report)
}

var cases = []testCase{
	{
		name:  "headers of all families arrive together",
		why:   "a mesh in transition sends several formats at once, and sidecars, gateways and older services each read their own",
		first: true,
		run: func(b *bench, r *report) {
			r.send(b.probe(newTrace(), b.names()...))
		},
	},
	{
		name: "every value of a repeated header arrives, in order",
		why:  "proxies split long lists into several headers of one name, and their values are one list",
		run: func(b *bench, r *report) {
			t := newTrace()
			p := b.probe(t, b.names()...)
			names := b.lists()
			if len(names) == 0 {
				r.skip("the service promises no header that may come several times")
				return
			}
			for _, name := range names {
				p.sent.Add(name, "second="+t.Span)
			}
			r.send(p)
		},
	},
	{
		name:  "a sampling decision without IDs is passed on",
		why:   "the gateway has decided, and leaves it to the next sidecar to start the trace; without the decision that sidecar decides again",
		needs: []string{"x-b3-sampled", "b3"},
		run: func(b *bench, r *report) {
			for _, h := range []http.Header{
				{"X-B3-Sampled": {"1"}}, {"X-B3-Sampled": {"0"}}, {"X-B3-Flags": {"1"}}, {"B3": {"0"}}, {"B3": {"1"}}, {"B3": {"d"}},
			} {
				p := b.probe(hop.Trace{})
				maps.Copy(p.sent, h)
				r.send(p)
			}
		},
	},
	{
		name:  "a debug request stays one",
		why:   "somebody is looking for a fault and asked for this one request to be recorded, whatever the samplers say",
		needs: []string{"x-b3-flags", "b3"},
		run: func(b *bench, r *report) {
			r.send(b.probe(newTrace().Decided(wire.Debug), multi...))
			r.send(b.probe(newTrace().Decided(wire.Debug), "b3"))
		},
	},
	{
		name:  "a trace that is not sampled stays so",
		why:   "a service that alone records a trace fills the store with pieces",
		needs: []string{"x-b3-sampled", "b3", "traceparent"},
		run: func(b *bench, r *report) {
			for _, names := range [][]string{multi, {"b3"}, {"traceparent", "tracestate"}} {
				if names = b.promised(names); len(names) > 0 {
					r.send(b.probe(newTrace().Decided(wire.Denied), names...))
				}
			}
		},
	},
	{
		name:  "a trace keeps its decision, whatever its ID is",
		why:   "a sampler of a ratio that does not ask the parent leaves out traces whose ID is high",
		needs: []string{"x-b3-sampled", "b3", "traceparent"},
		run: func(b *bench, r *report) {
			for _, t := range []hop.Trace{newTrace().Low(), newTrace().High()} {
				r.send(b.probe(t, b.names()...))
			}
		},
	},
	{
		name:  "a request ID that is no UUID arrives, too",
		why:   "a client may have made it, and access logs are joined by it all the same",
		needs: []string{"x-request-id"},
		run: func(b *bench, r *report) {
			t := newTrace()
			p := b.probe(t)
			p.sent.Set("x-request-id", "request "+t.Span)
			r.send(p)
		},
	},
	{
		name:  "IDs without a decision get none",
		why:   "in B3, no decision means that the receiver decides; one that is made up takes that from the sidecar",
		needs: []string{"x-b3-traceid", "b3"},
		run: func(b *bench, r *report) {
			r.send(b.probe(newTrace().Decided(wire.Deferred), multi...))
			r.send(b.probe(newTrace().Decided(wire.Deferred), "b3"))
		},
	},
	{
		name:  "a trace ID of 64 bits keeps its 16 digits",
		why:   "older Zipkin tracers make such IDs, and strict stores take the padded one for another trace",
		needs: []string{"x-b3-traceid", "b3"},
		run: func(b *bench, r *report) {
			r.send(b.probe(newTrace().Short(), multi...))
			r.send(b.probe(newTrace().Short(), "b3"))
		},
	},
	{
		name:  "a span without a parent gets none",
		why:   "the first span of a trace has no parent, and an empty or zero x-b3-parentspanid is not the same as none",
		needs: []string{"x-b3-parentspanid"},
		run: func(b *bench, r *report) {
			t := newTrace()
			t.Parent = ""
			r.send(b.probe(t, multi...))
		},
	},
	{
		name: "where nothing came in, nothing is invented",
		why:  "the sidecar starts a trace for a call that belongs to none; x-b3-sampled: 0 or an empty header forbids it",
		run: func(b *bench, r *report) {
			r.send(b.probe(hop.Trace{}))
		},
	},
	{
		name: "an empty header is not passed on",
		why:  "Envoy reads an empty x-b3-sampled as a decision not to sample, and fails on an empty b3",
		run: func(b *bench, r *report) {
			p := b.probe(hop.Trace{})
			for _, name := range b.names() {
				p.sent.Set(name, "")
			}
			r.send(p)
		},
	},
	{
		name:   "an upstream that answers 500 got them too",
		why:    "people look at traces for the calls that fail, and each retry is a call of its own",
		beyond: true,
		run: func(b *bench, r *report) {
			p := b.probe(newTrace(), b.names()...)
			p.answer = func(w http.ResponseWriter, _ *http.Request, _ call) {
				http.Error(w, "failed on purpose", http.StatusInternalServerError)
			}
			r.send(p)
		},
	},
	{
		name:   "a redirect takes them along",
		why:    "each hop of a redirect is a call of its own, with a span of its own",
		beyond: true,
		run: func(b *bench, r *report) {
			p := b.probe(newTrace(), b.names()...)
			p.answer = b.redirect(p.at(b.upstream.Addr, "/again"))
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
		why:    "code that adds headers and reads the body to its end first breaks uploads, long answers and server-sent events",
		beyond: true,
		run:    streamed,
	},
	{
		name:   "many requests at once keep their own",
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
		run: func(b *bench, r *report) {
			p := b.probe(newTrace(), b.names()...)
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
		why:    "a goroutine with the request's context (context.WithoutCancel) still works for that request while the next one is served",
		drives: true,
		beyond: true,
		run: func(b *bench, r *report) {
			p := b.probe(newTrace(), b.names()...)
			if !r.send(p) {
				return
			}
			p.finish()
			r.send(b.probe(newTrace(), b.names()...))
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
func (b *bench) cases() []testCase {
	alone := func(what, why string, names ...string) testCase {
		return testCase{name: what + " alone arrives", why: why, needs: names[:1], run: func(b *bench, r *report) {
			r.send(b.probe(newTrace(), names...))
		}}
	}
	all := []testCase{
		alone("x-request-id", "Envoy's access logs are joined by it, also for requests that are in no trace", "x-request-id"),
		alone("B3 in several headers", "it is what sidecars of Istio's zipkin provider speak", multi...),
		alone("B3 in one header", "tracers that speak B3 between themselves have it in one header by default", "b3"),
		alone("W3C", "it is what OpenTelemetry and sidecars of Istio's opentelemetry provider speak", "traceparent", "tracestate"),
	}
	taken := slices.Concat([]string{"x-request-id", "b3", "traceparent", "tracestate"}, multi)
	for _, f := range b.families {
		_, known := hop.Named(f.Name)
		if names := f.Headers; known && !slices.Contains(taken, names[0]) && len(b.promised(names)) > 0 {
			all = append(all, alone(names[0], "one family is enough for those that speak only it", names...))
			taken = append(taken, names...)
		}
	}
	for _, name := range b.names() {
		if !slices.Contains(taken, name) {
			all = append(all, alone(name, "a header of the service's own goes wherever the trace does", name))
		}
	}
	return slices.Concat(cases[:1], all, cases[1:])
}

// names returns the headers that the service promises.
func (b *bench) names() []string { return hop.Headers(b.families) }

// promised returns those of the headers that the service promises.
func (b *bench) promised(names []string) []string {
	promised := b.names()
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(promised, name) })
}

// lists returns headers that may come several times: those that are lists, and
// those of which nothing is known.
func (b *bench) lists() []string {
	var lists []string
	for _, name := range b.names() {
		_, known := hop.Named(hop.FamilyOf(name).Name)
		if name == "tracestate" || name == "baggage" || !known {
			lists = append(lists, name)
		}
	}
	return lists
}

func redirectOutside(b *bench, r *report) {
	switch {
	case b.service.Match == nil:
		r.skip("the service sends the headers everywhere (Service.Match is nil)")
		return
	case b.server == nil:
		r.skip("outside.example cannot be made up for a service that runs already")
		return
	}
	p := b.probe(newTrace(), b.names()...)
	p.answer = b.redirect(p.at(outside, "/outside"))
	r.send(p)
	calls := p.arrived()
	if b.driven() {
		p := b.probe(newTrace(), b.names()...)
		r.during(p, func(ctx context.Context) {
			q, err := p.again(ctx, func(req *http.Request) { req.URL.Host, req.Host = outside, "" }, nil)
			r.made(err, "a call to "+outside)
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

func streamed(b *bench, r *report) {
	p := b.probe(newTrace(), b.names()...)
	p.answer = func(w http.ResponseWriter, _ *http.Request, _ call) {
		w.Header().Set("Content-Type", "application/json")
		for _, piece := range []string{"{", `"pieces":`, "3}"} {
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
		}
	}
	r.send(p)
	if !b.driven() {
		return
	}
	p = b.probe(newTrace(), b.names()...)
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
		case <-time.After(r.bench.pace.grace):
			_ = half.CloseWithError(errors.New("nothing arrived while the body was being written"))
		}
	}()
	q, err := p.again(ctx, func(req *http.Request) {
		req.Method, req.Body, req.ContentLength = http.MethodPost, body, -1
	}, func(w http.ResponseWriter, req *http.Request, c call) {
		if c.n == 0 {
			buf := make([]byte, len(first))
			read, _ := io.ReadFull(req.Body, buf)
			begun <- struct{}{}
			rest, _ := io.ReadAll(req.Body)
			whole <- string(buf[:read]) + string(rest)
		}
		r.bench.answer(w, req)
	})
	if !r.made(err, "a POST whose body is still being written") {
		return
	}
	if got := <-whole; got != first+second {
		r.errorf("a POST with the body %q arrived with %q", first+second, got)
	}
	r.judge(q)
}

func concurrent(b *bench, r *report) {
	// All are answered when all have arrived, and then call once more if they
	// follow a redirect: what they share has changed by then. A service that
	// lets fewer through at once is not waited for.
	everybody := make(chan struct{})
	ctx, over := context.WithCancel(context.Background())
	timer := time.AfterFunc(b.pace.grace, over)
	defer timer.Stop()
	errs := make([]error, b.pace.crowd)
	probes := make([]*probe, b.pace.crowd)
	for i := range probes {
		p := b.probe(newTrace(), b.names()...)
		probes[i] = p
		again := b.redirect(p.at(b.upstream.Addr, "/again"))
		p.answer = func(w http.ResponseWriter, req *http.Request, c call) {
			if c.n == 0 {
				select {
				case <-everybody:
				case <-ctx.Done():
				}
			}
			again(w, req, c)
		}
	}
	go func() {
		for _, p := range probes {
			select {
			case <-p.called:
			case <-ctx.Done():
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
	over()
	for i, p := range probes {
		if errs[i] != nil {
			r.errorf("one of %d requests: %w", len(probes), errs[i])
		}
		r.judge(p)
	}
}

func cancelled(b *bench, r *report) {
	p := b.probe(newTrace(), b.names()...)
	gone, noticed := make(chan struct{}), make(chan struct{})
	p.answer = func(w http.ResponseWriter, req *http.Request, c call) {
		select {
		case <-gone:
			b.answer(w, req)
		case <-req.Context().Done():
			if c.n == 0 {
				close(noticed)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-p.called:
		case <-time.After(b.pace.patience / 2):
		}
		cancel()
	}()
	err := p.do(ctx)
	// What the service does when it notices is to be seen, before an answer
	// overtakes that. Not every service looks.
	select {
	case <-noticed:
	case <-time.After(b.pace.grace):
	}
	close(gone)
	if !errors.Is(err, context.Canceled) {
		r.errorf("a caller that goes away: %w", cmpError(err, "the service answered before it was answered"))
		return
	}
	r.judge(p)
	p.finish()
	r.late(p)
	r.send(b.probe(newTrace(), b.names()...))
}

func explicit(b *bench, r *report) {
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
		if len(b.promised(set.names)) == 0 {
			continue
		}
		p := b.probe(newTrace(), b.names()...)
		r.during(p, func(ctx context.Context) {
			q, err := p.again(ctx, func(req *http.Request) {
				for _, name := range set.names {
					if req.Header.Set(name, own.Header(name).Get(name)); set.none {
						req.Header[http.CanonicalHeaderKey(name)] = nil
					}
				}
			}, nil)
			if !r.made(err, "a call with a header of its own") {
				return
			}
			r.override(q, set.names, set.none)
		})
	}
}

func unchanged(b *bench, r *report) {
	p := b.probe(newTrace(), b.names()...)
	r.during(p, func(ctx context.Context) {
		var req *http.Request
		q, err := p.again(ctx, func(made *http.Request) {
			req = made
			req.Header.Set("Accept", "text/plain")
		}, nil)
		if !r.made(err, "a call") {
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
				Kind: hop.Mutated, Severity: hop.Broken, Headers: added, What: fmt.Sprintf("the caller's request was changed: it has %s now", hop.And(added)),
			})
		}
		r.judge(q)
	})
}

func ancestry(b *bench, r *report) {
	if b.service.Parent == nil {
		r.skip("the service's spans cannot be seen (Service.Parent is nil)")
		return
	}
	for _, names := range [][]string{multi, {"b3"}, {"traceparent"}} {
		if names = b.promised(names); len(names) == 0 {
			continue
		}
		t := newTrace()
		p := b.probe(t, names...)
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
