package propagation

import (
	"iter"
	"log/slog"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Headers is a snapshot of the headers that came with a request. It is
// immutable, and safe for use by several goroutines. The zero value carries
// nothing.
type Headers struct{ fields []field }

// field is one line of a header. The lines of one header follow each other,
// and so do the headers of one family.
type field struct {
	*header
	value string
}

// Inject writes the headers to dst, every value of a repeated one in order. If
// dst already has any header of a family, even a nil one, Inject writes none of
// that family: the caller's choice wins. dst must not be nil unless h carries
// nothing. Changes to dst afterwards do not reach h.
func (h Headers) Inject(dst http.Header) {
	h = h.missing(dst)
	h.write(dst, make([]string, len(h.fields)))
}

// Outgoing returns a copy of the outgoing request r that carries the headers
// as [Headers.Inject] writes them; or r itself, at no allocation, if there is
// nothing to add. It never changes r, as a [http.RoundTripper] must not, and
// shares all but the header map with it. The Transport of package middleware is
// made of it. Use it with clients that take no RoundTripper:
//
//	res, err := client.Do(propagation.FromContext(ctx).Outgoing(req))
//
// A request that [http.Client] gets this way keeps the headers when it is
// redirected, wherever that leads. The Transport judges every hop again.
func (h Headers) Outgoing(r *http.Request) *http.Request {
	if h = h.missing(r.Header); len(h.fields) == 0 {
		return r
	}
	out := new(struct {
		http.Request
		room [inline]string
	})
	out.Request = *r
	out.Header = make(http.Header, len(r.Header)+len(h.fields))
	for name, values := range r.Header {
		out.Header[name] = slices.Clip(values) // what is appended to it is not the caller's
	}
	room := out.room[:]
	if len(h.fields) > inline {
		room = make([]string, len(h.fields))
	}
	h.write(out.Header, room)
	return &out.Request
}

// write sets the headers in dst, in slices cut from room: dst must not share
// memory with the snapshot, whose values must never change.
func (h Headers) write(dst http.Header, room []string) {
	for len(h.fields) > 0 {
		first, n := h.fields[0].header, 0
		for n < len(h.fields) && h.fields[n].header == first {
			room[n] = h.fields[n].value
			n++
		}
		dst[first.name] = room[:n:n]
		h.fields, room = h.fields[n:], room[n:]
	}
}

// Missing returns what may be added to a carrier: h without each family of which
// the carrier already has any header. It calls has with lower-case names, also of
// headers that h does not carry.
func (h Headers) Missing(has func(name string) bool) Headers {
	return h.without(func(h *header) bool { return has(h.lower) })
}

func (h Headers) missing(dst http.Header) Headers {
	if len(h.fields) == 0 {
		return h
	}
	var odd []string // the keys that are not canonical, as they would be
	for name := range dst {
		if canonical := textproto.CanonicalMIMEHeaderKey(name); canonical != name {
			odd = append(odd, canonical)
		}
	}
	return h.without(func(h *header) bool {
		_, ok := dst[h.name]
		return ok || slices.Contains(odd, h.name)
	})
}

// without returns h less the families of which has knows any header.
func (h Headers) without(has func(*header) bool) Headers {
	var last *group
	var there bool
	return h.filter(func(f field) bool {
		if f.group != last {
			last, there = f.group, slices.ContainsFunc(f.group.headers, has)
		}
		return !there
	})
}

// Only returns those of the headers that belong to f. A call made with a context
// that carries the result gets no others. A reverse proxy copies the others all
// the same: delete them there.
//
//	h := propagation.FromContext(ctx).Only(propagation.Of(propagation.RequestID))
//	ctx = propagation.NewContext(ctx, h)
func (h Headers) Only(f Families) Headers {
	l := f.list()
	return h.filter(func(f field) bool { return l.headers[f.lower] != nil })
}

// filter returns h itself, at no allocation, if all fields are kept.
func (h Headers) filter(keep func(field) bool) Headers {
	for i, f := range h.fields {
		if keep(f) {
			continue
		}
		kept := slices.Clone(h.fields[:i])
		for _, f := range h.fields[i+1:] {
			if keep(f) {
				kept = append(kept, f)
			}
		}
		return Headers{kept}
	}
	return h
}

// Get returns the first value of the named header, whatever the name's case,
// or "" if h does not carry it.
func (h Headers) Get(name string) string {
	for _, f := range h.fields {
		if f.is(name) {
			return f.value
		}
	}
	return ""
}

// Values returns all values of the named header, whatever the name's case, in
// order, or nil if h does not carry it. The slice is the caller's.
func (h Headers) Values(name string) []string {
	var values []string
	for _, f := range h.fields {
		if f.is(name) {
			values = append(values, f.value)
		}
	}
	return values
}

// is reports whether the field is one of the named header.
func (f field) is(name string) bool {
	return len(f.lower) == len(name) && (f.lower == name || strings.EqualFold(f.lower, name))
}

// All iterates over the headers' names, in lower case, and their values, a
// repeated header once for every value. It is for carriers other than
// [http.Header], such as the headers of a message; [Families.Collect] reads
// back what it yields:
//
//	for name, value := range propagation.FromContext(ctx).All() {
//		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
//	}
//
// Do not write gRPC metadata this way: gRPC fails a call for values and names
// that HTTP allows, and takes the values of -bin names for bytes. Package
// middleware/grpcrelay writes what it accepts.
func (h Headers) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, f := range h.fields {
			if !yield(f.lower, f.value) {
				return
			}
		}
	}
}

// String returns what LogValue does, as text.
func (h Headers) String() string { return h.LogValue().String() }

// LogValue returns the headers as a group, so that a log line can be joined
// to its trace. It omits headers that may say something about the user: baggage,
// sw8-correlation, x-datadog-tags, and all of [Custom]. [Headers.Get] has them.
//
//	slog.InfoContext(ctx, "served", "trace", propagation.FromContext(ctx))
func (h Headers) LogValue() slog.Value {
	var attrs []slog.Attr
	for i, f := range h.fields {
		switch {
		case f.private || i > 0 && h.fields[i-1].header == f.header:
		case i+1 < len(h.fields) && h.fields[i+1].header == f.header:
			attrs = append(attrs, slog.Any(f.lower, h.Values(f.lower)))
		default:
			attrs = append(attrs, slog.String(f.lower, f.value))
		}
	}
	return slog.GroupValue(attrs...)
}
