package propagation

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

const (
	maxNames       = 64      // names in one list: a snapshot marks them in a uint64
	maxFamilyBytes = 8 << 10 // bytes of the values of one family
	lineBytes      = 32      // what a line has beside name and value (RFC 7541, section 4.1)
)

// Families is a list of families that a service relays. It is immutable, and
// safe for use by several goroutines. Its order matters to a [Propagator]
// only, which believes the first family that names a valid parent. The zero
// value is [Istio].
type Families struct{ t *table }

// table is what a list of families comes down to when a request is read.
type table struct {
	families []Family
	groups   []group    // a group a family, in order
	names    []string   // of all groups, canonical
	lower    []string   // the same in lower case, as they are on the wire in HTTP/2
	places   [64]uint64 // which names have the hash n, at n
	private  uint64     // the headers that stay out of logs
	b3, w3c  int        // index of the family's first header, or -1

	joint atomic.Pointer[joint]
}

// group is the run of a table's headers that belong to one family.
type group struct {
	lo, hi int
	mask   uint64
}

var istio = newTable([]Family{RequestID, B3, W3C, OTSpanContext})

// Istio returns [RequestID], [B3], [W3C] and [OTSpanContext]: what the
// sidecars of an Istio mesh speak with the tracing providers in use today, and
// what Istio's documentation asks applications to relay.
func Istio() Families { return Families{istio} }

// Of returns exactly these families. Of() relays nothing.
//
// For a mesh whose sidecars speak traceparent (Istio's opentelemetry provider),
// put [W3C] first so that a [Propagator] believes it before [B3]:
//
//	propagation.Of(propagation.RequestID, propagation.W3C, propagation.B3)
//
// A name that several families have belongs to the first of them. Of panics if
// there are more than 64 names in all.
func Of(families ...Family) Families {
	t := newTable(families)
	if len(t.names) > maxNames {
		panic(fmt.Sprintf("propagation: %d header names in one list; at most %d can be relayed", len(t.names), maxNames))
	}
	return Families{t}
}

// With returns the families of f and then these. A family that f has already
// is not added again. With panics if there are more than 64 names in all.
func (f Families) With(families ...Family) Families {
	return Of(slices.Concat(f.table().families, families)...)
}

// Extract returns a snapshot of the headers in h that belong to f. Keys of h
// are taken to be canonical, as [http.Header] methods and net/http's server
// make them. Extract does not keep or change h.
//
// A family is left out whole if net/http would refuse to send one of its
// values, or if these are more than 8 KiB together; of [W3C], tracestate is
// left out alone when only it is at fault. Each further value of a repeated
// header counts with its name and 32 bytes more, as in HTTP/2's limits.
func (f Families) Extract(h http.Header) Headers {
	var buf [inlineValues]string
	t := f.table()
	mask, values := t.extract(h, &buf)
	if mask == 0 {
		return Headers{}
	}
	return Headers{t: t, mask: mask, values: slices.Clone(values)}
}

// Incoming returns the incoming request r with the snapshot of its headers in
// its context, where [FromContext] finds it; or r itself, at no allocation,
// when it brought none of them. It is what the Relay of package middleware is
// made of, for routers and frameworks that take middleware of another form.
//
// Headers of other families that r's context carries already are kept. The
// returned request is a shallow copy (see [http.Request.WithContext]), and what
// is set in one of the two is not set in the other: in r, the pattern and the
// MultipartForm that net/http's server cleans up; in the copy, trailers that the
// client did not announce, unless r.Trailer is a map, if an empty one, before.
func (f Families) Incoming(r *http.Request) *http.Request {
	if ctx, ok := f.table().receive(r.Context(), r.Header, false); ok {
		return r.WithContext(ctx)
	}
	return r
}

// Strip returns the incoming request r without its trace headers, or r itself,
// at no allocation, when it brought none. These are those of f; those of every
// family of this package, baggage included, whether f has it or not; what orders
// Envoy or a Jaeger client to trace (x-envoy-force-trace, x-client-trace-id,
// jaeger-debug-id); and what else is known of tracers: jaeger-baggage, uberctx-*,
// ot-tracer-traceid, ot-tracer-spanid, ot-tracer-sampled, ot-baggage-*,
// elastic-apm-traceparent. It is what the Edge of package middleware is made of.
//
// The returned request is a copy such as that of [Families.Incoming], with a
// header map of its own. What the context of r carries already stays in it.
func (f Families) Strip(r *http.Request) *http.Request {
	var n int
	t := f.table()
	for name := range r.Header {
		if t.strips(name) {
			n++
		}
	}
	if n == 0 {
		return r
	}
	in := r.WithContext(r.Context())
	in.Header = make(http.Header, len(r.Header)-n)
	for name, values := range r.Header {
		if !t.strips(name) {
			in.Header[name] = slices.Clip(values)
		}
	}
	return in
}

// strips reports whether a stranger must not send the named header.
func (t *table) strips(name string) bool {
	if strangers.index(name) >= 0 || t.index(name) >= 0 {
		return true
	}
	for _, prefix := range strangersBaggage {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

func (f Families) table() *table {
	if f.t == nil {
		return istio
	}
	return f.t
}

func newTable(families []Family) *table {
	t := &table{b3: -1, w3c: -1}
	for _, f := range families {
		if f.family == nil || slices.Contains(t.families, f) {
			continue
		}
		t.families = append(t.families, f)
		g := group{lo: len(t.names)}
		for _, name := range f.names {
			if slices.Contains(t.names, name) {
				continue
			}
			i := len(t.names)
			t.names = append(t.names, name)
			t.lower = append(t.lower, strings.ToLower(name))
			t.places[hash(name)] |= 1 << i
			g.mask |= 1 << i
		}
		g.hi = len(t.names)
		t.groups = append(t.groups, g)
		if f.private {
			t.private |= g.mask
		}
		switch f {
		case B3:
			t.b3 = g.lo
		case W3C:
			t.w3c = g.lo
		}
	}
	return t
}

// index returns the place of a header among t's names, whatever its case, or
// -1.
func (t *table) index(name string) int {
	for m := t.places[hash(name)]; m != 0; m &= m - 1 {
		if i := bits.TrailingZeros64(m); len(t.names[i]) == len(name) && strings.EqualFold(t.names[i], name) {
			return i
		}
	}
	return -1
}

// hash tells almost all names apart, and has no regard for case.
func hash(name string) uint {
	if name == "" {
		return 0
	}
	n := uint(len(name))
	return (n + uint(name[n/2]|('a'-'A'))) % 64
}

// present returns the headers of the families of which dst has any header,
// even a nil one.
func (t *table) present(dst http.Header) uint64 {
	var mask uint64
	for name := range dst {
		mask |= t.familyOf(name)
	}
	return mask
}

// familyOf returns the headers of the family to which the named one belongs,
// whatever the name's case, or 0 if it belongs to none of t's.
func (t *table) familyOf(name string) uint64 {
	if i := t.index(name); i >= 0 {
		return t.groupOf(i).mask
	}
	return 0
}

func (t *table) groupOf(i int) group {
	for _, g := range t.groups {
		if i < g.hi {
			return g
		}
	}
	return group{}
}

// extract returns which of t's headers h has, and their values, which share buf:
// a caller keeps it on the stack. Almost always every header has one value and
// none is at fault.
func (t *table) extract(h http.Header, buf *[inlineValues]string) (mask uint64, values []string) {
	if len(t.names) > len(buf) {
		return t.extractAny(h, buf[:0])
	}
	n, size := 0, 0
	if len(h) < len(t.names) {
		for name, v := range h {
			if i := t.place(name); i >= 0 && len(v) > 0 {
				if size += len(v[0]); size > maxFamilyBytes || !ordinary(v) {
					return t.extractAny(h, buf[:0])
				}
				buf[i] = v[0]
				mask |= 1 << i
			}
		}
		for m := mask; m != 0; m &= m - 1 {
			buf[n] = buf[bits.TrailingZeros64(m)]
			n++
		}
		return mask, buf[:n]
	}
	for i, name := range t.names {
		if v := h[name]; len(v) > 0 {
			if size += len(v[0]); size > maxFamilyBytes || !ordinary(v) {
				return t.extractAny(h, buf[:0])
			}
			buf[n] = v[0]
			n++
			mask |= 1 << i
		}
	}
	return mask, buf[:n]
}

// place returns the place of a canonical name among t's, or -1.
func (t *table) place(name string) int {
	for m := t.places[hash(name)]; m != 0; m &= m - 1 {
		if i := bits.TrailingZeros64(m); t.names[i] == name {
			return i
		}
	}
	return -1
}

// ordinary reports whether a header's values are one that is sent as it is.
func ordinary(values []string) bool {
	return len(values) == 1 && values[0] != "" && values[0][0] > ' ' && sendable(values[0])
}

// extractAny is extract for headers that may be repeated, empty or not to be
// sent. It appends to buf, which must be empty.
func (t *table) extractAny(h http.Header, buf []string) (mask uint64, values []string) {
	values = buf
	for gi := range t.groups {
		g := &t.groups[gi]
		start, before := len(values), mask
		size := 0
	family:
		for i := g.lo; i < g.hi; i++ {
			first := len(values)
			for _, v := range h[t.names[i]] {
				if blank(v) {
					continue
				}
				size += len(v)
				if len(values) > first {
					size += len(t.names[i]) + lineBytes
				}
				if size > maxFamilyBytes || !sendable(v) {
					if t.w3c >= 0 && i == t.w3c+w3cTracestate {
						values = values[:first]
					} else {
						values, mask = values[:start], before
					}
					break family
				}
				if len(values) > first {
					values = append(values, "")
				}
				values = append(values, v)
			}
			if len(values) > first {
				mask |= 1 << i
			}
		}
	}
	return mask, values
}

// blank reports whether nothing is left of v when net/http has trimmed it.
// Values that came over HTTP/2 may begin with a space; others do not.
func blank(v string) bool {
	return v == "" || (v[0] == ' ' || v[0] == '\t') && strings.Trim(v, " \t") == ""
}

// sendable reports whether net/http sends v as a header value: no control
// character but the tab (RFC 9110, section 5.5, and golang.org/x/net/http/httpguts).
func sendable(v string) bool {
	if n := len(v); n >= 8 {
		found := suspects(v[n-8:])
		for i := 0; i < n-8; i += 8 {
			found |= suspects(v[i:])
		}
		if found == 0 {
			return true
		}
	}
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// suspects is not 0 if there may be a control character in the first eight bytes
// of v, all of which are looked at at once: a byte below the space borrows its
// high bit, and DEL carries into it. A neighbour may be what borrows or carries,
// so it takes another look to be sure.
func suspects(v string) uint64 {
	const each, high = 0x0101010101010101, 0x8080808080808080
	w := binary.LittleEndian.Uint64([]byte(v[:8]))
	return ((w - ' '*each) | (w + each)) &^ w & high
}

// receive returns ctx with what h has of t's headers, beside those of other
// families that ctx carries already. It reports false if there is nothing to
// change in ctx. With joins, the node has room for what a Propagator reads in
// it.
func (t *table) receive(ctx context.Context, h http.Header, joins bool) (*node, bool) {
	var buf [inlineValues]string
	mask, values := t.extract(h, &buf)
	if prev := FromContext(ctx); prev.mask != 0 {
		both, keep := t.join(prev.t)
		if mask == 0 && prev.mask&^keep == 0 {
			return nil, false
		}
		values = slices.Clone(values)
		for i, kept := range prev.each(keep) {
			mask |= 1 << both.index(prev.t.names[i])
			values = append(values, kept...)
		}
		n := newNode(ctx, both, mask, values, joins)
		if !joins {
			n.headers.joined = prev.joined
		}
		return n, true
	}
	if mask == 0 {
		return nil, false
	}
	return newNode(ctx, t, mask, values, joins), true
}

// begins reports whether the families of t begin with those of first, and so
// the names.
func (t *table) begins(first *table) bool {
	n := len(first.families)
	return t == first || n <= len(t.families) && slices.Equal(first.families, t.families[:n])
}

// joint is what join returns for a second list.
type joint struct {
	second, both *table
	keep         uint64
}

// join returns the list of t's families and then those of second, and which
// headers of second are not t's. It makes no list for what begins with t
// already, such as t itself. The last one that it makes is remembered, since a
// program joins the same two again and again, and only the last one, since a
// program might make lists without end.
func (t *table) join(second *table) (both *table, keep uint64) {
	if second.begins(t) {
		return second, ^uint64(0) << len(t.names)
	}
	if j := t.joint.Load(); j != nil && j.second == second {
		return j.both, j.keep
	}
	families := slices.Clone(t.families)
	for i, f := range second.families {
		// A snapshot has room for a limited number of names, and a request
		// must not fail for it.
		if u := newTable(append(families, f)); len(u.names) > maxNames {
			continue
		}
		families = append(families, f)
		for n := second.groups[i].lo; n < second.groups[i].hi; n++ {
			if t.index(second.names[n]) < 0 {
				keep |= 1 << n
			}
		}
	}
	both = newTable(families)
	t.joint.Store(&joint{second, both, keep})
	return both, keep
}
