// Package meshsim makes up meshes, and the spans that their sidecars record,
// to measure by how well package audit finds who loses traces. It knows what
// is true and nothing of how the audit finds it.
package meshsim

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tracebaton/tracebaton/internal/audit"
)

// Config says what a mesh is like. The zero value has no traffic.
type Config struct {
	Seed     uint64
	Rate     float64 // requests a second, from outside
	Seconds  float64
	Sampling float64 // share of the traces recorded; 0: all
	ByID     bool    // whether to record is decided by the request ID, as Envoy does
	Loss     float64 // share of the spans that get lost, singly

	Honest bool // no service loses traces
	Bursts bool // traffic comes in bursts, and so does the work in the background
	Poll   bool // many services poll, some in batches, some by the clock
	Odd    bool // gateways, shared span IDs, streams, clock steps, pods' names used again, constant request IDs
}

// Truth is what a mesh is really like.
type Truth struct {
	// Lost counts the stored orphans that requests caused, by what lost the
	// trace.
	Lost map[Edge]int
	// Kinds has the way in which a service loses traces.
	Kinds map[string]string
	// Begun counts the stored orphans that nothing caused, by service.
	Begun map[string]int
}

// Edge is a route of a service, and whom it calls.
type Edge struct{ Service, Route, Callee string }

// Services returns those that lost a trace in what is stored, with how many.
func (t *Truth) Services() map[string]int {
	out := make(map[string]int)
	for e, n := range t.Lost {
		out[e.Service] += n
	}
	return out
}

type service struct {
	name   string
	pods   []*pod
	routes []route
	breaks breaks
	timers []timer
	next   int
}

type pod struct {
	name string
	skew int64
	step int64 // of the clock, half way through
	old  bool  // of two versions
}

type route struct {
	name  string
	think float64 // µs between calls, the median
	steps []step
	late  []call // made after the answer
	delay float64
}

// step is calls that are made at once.
type step []call

type call struct {
	to    *service
	route int
	retry float64
}

type breaks struct {
	kind   string // one of audit's, or empty
	route  int    // -1: all
	callee *service
	old    bool    // only the pods of the old version do
	share  float64 // of the calls
}

type timer struct {
	call   call
	every  float64 // µs
	clock  bool    // on the whole second
	batch  int
	follow float64 // requests of its service to one call, some time later
}

type sim struct {
	Config
	*rand.Rand
	services []*service
	spans    []audit.Span
	truth    Truth
	end      int64
	shared   bool
	served   map[*service][]int64
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro()

// Run makes up a mesh and returns its spans, in the order in which they ended.
func Run(c Config) ([]audit.Span, Truth) {
	s := &sim{
		Config: c, Rand: rand.New(rand.NewPCG(c.Seed, 15)), // #nosec G404 -- a simulation
		truth:  Truth{Lost: map[Edge]int{}, Kinds: map[string]string{}, Begun: map[string]int{}},
		end:    int64(c.Seconds * 1e6),
		served: make(map[*service][]int64),
	}
	if s.Sampling == 0 {
		s.Sampling = 1
	}
	s.shared = c.Odd && s.chance(0.3)
	front := s.build()
	s.traffic(front)
	s.background()
	slices.SortFunc(s.spans, func(x, y audit.Span) int {
		return cmp.Compare(x.Start.Add(x.Duration).UnixMicro(), y.Start.Add(y.Duration).UnixMicro())
	})
	return s.spans, s.truth
}

func (s *sim) chance(p float64) bool { return s.Float64() < p }

// around returns a length of time with that median.
func (s *sim) around(median float64) float64 { return median * math.Exp(0.6*s.NormFloat64()) }

// build makes services in layers, each of which calls those below.
func (s *sim) build() []*service {
	var layers [][]*service
	for l, name := range []string{"front", "mid", "back", "leaf"} {
		var layer []*service
		for i := range 1 + s.IntN(1+2*min(l, 2)) {
			v := &service{name: fmt.Sprintf("%s%d", name, i)}
			for p := range 1 + s.IntN(4) {
				v.pods = append(v.pods, &pod{
					name: fmt.Sprintf("%s-%x", v.name, s.Uint32()), skew: int64(20_000 * s.NormFloat64()), old: p%2 == 0,
				})
			}
			layer = append(layer, v)
		}
		layers = append(layers, layer)
		s.services = append(s.services, layer...)
	}
	for l, layer := range layers {
		var below []*service
		for _, deeper := range layers[l+1:] {
			below = append(below, deeper...)
		}
		for _, v := range layer {
			s.furnish(v, below)
		}
	}
	if s.Odd {
		s.distort()
	}
	return layers[0]
}

func (s *sim) furnish(v *service, below []*service) {
	pick := func() call {
		to := below[s.IntN(len(below))]
		c := call{to: to, route: s.IntN(4)}
		if s.chance(0.1) {
			c.retry = 0.1
		}
		return c
	}
	for i := range 1 + s.IntN(4) {
		r := route{name: fmt.Sprintf("GET /%s/r%d", v.name, i), think: math.Exp(s.NormFloat64()) * 3000, delay: s.around(20_000)}
		if s.chance(0.1) {
			r.think *= 20
		}
		if len(below) > 0 {
			for range s.IntN(4) {
				st := step{pick()}
				for s.chance(0.3) {
					st = append(st, pick())
				}
				r.steps = append(r.steps, st)
			}
			if s.chance(0.15) {
				r.late = append(r.late, pick())
			}
		}
		v.routes = append(v.routes, r)
	}
	if len(below) == 0 {
		return
	}
	var called []call
	for _, r := range v.routes {
		for _, st := range r.steps {
			called = append(called, st...)
		}
	}
	if !s.Honest && s.chance(0.35) && len(called) > 0 {
		b := breaks{kind: audit.KindDrops, route: -1, share: 1}
		switch s.IntN(8) {
		case 0:
			b.route = s.IntN(len(v.routes))
		case 1:
			b.callee = called[s.IntN(len(called))].to
		case 2:
			b.old = true
		case 3, 4:
			b.kind = audit.KindRequestID
		case 5, 6:
			b.kind = audit.KindAfterAnswer
			v.routes[0].late = append(v.routes[0].late, pick())
		case 7:
			b.share = 0.3
		}
		v.breaks = b
		s.truth.Kinds[v.name] = b.kind
	}
	odds := 0.2
	if s.Poll {
		odds = 0.6
	}
	if s.chance(odds) {
		t := timer{call: pick(), every: s.around(2e6), batch: 1}
		if s.chance(0.3) {
			t.batch = 2 + s.IntN(7)
		}
		switch s.IntN(4) {
		case 0:
			t.clock, t.every = true, []float64{1e6, 2e6, 5e6, 1e7}[s.IntN(4)]
		case 1:
			t.follow = 1 + 10*s.Float64()
		}
		if s.chance(0.3) {
			t.every /= 10
		}
		v.timers = append(v.timers, t)
	}
}

// distort makes clocks step, and pods of different times share a name.
func (s *sim) distort() {
	for _, v := range s.services {
		for _, p := range v.pods {
			if s.chance(0.1) {
				p.step = int64(3e6 * s.NormFloat64())
			}
		}
		if len(v.pods) > 1 && s.chance(0.1) {
			v.pods[1].name = v.pods[0].name
		}
	}
}

// carried is what goes with a request.
type carried struct {
	trace   audit.TraceID
	span    uint64
	request string
	sampled bool
}

func (s *sim) begin(request string) carried {
	if request == "" {
		request = fmt.Sprintf("%016x", s.Uint64())
	}
	c := carried{trace: audit.TraceID{High: s.Uint64(), Low: s.Uint64()}, request: request}
	c.sampled = s.chance(s.Sampling)
	if s.ByID {
		sum := uint64(14695981039346656037)
		for _, b := range []byte(request) {
			sum = (sum ^ uint64(b)) * 1099511628211
		}
		c.sampled = float64(sum>>11)/(1<<53) < s.Sampling
	}
	return c
}

func (s *sim) traffic(front []*service) {
	burst, constant := 1.0, ""
	if s.Odd && s.chance(0.2) {
		constant = "load-test"
	}
	gateway := &service{name: "istio-ingressgateway", pods: []*pod{{name: "router"}}}
	until := 0.0
	for t := 0.0; t < float64(s.end); {
		if s.Bursts && t > until {
			burst = []float64{0.1, 0.5, 4}[s.IntN(3)]
			until = t + s.around(2e6)
		}
		t += s.ExpFloat64() * 1e6 / (s.Rate * burst)
		c := call{to: front[s.IntN(len(front))], route: s.IntN(4)}
		switch {
		case s.Odd && s.chance(0.5):
			s.outgoing(gateway, gateway.pods[0], c, int64(t), s.begin(constant), nil)
		default:
			s.incoming(c, int64(t), s.begin(constant))
		}
	}
	if s.Odd && s.chance(0.3) {
		s.stream(front[0])
	}
}

// stream makes a request that lasts, and sends a call now and then.
func (s *sim) stream(v *service) {
	c := s.begin("")
	p := v.pods[0]
	id := s.Uint64() | 1
	s.record(audit.Span{Service: v.name, Kind: audit.Server, Trace: c.trace, ID: id, Route: v.routes[0].name}, p, 0, int64(9e7), c, nil)
}

// outgoing makes a call, with what is to be carried, and returns when it is
// over.
func (s *sim) outgoing(v *service, p *pod, out call, t int64, c carried, why *Edge) int64 {
	id := s.Uint64() | 1
	span := audit.Span{Service: v.name, Kind: audit.Client, Trace: c.trace, ID: id, Parent: c.span, Callee: out.to.name + ".default.svc.cluster.local"}
	parent := c.span
	c.span = id
	end := s.incomingFrom(out, t+int64(s.around(300)), c, parent) + int64(s.around(300))
	s.record(span, p, t, end, c, why)
	return end
}

func (s *sim) incoming(in call, t int64, c carried) int64 { return s.incomingFrom(in, t, c, 0) }

func (s *sim) incomingFrom(in call, t int64, c carried, grandparent uint64) int64 {
	v := in.to
	r := &v.routes[in.route%len(v.routes)]
	v.next++
	p := v.pods[v.next%len(v.pods)]
	start, id, parent := t, s.Uint64()|1, c.span
	if s.shared && parent != 0 {
		id, parent = parent, grandparent
	}
	c.span = id
	s.served[v] = append(s.served[v], t)
	t += int64(s.around(r.think))
	for _, st := range r.steps {
		end := t
		for _, out := range st {
			e := s.onBehalf(v, p, in.route%len(v.routes), out, t, c, false)
			for s.chance(out.retry) {
				e = s.onBehalf(v, p, in.route%len(v.routes), out, e, c, false)
			}
			end = max(end, e)
		}
		t = end + int64(s.around(r.think))
	}
	for _, out := range r.late {
		s.onBehalf(v, p, in.route%len(v.routes), out, t+int64(s.around(r.delay)), c, true)
	}
	s.record(audit.Span{Service: v.name, Kind: audit.Server, Trace: c.trace, ID: id, Parent: parent, Route: r.name}, p, start, t, c, nil)
	return t
}

// onBehalf makes a call for a request, as the service does it.
func (s *sim) onBehalf(v *service, p *pod, r int, out call, t int64, c carried, late bool) int64 {
	b := v.breaks
	if b.kind == "" || b.route >= 0 && b.route != r || b.callee != nil && b.callee != out.to ||
		b.old && !p.old || late != (b.kind == audit.KindAfterAnswer) || !s.chance(b.share) {
		return s.outgoing(v, p, out, t, c, nil)
	}
	request := ""
	if b.kind == audit.KindRequestID {
		request = c.request
	}
	return s.outgoing(v, p, out, t, s.begin(request), &Edge{v.name, v.routes[r].name, out.to.name})
}

func (s *sim) background() {
	for _, v := range s.services {
		for _, t := range v.timers {
			s.tick(v, t)
		}
	}
}

func (s *sim) tick(v *service, t timer) {
	fire := func(at int64) {
		p := v.pods[s.IntN(len(v.pods))]
		for range 1 + s.IntN(t.batch) {
			s.outgoing(v, p, t.call, at, s.begin(""), &Edge{})
			at += int64(s.around(3000))
		}
	}
	switch {
	case t.follow > 0:
		for _, at := range s.served[v] {
			if s.chance(1 / t.follow) {
				fire(at + 1_000_000 + int64(s.ExpFloat64()*3e6)) // what has gathered, seconds later
			}
		}
	case t.clock:
		for at := 0.0; at < float64(s.end); at += t.every {
			fire(int64(at) + int64(s.around(2000)))
		}
	default:
		for at := s.Float64() * t.every; at < float64(s.end); {
			fire(int64(at))
			if t.every < 1e6 {
				at += s.ExpFloat64() * t.every
			} else {
				at += t.every * (0.9 + 0.2*s.Float64())
			}
		}
	}
}

// record stores a span. why says what lost its trace, or is zero if nothing
// caused the call.
func (s *sim) record(span audit.Span, p *pod, start, end int64, c carried, why *Edge) {
	if !c.sampled || s.chance(s.Loss) {
		return
	}
	start, end = start+p.skew, end+p.skew
	if p.step != 0 && start > s.end/2 {
		start, end = start+p.step, end+p.step
	}
	span.Pod, span.Proxy, span.RequestID = p.name, true, c.request
	span.Gateway = p.name == "router"
	span.Version = "v1"
	if p.old {
		span.Version = "v0"
	}
	span.Start = time.UnixMicro(epoch + start)
	span.Duration = time.Duration(max(end-start, 1)) * time.Microsecond
	s.spans = append(s.spans, span)
	switch {
	case why == nil:
	case why.Service == "":
		s.truth.Begun[span.Service]++
	default:
		s.truth.Lost[*why]++
	}
}
