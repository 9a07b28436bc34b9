package propagationtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tracebaton/tracebaton/internal/hop"
	"github.com/tracebaton/tracebaton/internal/wire"
)

// report collects what a case finds.
type report struct {
	bench     *bench
	c         testCase
	explained map[string]bool     // kinds of faults, and cases
	seen      map[string]*problem // by what they say
	errs      []error
	notes     []error // of what is no fault
	skipped   string
}

// run runs the case. What explained has is not explained again.
func (b *bench) run(c testCase, explained map[string]bool) *report {
	r := &report{bench: b, c: c, explained: explained, seen: make(map[string]*problem)}
	switch {
	case len(c.needs) > 0 && len(b.promised(c.needs)) == 0:
		r.skip("the service does not promise " + c.needs[0])
	case c.drives && !b.driven():
		r.skip("the service does not replace the Transport of the client that it is given")
	case c.drives && b.busy:
		r.skip(errBusy.Error())
	case b.gaveUp():
		r.skip(gaveUp)
	case c.beyond && b.lost:
		r.skip("the headers do not arrive in the first place")
	default:
		if c.first && b.failed != nil {
			r.errorf("%w", b.failed)
		}
		c.run(b, r)
	}
	return r
}

func (r *report) skip(why string) { r.skipped = why }

func (r *report) errorf(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(r.c.name+": "+format, args...))
}

// send sends the probe and judges the calls that are made of it.
func (r *report) send(p *probe) bool {
	if !r.do(p) {
		return false
	}
	r.judge(p)
	return true
}

// gaveUp is what becomes of a service that hangs: each request more would only
// take its time.
const gaveUp = "the service stopped answering"

func (b *bench) gaveUp() bool { return b.silent >= 2 }

// do sends the probe, unless the service stopped answering, and reports whether
// there is something to judge.
func (r *report) do(p *probe) bool {
	if r.bench.gaveUp() {
		return false
	}
	return r.answered(p.do(context.Background()))
}

// answered reports whether a request was answered, and says so if not.
func (r *report) answered(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		r.bench.silent++
	} else {
		r.bench.silent = 0
	}
	if err != nil {
		r.errorf("%w", err)
	}
	return err == nil
}

// during sends the probe, and makes calls with the context of the service's
// own while that waits for its answer. If the service has none that comes from
// the request, nothing can be called on the request's behalf, which the
// judgment says.
func (r *report) during(p *probe, calls func(ctx context.Context)) {
	if r.bench.gaveUp() {
		return
	}
	// The calls are made here and not in the upstream's handler, which may
	// still run when nobody waits for it any more.
	held, release := make(chan call, 1), make(chan struct{})
	p.answer = func(w http.ResponseWriter, req *http.Request, c call) {
		if c.n == 0 {
			held <- c
			select {
			case <-release:
			case <-req.Context().Done():
			}
		}
		r.bench.answer(w, req)
	}
	done := make(chan error, 1)
	go func() { done <- p.do(context.Background()) }()
	var err error
	select {
	case c := <-held:
		if c.ctx != nil && !c.detached {
			calls(c.ctx)
		}
		close(release)
		err = <-done
	case err = <-done:
		close(release)
	}
	if r.answered(err) {
		r.judge(p)
	}
}

// call makes a call as the service would while serving p, and judges it.
func (r *report) call(ctx context.Context, p *probe) {
	q, err := p.again(ctx, nil, nil)
	r.made(err, "a call")
	r.judge(q)
}

// made reports whether a call was made. Where it was not for a good reason, the
// case is skipped, and else it fails.
func (r *report) made(err error, what string) bool {
	switch {
	case errors.Is(err, errBusy):
		r.bench.busy = true
		r.skip(err.Error())
	case errors.Is(err, errGone):
		r.skip(err.Error())
	case err != nil:
		r.errorf("%s: %w", what, err)
	}
	return err == nil
}

// late makes a call for p, which has been served.
func (r *report) late(p *probe) {
	if ctx := p.context(); r.bench.driven() && ctx != nil {
		r.call(context.WithoutCancel(ctx), p)
	}
}

// judge compares all calls of the probe with what was sent.
func (r *report) judge(p *probe) {
	for _, c := range p.arrived() {
		if c.host == outside {
			continue
		}
		want := r.bench.want
		want.Foreign = r.bench.foreign(p)
		for _, f := range hop.Judge(p.sent, c.header, want).Faults {
			r.fault(p.sent, c, f)
		}
	}
}

// foreign returns whether a value is of another request than p.
func (b *bench) foreign(p *probe) func(string) bool {
	others := slices.DeleteFunc(b.all(), func(q *probe) bool {
		return len(q.traces) == 0 || slices.Equal(p.traces, q.traces)
	})
	return func(v string) bool {
		return !p.owns(v) && slices.ContainsFunc(others, func(q *probe) bool { return q.owns(v) })
	}
}

// override judges a call that had the named headers before the service's
// client got it.
func (r *report) override(q *probe, names []string, none bool) {
	made := q.arrived()[0]
	arrived := made.header
	var family []string // what must not be added
	for _, f := range r.bench.families {
		if slices.Contains(f.Headers, names[0]) {
			family = f.Headers
		}
	}
	var added, lost []string
	for _, name := range family {
		got, own := arrived.Get(name), slices.Contains(names, name) && !none
		switch {
		case got != "" && !own, own && got == q.sent.Get(name):
			added = append(added, name)
		case own && got == "":
			lost = append(lost, name)
		}
	}
	what := ""
	switch {
	case len(added) == 0 && len(lost) == 0:
		return
	case r.bench.service.Spans == OwnSpans && r.child(q, arrived):
		return
	case len(added) > 0 && none:
		what = fmt.Sprintf("the caller set %s to nothing, and %s of the request went out all the same", hop.And(names), hop.And(added))
	case len(added) > 0:
		what = fmt.Sprintf("the caller set %s, and %s of the request went out", hop.And(names), hop.And(added))
	default:
		what = fmt.Sprintf("the caller set %s, and %s did not arrive", hop.And(names), hop.And(lost))
	}
	r.fault(q.sent, made, hop.Fault{Kind: hop.CallerIgnored, Severity: hop.Broken, Headers: family, What: what})
}

// child reports whether a whole child span's headers arrived: a service that
// makes spans writes those of the call over what the caller chose.
func (r *report) child(q *probe, arrived http.Header) bool {
	return hop.Judge(q.sent, arrived, r.bench.want).Worst() == hop.Note
}

// leak judges a call to a host that must not get the headers.
func (r *report) leak(p *probe, c call) {
	var leaked []string
	for _, name := range r.bench.names() {
		if c.header.Get(name) != "" {
			leaked = append(leaked, name)
		}
	}
	if len(leaked) > 0 {
		r.fault(p.sent, c, hop.Fault{Kind: hop.Leaked, Severity: hop.Broken, Headers: leaked, What: fmt.Sprintf("%s arrived at %s", hop.And(leaked), outside)})
	}
}

// descends follows the span that arrived up to the caller's.
func (r *report) descends(p *probe, c call, o wire.Context, caller string) {
	for at := o.Span; ; {
		parent, ok := r.parent(at)
		f := hop.Fault{Severity: hop.Broken, Headers: spanHeaders[o.Format]}
		switch {
		case !ok && at == o.Span:
			f.Kind, f.What = hop.Phantom, string(o.Format)+" names a span that the service did not record"
		case !ok:
			f.Kind, f.What = hop.Phantom, "the span in "+string(o.Format)+" hangs from one that the service did not record"
		case parent == caller:
			return
		case parent == "":
			f.Kind, f.What = hop.WrongParent, "the span in "+string(o.Format)+" hangs from a root of the service's own, not from the caller's span"
		default:
			at = parent
			continue
		}
		r.fault(p.sent, c, f)
		return
	}
}

// spanHeaders are those that name a span.
var spanHeaders = map[wire.Format][]string{
	wire.B3Multi: {"x-b3-spanid"}, wire.B3Single: {"b3"}, wire.W3C: {"traceparent"},
}

// parent asks the service for a span's parent, and waits a little for spans
// that end after the response was sent.
func (r *report) parent(span string) (parent string, ok bool) {
	for deadline := time.Now().Add(r.bench.pace.grace); ; time.Sleep(time.Millisecond) {
		if parent, ok = r.bench.service.Parent(span); ok || time.Now().After(deadline) {
			return parent, ok
		}
	}
}

// fault reports a fault, once however many calls show it.
func (r *report) fault(sent http.Header, c call, f hop.Fault) {
	key := key(f)
	if r.c.beyond && r.bench.always[key] {
		return
	}
	if e := r.seen[key]; e != nil {
		e.times++
		if c.name != "" && !slices.Contains(e.names, c.name) {
			e.names, e.calls = append(e.names, c.name), append(e.calls, c.name)
		}
		return
	}
	e := &problem{name: r.c.name, fault: f, times: 1}
	r.seen[key] = e
	for _, name := range f.Headers {
		e.sent = append(e.sent, lines(name, sent)...)
		e.arrived = append(e.arrived, lines(name, c.header)...)
	}
	if c.name != "" {
		e.names, e.calls = []string{c.name}, []string{callName(c)}
	}
	if c.detached {
		e.detached = detached(c.ctx)
	}
	if kind := "fault " + string(f.Kind); !r.explained[kind] {
		r.explained[kind] = true
		e.rule, e.matters, e.do = f.Rule(), f.Why(), f.Do(r.bench.clues)
		if hint := f.Hint(r.bench.clues); hint != "" && !r.explained[hint] {
			r.explained[hint] = true
			e.do += " " + hint
		}
	}
	if name := "case " + r.c.name; !r.explained[name] {
		r.explained[name] = true
		e.why = r.c.why
	}
	if f.Severity == hop.Note {
		r.notes = append(r.notes, e)
		return
	}
	r.errs = append(r.errs, e)
}

// callName names a call among those of its request.
func callName(c call) string {
	if c.name == "" {
		return ""
	}
	return fmt.Sprintf("%s, which is call %d of the request", c.name, c.n+1)
}

// ginContext is the key under which gin's contexts return themselves.
const ginContext = "_gin-gonic/gin/contextkey"

// detached says with what a call was made that has no context of a request.
func detached(ctx context.Context) string {
	if ctx != nil && ctx.Value(ginContext) != nil {
		return "the call was made with gin's own context, which does not look into the request's: set engine.ContextWithFallback = true, or make the call with c.Request.Context()"
	}
	return "the call was made with a context that does not come from the request's, such as context.Background(); one that is made for no request, such as a health check, must be left out of the test"
}

func lines(name string, h http.Header) (lines []string) {
	for _, v := range h.Values(name) {
		lines = append(lines, fmt.Sprintf("%s: %s", name, v))
	}
	return lines
}

// problem is an error that teaches.
type problem struct {
	name                   string // of the case
	fault                  hop.Fault
	sent, arrived          []string
	times                  int
	names, calls           []string // method and path of the calls that show it, and how they are told
	detached               string   // what its context was, if it was of no request
	rule, matters, do, why string   // empty if explained before
}

func (e *problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.name, e.fault.What)
	if e.times > 1 {
		fmt.Fprintf(&b, " (%d times)", e.times)
	}
	line := func(key, text string) {
		if text != "" {
			fmt.Fprintf(&b, "\n    %-9s%s", key, text)
		}
	}
	block := func(key string, values []string) {
		if len(values) == 0 {
			values = []string{"nothing"}
		}
		line(key, strings.Join(values, "\n"+strings.Repeat(" ", 13)))
	}
	if len(e.fault.Headers) > 0 {
		block("sent:", e.sent)
		block("arrived:", e.arrived)
	}
	line("call:", strings.Join(e.calls, "; also "))
	line("seen:", e.detached)
	line("rule:", e.rule)
	line("why:", e.matters)
	line("do:", e.do)
	line("case:", e.why)
	return b.String()
}
