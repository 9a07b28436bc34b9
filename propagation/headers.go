package propagation

import (
	"iter"
	"log/slog"
	"maps"
	"math/bits"
	"net/http"
	"slices"
)

// Headers is a snapshot of the headers that came with a request. It is
// immutable, and safe for use by several goroutines. The zero value carries
// nothing.
type Headers struct {
	t    *table
	mask uint64 // which of t's headers are carried

	// values are those of the carried headers, in t's order. An empty string,
	// which is never a value here, says that the next one belongs to the same
	// header as the one before: a repeated header is rare, and needs no room
	// in the snapshots of all the others.
	values []string

	// joined is what a Propagator has read in the headers, once it has made
	// the parent that they name the parent of ctx's spans, or nil: a span of
	// another trace was then put there on purpose.
	joined *received
}

// each iterates over the headers of h that are in the mask: their index in
// h's table, and the run of h.values that is theirs, where every other one is
// a value.
func (h Headers) each(mask uint64) iter.Seq2[int, []string] {
	return func(yield func(int, []string) bool) {
		rest := h.values
		for m := h.mask; m != 0; m &= m - 1 {
			n := run(rest)
			if i := bits.TrailingZeros64(m); mask&(1<<i) != 0 && !yield(i, rest[:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

// run returns how long the run of the first header is.
func run(values []string) int {
	n := 1
	for n < len(values) && values[n] == "" {
		n += 2
	}
	return n
}

// Inject writes the headers to dst, every value of a repeated one in order. Of
// a family of which dst has any header already, even a nil one, nothing is
// written: the caller's choice wins. dst must not be nil unless h carries
// nothing. What is done to dst later does not change h.
func (h Headers) Inject(dst http.Header) {
	if h.mask == 0 {
		return
	}
	if mask := h.mask &^ h.t.present(dst); mask != 0 {
		h.write(dst, mask, make([]string, h.count(mask)))
	}
}

// Outgoing returns a copy of the outgoing request r that carries the headers
// as [Headers.Inject] writes them; or r itself, at no allocation, when there
// is nothing to add. It never changes r, as a [http.RoundTripper] must not,
// and shares all but the header map with it. It is what the Transport of
// package middleware is made of, for clients that take another form:
//
//	res, err := client.Do(propagation.FromContext(ctx).Outgoing(req))
//
// A request that [http.Client] gets this way keeps the headers when it is
// redirected, wherever that leads; the Transport judges every hop again.
func (h Headers) Outgoing(r *http.Request) *http.Request {
	if h.mask == 0 {
		return r
	}
	mask, tight := h.mask, true
	for name, v := range r.Header {
		mask &^= h.t.familyOf(name)
		tight = tight && len(v) == cap(v)
	}
	if mask == 0 {
		return r
	}
	out, values := newRequest(h.count(mask))
	*out = *r
	if n := len(r.Header) + bits.OnesCount64(mask); n <= smallMap && r.Header != nil && tight {
		out.Header = maps.Clone(r.Header)
	} else {
		out.Header = make(http.Header, n)
		for name, v := range r.Header {
			out.Header[name] = slices.Clip(v) // what is appended to it is not the caller's
		}
	}
	h.write(out.Header, mask, values)
	return out
}

// smallMap is how many entries Go keeps in a map in one piece, which is copied
// as a whole and has room for as many. One that had more before is copied with
// the places that they left.
const smallMap = 8

// newRequest returns an empty request, and room for n header values, in one
// allocation for the usual numbers.
func newRequest(n int) (*http.Request, []string) {
	switch {
	case n <= 6:
		r := new(struct {
			http.Request
			values [6]string
		})
		return &r.Request, r.values[:]
	case n <= inlineValues:
		r := new(struct {
			http.Request
			values [inlineValues]string
		})
		return &r.Request, r.values[:]
	default:
		return new(http.Request), make([]string, n)
	}
}

// count returns the number of values of the headers in the mask.
func (h Headers) count(mask uint64) int {
	if bits.OnesCount64(h.mask) == len(h.values) { // none is repeated
		return bits.OnesCount64(mask)
	}
	n := 0
	for _, values := range h.each(mask) {
		n += len(values)/2 + 1
	}
	return n
}

// write sets the headers in the mask, in slices cut from room: dst must not
// share memory with the snapshot, whose values must never change.
func (h Headers) write(dst http.Header, mask uint64, room []string) {
	if bits.OnesCount64(mask) == len(h.values) { // all of them, and none is repeated
		copy(room, h.values)
		for ; mask != 0; mask &= mask - 1 {
			dst[h.t.names[bits.TrailingZeros64(mask)]] = room[:1:1]
			room = room[1:]
		}
		return
	}
	rest := h.values
	for m := h.mask; m != 0; m &= m - 1 {
		n := run(rest)
		if i := bits.TrailingZeros64(m); mask&(1<<i) != 0 {
			k := 0
			for j := 0; j < n; j += 2 {
				room[k] = rest[j]
				k++
			}
			dst[h.t.names[i]] = room[:k:k]
			room = room[k:]
		}
		rest = rest[n:]
	}
}

// Get returns the first value of the named header, whatever the name's case,
// or "" if h does not carry it.
func (h Headers) Get(name string) string {
	if h.mask != 0 {
		if i := h.t.index(name); i >= 0 {
			for _, values := range h.each(1 << i) {
				return values[0]
			}
		}
	}
	return ""
}

// All iterates over the headers' names, in lower case, and their values, a
// repeated header once for every value. It is for carriers other than
// [http.Header], such as gRPC metadata or the headers of a message:
//
//	for name, value := range propagation.FromContext(ctx).All() {
//		ctx = metadata.AppendToOutgoingContext(ctx, name, value)
//	}
func (h Headers) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i, values := range h.each(h.mask) {
			for j := 0; j < len(values); j += 2 {
				if !yield(h.t.lower[i], values[j]) {
					return
				}
			}
		}
	}
}

// String returns what LogValue does, as text.
func (h Headers) String() string { return h.LogValue().String() }

// LogValue returns the headers as a group, so that a log line can be joined
// to its trace. The values of [Baggage] and [Custom] headers, which may say
// something about the user, are left out; [Headers.Get] has them.
//
//	slog.InfoContext(ctx, "served", "trace", propagation.FromContext(ctx))
func (h Headers) LogValue() slog.Value {
	if h.mask == 0 {
		return slog.GroupValue()
	}
	attrs := make([]slog.Attr, 0, bits.OnesCount64(h.mask))
	for i, values := range h.each(h.mask &^ h.t.private) {
		name := h.t.lower[i]
		if len(values) == 1 {
			attrs = append(attrs, slog.String(name, values[0]))
			continue
		}
		repeated := make([]string, 0, len(values)/2+1)
		for j := 0; j < len(values); j += 2 {
			repeated = append(repeated, values[j])
		}
		attrs = append(attrs, slog.Any(name, repeated))
	}
	return slog.GroupValue(attrs...)
}
