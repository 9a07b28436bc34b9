package audit

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
)

// The classes of spans that may show that a trace is lost.
const (
	orphaned = iota // client spans without a parent
	madeUp          // the first of what is stored of a trace, with a parent that nobody stored
	classes
)

// pair is a service and one that it calls.
type pair struct {
	relayed, begun int
	clocked        int // of begun: those that go by a clock
	clockHits      int // of clocked: those that coincide with a request
	clockChance    float64
	byRequest      int   // of begun: those with the ID of a request that came in
	relayedBy      []int // by place of the route
	seen           [classes]sightings
	tests          [classes]tally
	samples        [classes]samples
}

// sightings is when and where suspects of a class began.
type sightings struct {
	first, last int64
	pods        map[int32]int
}

func (s *sightings) add(r *record) {
	if s.pods == nil {
		s.first, s.pods = r.start, make(map[int32]int)
	}
	s.first, s.last = min(s.first, r.start), max(s.last, r.start)
	s.pods[r.pod]++
}

func (s *service) pair(callee int32) *pair {
	p := s.pairs[callee]
	if p == nil {
		p = &pair{}
		s.pairs[callee] = p
		s.order = append(s.order, callee)
	}
	return p
}

// segment is a part of the window that is being settled.
type segment struct {
	*Auditor
	from, to int64    // of the whole window
	fresh    []record // what is settled now
	byID     []entry  // of the whole window, sorted
	in       map[int32][]*record
	requests map[int32]*requests
	out      [][classes][]*record // suspects by service
	children map[child]bool
}

// child is a call to a callee on behalf of the span with that hash.
type child struct {
	parent uint64
	callee int32
}

// entry is a place in the window, found by the hash of a span's trace and ID.
type entry struct {
	hash  uint64
	place int32
}

// settle draws conclusions from what is in the window and began before that
// moment, and lets go of it.
func (a *Auditor) settle(before int64) {
	a.sort()
	place := func(start int64) int {
		n, _ := slices.BinarySearchFunc(a.buf, start, func(r record, t int64) int { return cmp.Compare(r.start, t) })
		return n
	}
	begin, end := 0, place(before)
	if a.settled {
		begin = place(a.frontier)
	}
	if begin < end {
		g := segment{Auditor: a, fresh: a.buf[begin:end]}
		g.index()
		g.tell()
		g.interlock()
		g.weigh()
	}
	// What later spans are to be judged by, if it is not too much.
	drop := max(place(before-keep), end-a.window/4)
	a.buf = a.buf[:copy(a.buf, a.buf[min(drop, end):])]
	a.frontier, a.settled = before, true
}

// mix hashes a trace's ID and another number.
func mix(t TraceID, id uint64) uint64 {
	h := t.Low*0x9e3779b97f4a7c15 ^ t.High
	h ^= h >> 29
	h = (h ^ id) * 0xbf58476d1ce4e5b9
	return h ^ h>>32
}

func (g *segment) index() {
	g.from, g.to = g.buf[0].start, g.buf[0].end
	g.in = make(map[int32][]*record)
	g.byID = make([]entry, len(g.buf))
	for i := range g.buf {
		r := &g.buf[i]
		g.to = max(g.to, r.end)
		g.byID[i] = entry{mix(r.trace, r.id), int32(i)} // #nosec G115 -- at most Window
		if r.kind == Server && r.end-r.start <= maxRequest {
			g.in[r.pod] = append(g.in[r.pod], r)
		}
	}
	slices.SortFunc(g.byID, func(x, y entry) int {
		return cmp.Or(cmp.Compare(x.hash, y.hash), cmp.Compare(x.place, y.place))
	})
	g.requests = make(map[int32]*requests, len(g.in))
	for p, in := range g.in {
		g.requests[p] = newRequests(in)
	}
}

// find yields the spans of that trace and ID. A client and a server span may
// share one: https://zipkin.io/pages/instrumenting.html.
func (g *segment) find(trace TraceID, id uint64, yield func(*record) (more bool)) (found bool) {
	hash := mix(trace, id)
	i, _ := slices.BinarySearchFunc(g.byID, hash, func(e entry, h uint64) int { return cmp.Compare(e.hash, h) })
	for ; i < len(g.byID) && g.byID[i].hash == hash; i++ {
		if r := &g.buf[g.byID[i].place]; r.trace == trace && r.id == id {
			found = true
			if !yield(r) {
				break
			}
		}
	}
	return found
}

func (g *segment) serviceOf(r *record) int32 { return g.pod[r.pod].service }

// tell counts the spans, and tells orphans from what was relayed.
func (g *segment) tell() {
	g.out = make([][classes][]*record, len(g.service))
	traces := make([]uint64, 0, len(g.fresh))
	var missing []*record
	for i := range g.fresh {
		r := &g.fresh[i]
		traces = append(traces, mix(r.trace, 0))
		id := g.serviceOf(r)
		s := g.service[id]
		switch r.kind {
		case Server:
			g.tellServer(r, s)
		case Client:
			g.total.clients++
			p := s.pair(r.name)
			if r.parent == 0 {
				p.begun++
				p.seen[orphaned].add(r)
				if !s.gateway {
					g.out[id][orphaned] = append(g.out[id][orphaned], r)
				}
				continue
			}
			p.relayed++
			s.relayed++
			if !g.find(r.trace, r.parent, func(parent *record) bool {
				if parent.kind == Server && parent.pod == r.pod {
					for len(p.relayedBy) < len(s.routes) {
						p.relayedBy = append(p.relayedBy, 0)
					}
					p.relayedBy[parent.name]++
				}
				return true
			}) {
				s.missing++
				missing = append(missing, r)
			}
		}
	}
	slices.Sort(traces)
	traces = slices.Compact(traces)
	for _, t := range traces {
		if _, known := slices.BinarySearch(g.lastTrace, t); !known {
			g.total.traces++
		}
	}
	g.lastTrace = traces
	g.suspectParents(missing)
}

func (g *segment) tellServer(r *record, s *service) {
	if r.end-r.start > maxRequest {
		s.long++
		g.total.long++
		return
	}
	s.in[r.name]++
	g.pod[r.pod].in++
	caller := false
	learn := func(c *record) bool {
		if c.kind != Client {
			return true
		}
		caller = true
		if c.start > r.start+1_000_000 {
			g.total.skewed++
		}
		// A majority vote: the host's service is the one that answers most.
		h := g.callee[c.name]
		switch {
		case h.votes == 0:
			h.service, h.votes = g.serviceOf(r), 1
		case h.service == g.serviceOf(r):
			h.votes++
		default:
			h.votes--
		}
		return false
	}
	g.find(r.trace, r.id, learn) // a shared span
	if r.parent == 0 || caller {
		return
	}
	found := g.find(r.trace, r.parent, learn)
	s.child++
	g.total.child++
	if !found {
		s.lost++
		g.total.lost++
	}
}

// suspectParents looks for services that send headers which they made up: a
// client span whose parent is not stored means usually that the store has lost
// it. Where that happens much more often than between two sidecars, where no
// application has a hand in it, the calls that begin what is stored of a trace
// are suspects too.
func (g *segment) suspectParents(missing []*record) {
	loss := g.loss()
	suspicious := make([]bool, len(g.service))
	found := false
	for i, s := range g.service {
		if s.missing > 0 && !s.gateway && atLeast(s.missing, s.relayed, loss) < 1e-4 {
			suspicious[i], found = true, true
		}
	}
	if !found {
		return
	}
	type firsts struct {
		start int64
		at    map[int32]bool // services with a server span
	}
	traces := make(map[TraceID]*firsts)
	for _, r := range missing {
		if suspicious[g.serviceOf(r)] {
			traces[r.trace] = &firsts{start: r.start, at: make(map[int32]bool)}
		}
	}
	for i := range g.buf {
		r := &g.buf[i]
		if f := traces[r.trace]; f != nil {
			f.start = min(f.start, r.start)
			if r.kind == Server {
				f.at[g.serviceOf(r)] = true
			}
		}
	}
	for _, r := range missing {
		id := g.serviceOf(r)
		if f := traces[r.trace]; f != nil && suspicious[id] && f.start == r.start && !f.at[id] {
			g.out[id][madeUp] = append(g.out[id][madeUp], r)
			g.service[id].pairs[r.name].seen[madeUp].add(r)
		}
	}
}

// interlock looks for sidecars' calls that lie inside a call that the service's
// own tracer has recorded, where the two have no trace in common: two tracers
// that do not read each other's headers. If they did, the sidecar's call would
// be a child of the other. Callees are not compared, since to a client a host
// may have another name, or only an address.
func (g *segment) interlock() {
	own := make(map[uint64][]*record) // by nameHash
	for i := range g.buf {
		if r := &g.buf[i]; r.kind == Client && !g.service[g.serviceOf(r)].proxy {
			own[g.nameHash(r)] = append(own[g.nameHash(r)], r)
		}
	}
	if len(own) == 0 {
		return
	}
	shared := g.sharedTraces()
	foreign := func(r *record) bool {
		_, found := slices.BinarySearch(shared, mix(r.trace, g.nameHash(r)))
		return !found
	}
	covers := make(map[uint64]*cover)
	for name, calls := range own {
		apart := slices.DeleteFunc(slices.Clone(calls), func(r *record) bool { return !foreign(r) })
		if len(apart) > 0 {
			c := newRequests(apart).slack
			c.measureUp(0)
			covers[name] = &c
		}
	}
	for i := range g.fresh {
		r := &g.fresh[i]
		s, name := g.service[g.serviceOf(r)], g.nameHash(r)
		if r.kind != Client || !s.proxy || s.gateway || own[name] == nil {
			continue
		}
		s.doubled.of++
		c := covers[name]
		if c == nil {
			continue
		}
		s.doubled.own = g.serviceOf(own[name][0])
		s.doubled.chance += c.share(reachOf(c, g.from, g.to))
		if foreign(r) && c.has(r.end, place(c.at, r.start)) {
			s.doubled.hits++
		}
	}
}

// sharedTraces returns the traces in which both a service's sidecar and its own
// tracer have spans, each hashed with the service's name, sorted.
func (g *segment) sharedTraces() []uint64 {
	var sides [2][]uint64
	for i := range g.buf {
		r, side := &g.buf[i], 0
		if g.service[g.serviceOf(r)].proxy {
			side = 1
		}
		sides[side] = append(sides[side], mix(r.trace, g.nameHash(r)))
	}
	slices.Sort(sides[0])
	slices.Sort(sides[1])
	return slices.DeleteFunc(sides[0], func(h uint64) bool {
		_, found := slices.BinarySearch(sides[1], h)
		return !found
	})
}

// nameHash hashes the name of the service, which its sidecar shares.
func (g *segment) nameHash(r *record) uint64 {
	return maphash.String(g.seed, short(g.service[g.serviceOf(r)].name))
}

// short returns the first part of a host's or a service's name.
func short(name string) string {
	name, _, _ = strings.Cut(name, ".")
	return name
}

// weigh adds up what the suspects show.
func (g *segment) weigh() {
	read := g.readRequests()
	g.children = make(map[child]bool)
	for i := range g.buf {
		r := &g.buf[i]
		if out := &g.out[g.serviceOf(r)]; r.kind == Client && r.parent != 0 && len(out[orphaned])+len(out[madeUp]) > 0 {
			g.children[child{mix(r.trace, r.parent), r.name}] = true
		}
	}
	for id := range g.out {
		s := g.service[id]
		for class, calls := range g.out[id] {
			if len(calls) == 0 {
				continue
			}
			clocked := make(map[*record]bool)
			if period := byClock(calls, clocked); class == orphaned && period != 0 {
				s.period = period
			}
			from, to := g.span(calls)
			byPod := make(map[int32][]*record)
			for _, c := range calls {
				if class == orphaned && clocked[c] {
					s.pairs[c.name].clocked++
				}
				if class == orphaned && read[c] {
					s.pairs[c.name].byRequest++
				}
				byPod[c.pod] = append(byPod[c.pod], c)
			}
			for p, calls := range byPod {
				if r := g.requests[p]; r != nil { // else nothing came in that could have caused them
					g.weighPod(s, class, calls, r.judge(calls, from, to), r, clocked, read)
				}
			}
		}
	}
}

// weighPod adds up what the suspects of one pod show, for the service and for
// each callee.
func (g *segment) weighPod(s *service, class int, calls []*record, shown []evidence, in *requests, clocked, read map[*record]bool) {
	timed := func(i int) bool { return !clocked[calls[i]] }
	s.tests[class].count(calls, shown, timed)
	counted := make(map[int32]bool)
	for i, c := range calls {
		p := s.pairs[c.name]
		if !counted[c.name] {
			counted[c.name] = true
			p.tests[class].count(calls, shown, func(i int) bool { return calls[i].name == c.name && timed(i) })
		}
		known := class == orphaned && read[c]
		if class == orphaned && clocked[c] {
			if shown[i][within].hit || shown[i][after+2].hit {
				p.clockHits++
			}
			chance := 0.0
			for window := range shown[i][within].chance {
				chance = max(chance, shown[i][within].chance[window]+shown[i][after+2].chance[window])
			}
			p.clockChance += min(1, chance)
		}
		if known || !clocked[c] {
			if sm := p.samples[class].next(); sm != nil {
				g.sample(sm, c, in, known)
			}
		}
	}
}

// span returns when calls of that kind may have begun, as far as is known:
// somewhat before the first and after the last. Traffic and timers may end long
// before the last request is answered, and of the time in between nothing
// follows.
func (g *segment) span(calls []*record) (from, to int64) {
	n := int64(len(calls))
	if n == 1 {
		return g.from, g.to
	}
	first, last := calls[0].start, calls[n-1].start
	margin := (last - first) / (n - 1)
	return max(g.from, first-margin), min(g.to, last+margin)
}

// readRequests returns the orphans whose request ID stands on a request that
// their service got, in another trace: it has read the request, and dropped
// the trace headers.
func (g *segment) readRequests() map[*record]bool {
	type key struct {
		service int32
		request uint64
	}
	type stands struct {
		first, last [2]int64 // at the service, and on calls to it
		traces      [2]TraceID
		n           [2]int
	}
	seen := make(map[key]*stands)
	for id := range g.out {
		for _, o := range g.out[id][orphaned] {
			if o.request != 0 {
				seen[key{int32(id), o.request}] = &stands{} // #nosec G115 -- at most maxNames
			}
		}
	}
	if len(seen) == 0 {
		return nil
	}
	for i := range g.buf {
		r := &g.buf[i]
		if r.request == 0 {
			continue
		}
		side, at := 0, g.serviceOf(r)
		if r.kind == Client {
			side, at = 1, g.callee[r.name].service
			if at == g.serviceOf(r) {
				continue // it may be the orphan itself
			}
		}
		s := seen[key{at, r.request}]
		if s == nil || r.kind == Other {
			continue
		}
		if s.n[side] == 0 {
			s.first[side], s.traces[side] = r.start, r.trace
		}
		s.n[side]++
		s.last[side] = r.start
	}
	read := make(map[*record]bool)
	for id := range g.out {
		for _, o := range g.out[id][orphaned] {
			if o.request == 0 {
				continue
			}
			s := seen[key{int32(id), o.request}] // #nosec G115 -- at most maxNames
			// An ID that comes with several requests is a constant, of a load
			// test for instance, and may be the service's own as well.
			constant := s.n[0] > 1 && s.last[0]-s.first[0] > 50_000 || s.n[1] > 1 && s.last[1]-s.first[1] > 50_000
			for side := range s.n {
				if s.n[side] > 0 && !constant && s.traces[side] != o.trace && s.first[side] <= o.start {
					read[o] = true
				}
			}
		}
	}
	return read
}
