// Package audit finds the services that lose traces, from spans that are
// stored.
//
// A sidecar makes two spans of a call through a service: a server span of the
// request that came in, and a client span of the call that went out. Where the
// service passes the trace headers on, the second is a child of the first.
// Where it does not, the second begins a trace of its own, an orphan, although
// by the clock of one and the same sidecar it began while a request was being
// served. A service may also begin calls on its own: a timer, a poller. So one
// orphan proves nothing; the package asks whether orphans coincide with
// requests more often than chance would have it, and names a service only if
// that is so unlikely that of a thousand meshes at most one gets a false name.
//
// It does no I/O. What reads spans gives them to an [Auditor] one by one.
package audit

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strings"
	"time"
)

// Kind is the side of a call that a span is of.
type Kind uint8

// The kinds. All others matter to nobody here: see [Auditor.Add].
const (
	Other  Kind = iota
	Server      // a request that came in, or a message that is being handled
	Client      // a call that went out, or a message that was sent
)

// Format is what trace headers a tracer reads and writes.
type Format uint8

// The formats that can be told by a span.
const (
	Unknown Format = iota
	B3
	W3C
	Jaeger // uber-trace-id
	formats
)

func (f Format) String() string { return [...]string{"another format", "B3", "W3C", "Jaeger's"}[f] }

// TraceID is the ID of a trace. One of 64 bits has no High.
type TraceID struct{ High, Low uint64 }

// TraceIDOf returns the ID of that bytes, as OpenTelemetry has them.
func TraceIDOf(id [16]byte) TraceID {
	return TraceID{binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])}
}

// Span is what of a span bears witness.
type Span struct {
	// Service made the span, or the sidecar beside it.
	Service string
	// Pod is the process, whose clock the times are by. If empty, all spans of
	// the service are taken to be of one.
	Pod string
	// Version is the version of the service, if it is known.
	Version string
	// Proxy reports that a proxy made the span. A proxy and an application of
	// one name are told apart.
	Proxy bool
	// Gateway reports that the proxy is a gateway, which has no application
	// that could lose anything.
	Gateway bool
	// Format is that of the tracer that made the span.
	Format Format

	Kind     Kind
	Trace    TraceID
	ID       uint64
	Parent   uint64 // zero: the span is the first of its trace
	Start    time.Time
	Duration time.Duration

	// Route is what a request asked for, such as "GET /cart". What comes after
	// a question mark is dropped, and what looks like an ID in the path becomes
	// a placeholder.
	Route string
	// Callee is the host that a call went to, such as
	// "prices.shop.svc.cluster.local".
	Callee string
	// RequestID is the x-request-id.
	RequestID string
}

// The limits of what an Auditor holds.
const (
	// Window is the number of spans that an Auditor holds. Spans may come in
	// any order within half of it.
	Window = 1 << 20
	// maxNames is the number of different names of a sort, and maxRoutes that
	// of a service's routes. Later routes count as one and the same.
	maxNames  = 1 << 16
	maxRoutes = 1 << 8
	maxName   = 256 // bytes

	// maxTime and maxLength are what no span can be beyond: the year 2255, and
	// a day.
	maxTime   = 9_000_000_000_000_000
	maxLength = int64(24 * time.Hour / time.Microsecond)

	// maxRequest is how long a request may be served. What takes longer is a
	// stream, and tells nothing of when a call was caused.
	maxRequest = int64(60 * time.Second / time.Microsecond)
	// keep is for how long settled spans are kept, to judge later ones by.
	keep = 2 * maxRequest
)

// Auditor takes spans and gives verdicts. Its zero value is ready for use. It
// is not safe for concurrent use.
//
// It holds the last [Window] spans: 75 MB, however many there are in all.
type Auditor struct {
	// Sampling is the share of the requests that are recorded, between 0 and
	// 1. It helps to clear services of losing traces, and names none. Zero
	// means that it is not known: then it is estimated by what the services
	// that are named show, if there are any.
	Sampling float64

	window  int // Window, unless a test sets it
	seed    maphash.Seed
	pods    names[podKey]
	svcs    names[serviceKey]
	hosts   names[string]
	routes  names[string]
	pod     []*pod
	service []*service
	callee  []*callee

	buf      []record
	sorted   bool
	frontier int64 // what began earlier is settled
	settled  bool  // frontier is one

	total     totals
	lastTrace []uint64 // hashes of the traces of the last segment, sorted
}

// totals is what was seen, all in all.
type totals struct {
	spans, traces, late, twice int
	from, to                   int64
	child, lost                int // server spans with a parent, and those whose parent is missing
	negative, skewed, long     int
	nameless, clients          int
}

type podKey struct {
	service int32
	name    string
}

type serviceKey struct {
	name  string
	proxy bool
}

type pod struct {
	service       int32
	name, version string
	in            int
}

type service struct {
	serviceKey
	gateway bool
	routes  []int32 // IDs of routes, in order of appearance
	in      []int   // requests by place in routes
	place   map[int32]int32
	long    int
	pairs   map[int32]*pair // by callee
	order   []int32         // of callees, in order of appearance
	tests   [classes]tally
	period  int64        // of the clock that it goes by, in µs
	format  [formats]int // spans by what their tracer speaks
	doubled struct {     // calls of the sidecar, if the application's tracer has calls, too
		of, hits int
		chance   float64
		own      int32 // the application
	}
	// client spans that name a parent, those whose parent is not stored, and
	// server spans likewise
	relayed, missing, child, lost int
}

// callee is a host, and the service that answers there.
type callee struct {
	host    string
	service int32 // -1: not known
	votes   int
}

// record is a span in the window.
type record struct {
	start, end int64 // µs
	trace      TraceID
	id, parent uint64
	request    uint64 // hash of the request ID; zero: none
	pod        int32
	name       int32 // the callee of a client span, the place of a server span's route
	kind       Kind
}

// Add takes a span. Spans of kind [Other] are counted and bear no witness,
// except that the first span of a trace is taken for a request, since what it
// covers was done on its behalf.
func (a *Auditor) Add(s Span) {
	if a.window == 0 {
		a.window = Window
	}
	if a.seed == (maphash.Seed{}) {
		a.seed = maphash.MakeSeed()
	}
	a.total.spans++
	start, length := s.Start.UnixMicro(), min(s.Duration.Microseconds(), maxLength)
	if start <= 0 || start > maxTime {
		a.total.negative++
		return
	}
	if length < 0 {
		a.total.negative++
		length = 0
	}
	if s.Kind == Other && s.Parent == 0 && !s.Proxy {
		s.Kind = Server
	}
	if s.Parent == s.ID && s.Kind != Server {
		s.Parent = 0
	}
	if a.settled && start < a.frontier {
		a.total.late++
		return
	}
	r := record{
		start: start, end: start + length,
		trace: s.Trace, id: s.ID, parent: s.Parent, kind: s.Kind,
		pod: a.podOf(&s),
	}
	if r.pod >= 0 {
		switch s.Kind {
		case Server:
			r.name = a.routeOf(a.service[a.pod[r.pod].service], s.Route)
		case Client:
			r.name = a.calleeOf(s.Callee)
		}
	}
	if r.pod < 0 || r.name < 0 {
		a.total.nameless++
		return
	}
	if s.RequestID != "" {
		r.request = maphash.String(a.seed, s.RequestID) | 1
	}
	if len(a.buf) == 0 && !a.settled {
		a.total.from, a.total.to = start, start
	}
	a.total.from, a.total.to = min(a.total.from, start), max(a.total.to, r.end)
	a.buf, a.sorted = append(a.buf, r), false
	if len(a.buf) >= a.window {
		a.sort()
		if at := a.buf[len(a.buf)/2].start; at > a.buf[0].start {
			a.settle(at)
		} else {
			a.settle(at + 1) // all at once: there is no order to wait for
		}
	}
}

func (a *Auditor) podOf(s *Span) int32 {
	svc, fresh := a.svcs.id(serviceKey{clip(s.Service), s.Proxy})
	if svc < 0 {
		return -1
	}
	if fresh {
		a.service = append(a.service, &service{
			serviceKey: serviceKey{strings.Clone(clip(s.Service)), s.Proxy},
			place:      make(map[int32]int32), pairs: make(map[int32]*pair),
		})
	}
	a.service[svc].gateway = a.service[svc].gateway || s.Gateway
	a.service[svc].format[min(s.Format, formats-1)]++
	p, fresh := a.pods.id(podKey{svc, clip(s.Pod)})
	if fresh {
		a.pod = append(a.pod, &pod{service: svc, name: strings.Clone(clip(s.Pod)), version: strings.Clone(clip(s.Version))})
	}
	return p
}

func (a *Auditor) routeOf(s *service, route string) int32 {
	id, _ := a.routes.id(clip(template(route)))
	place, ok := s.place[id]
	if !ok {
		if len(s.routes) == maxRoutes || id < 0 && len(s.routes) > 0 {
			return int32(len(s.routes) - 1) // #nosec G115 -- at most maxRoutes
		}
		place = int32(len(s.routes)) // #nosec G115 -- at most maxRoutes
		id = max(id, 0)
		s.place[id] = place
		s.routes, s.in = append(s.routes, id), append(s.in, 0)
	}
	return place
}

func (a *Auditor) calleeOf(host string) int32 {
	id, fresh := a.hosts.id(clip(host))
	if fresh {
		a.callee = append(a.callee, &callee{host: a.hosts.all[id], service: -1})
	}
	return id
}

// names numbers names, of which there may be maxNames. Later ones are -1.
type names[K comparable] struct {
	ids  map[K]int32
	all  []K
	most int // maxNames, unless a test sets it
}

func (n *names[K]) id(name K) (id int32, fresh bool) {
	if id, ok := n.ids[name]; ok {
		return id, false
	}
	if len(n.all) == cmp.Or(n.most, maxNames) {
		return -1, false
	}
	if n.ids == nil {
		n.ids = make(map[K]int32)
	}
	id = int32(len(n.all)) // #nosec G115 -- at most maxNames
	n.ids[name] = id
	n.all = append(n.all, name)
	return id, true
}

func clip(name string) string {
	if len(name) > maxName {
		return strings.ToValidUTF8(name[:maxName], "")
	}
	return name
}

// template makes a route of a request: without the query, and with {id} for
// what differs from one request to the next.
func template(route string) string {
	route, _, _ = strings.Cut(route, "?")
	if !strings.ContainsAny(route, "0123456789") {
		return route
	}
	parts := strings.Split(route, "/")
	for i, part := range parts[1:] {
		if looksLikeID(part) {
			parts[i+1] = "{id}"
		}
	}
	return strings.Join(parts, "/")
}

// looksLikeID reports whether a part of a path is a number, a UUID, a hash or
// the like.
func looksLikeID(s string) bool {
	digits, hex := 0, 0
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9':
			digits++
			hex++
		case c >= 'a' && c <= 'f', c >= 'A' && c <= 'F', c == '-':
			hex++
		}
	}
	switch {
	case digits == 0:
		return false
	case digits == len(s):
		return true
	case len(s) >= 8 && hex == len(s):
		return true
	}
	return len(s) >= 16 && digits >= 4
}

// sort brings the window into the order of time, and drops spans that are
// there twice.
func (a *Auditor) sort() {
	if a.sorted {
		return
	}
	slices.SortFunc(a.buf, func(x, y record) int {
		return cmp.Or(cmp.Compare(x.start, y.start), cmp.Compare(x.pod, y.pod),
			cmp.Compare(x.id, y.id), cmp.Compare(x.kind, y.kind))
	})
	n := len(a.buf)
	a.buf = slices.CompactFunc(a.buf, func(x, y record) bool {
		return x.start == y.start && x.pod == y.pod && x.id == y.id && x.kind == y.kind && x.trace == y.trace
	})
	a.total.twice += n - len(a.buf)
	a.sorted = true
}
