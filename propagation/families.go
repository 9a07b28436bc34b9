package propagation

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/textproto"
	"strings"
)

const (
	// maxFamilyBytes is how many bytes the values of one family may have, the
	// lines of a repeated header joined with commas: what W3C Baggage asks of
	// every hop (section 3.3.2).
	maxFamilyBytes = 8192

	// maxFamilyLines is how many lines one family may have. Envoy refuses a
	// request of more than 100 (max_headers_count), whatever their length.
	maxFamilyLines = 64
)

// Families is a list of families that a service relays. It is immutable, and
// safe for use by several goroutines. The order matters only to the OpenTelemetry
// propagator (package otelprop), which takes the parent from the first family that
// names a valid one. The zero value is [Istio]. Two lists of the same families are
// not equal by ==.
type Families struct{ l *list }

// list is what a Families comes down to. Its headers are known by their
// canonical name and by their lower-case one.
type list struct {
	groups  []*group
	headers map[string]*header
}

// group is what a list has of one family: all but the names that an earlier
// family has.
type group struct {
	family  *family
	headers []*header
}

type header struct {
	group       *group
	name, lower string
	private     bool
}

var istio = newList([]Family{RequestID, B3, W3C, OTSpanContext})

// Istio returns [RequestID], [B3], [W3C] and [OTSpanContext]: what the
// sidecars of an Istio mesh speak with the tracing providers in use today, and
// what Istio's documentation asks applications to relay.
func Istio() Families { return Families{istio} }

// Of returns a list of exactly these families. Of() relays nothing. A name that
// is in several families belongs to the first of them.
func Of(families ...Family) Families { return Families{newList(families)} }

// With returns the families of f and then these. A family that f has already
// is not added again.
func (f Families) With(families ...Family) Families {
	var all []Family
	for _, g := range f.list().groups {
		all = append(all, Family{g.family})
	}
	return Of(append(all, families...)...)
}

// Names returns the names of all headers that f has, in lower case.
func (f Families) Names() []string {
	var names []string
	for _, g := range f.list().groups {
		for _, h := range g.headers {
			names = append(names, h.lower)
		}
	}
	return names
}

// String returns the families' names, such as "RequestID, B3, Custom(end-user)".
func (f Families) String() string {
	var labels []string
	for _, g := range f.list().groups {
		labels = append(labels, g.family.label)
	}
	return strings.Join(labels, ", ")
}

// Extract returns a snapshot of the headers in h that belong to f. Keys of h
// are taken to be canonical, as [http.Header] methods and net/http's server
// make them; [Families.Collect] takes names in any case. Extract does not keep
// or change h.
//
// Extract drops empty values. It drops a whole family if net/http would refuse to
// send one of its values, if they are more than 8,192 bytes together (the values
// of a repeated header joined with commas), or if they are more than 64 lines. If
// only tracestate is at fault, it drops that alone. [Families.Check] says what is
// dropped and why.
//
// The snapshot shares the strings of h, which must not change. Those of net/http
// never do. Those of the adaptors between net/http and fasthttp do once the
// request is answered: use [Families.Collect] or [Families.Incoming] there.
func (f Families) Extract(h http.Header) Headers {
	var room [16]field // on the stack
	return Headers{append([]field(nil), f.list().extract(room[:0], ofHeader(h), nil)...)}
}

// Collect returns a snapshot of those of the pairs of name and value that
// belong to f: the headers of a message, of a job, of an event, or what
// [Headers.All] yields. Names may be in any case. The values of a repeated name
// keep their order. Collect copies the values, and drops what [Families.Extract]
// drops.
func (f Families) Collect(pairs iter.Seq2[string, string]) Headers {
	l := f.list()
	values := make(map[*header][]string)
	for name, value := range pairs {
		// One more than may be kept shows that there are too many.
		if h := l.find(name); h != nil && !blank(value) && len(values[h]) <= maxFamilyLines {
			values[h] = append(values[h], strings.Clone(value))
		}
	}
	return Headers{l.extract(nil, func(h *header) []string { return values[h] }, nil)}
}

// Receive returns ctx with a snapshot of the headers of a carrier that is asked
// by name, such as gRPC's metadata: get returns the values of the header with a
// lower-case name, and is asked for each of [Families.Names], in order. Headers
// of other families that ctx carries already are kept.
// The result is ctx itself, at no allocation, when there is nothing to change.
//
// The snapshot shares the strings that get returns, which must not change:
// clone those of fasthttp and fiber. It does not keep the slices.
func (f Families) Receive(ctx context.Context, get func(name string) []string) context.Context {
	ctx, _ = f.list().receive(ctx, func(h *header) []string { return get(h.lower) }, false)
	return ctx
}

// Incoming returns the incoming request r with the snapshot of its headers in
// its context, where [FromContext] finds it; or r itself, at no allocation, if r
// brought none of them. The Relay of package middleware is made of it. Use it in
// routers and frameworks that take middleware of another form.
//
// Headers of other families that r's context carries already are kept. The
// returned request is a shallow copy (see [http.Request.WithContext]), and Relay
// mends two things about it that Incoming does not. A pattern or MultipartForm
// that a handler sets in the copy is not set in r, from which net/http's server
// removes the files of a form. Trailers that the client did not announce reach
// the copy only if r.Trailer is a map, which may be empty, before Incoming is
// called.
//
// Incoming copies the values unless r comes from net/http's server, since only
// that server's strings are known never to change.
func (f Families) Incoming(r *http.Request) *http.Request {
	// A copy takes one allocation a value, and some 150 ns for six.
	shared := r.Context().Value(http.ServerContextKey) == nil
	if ctx, ok := f.list().receive(r.Context(), ofHeader(r.Header), shared); ok {
		return r.WithContext(ctx)
	}
	return r
}

// Check returns an error that names the families of h that [Families.Extract]
// would drop, each with the header at fault and the reason. It returns nil if
// Extract would drop none. Absent and empty headers are no fault.
func (f Families) Check(h http.Header) error {
	var faults []error
	f.list().extract(nil, ofHeader(h), func(err error) { faults = append(faults, err) })
	return errors.Join(faults...)
}

func (f Families) list() *list {
	if f.l == nil {
		return istio
	}
	return f.l
}

func newList(families []Family) *list {
	l := &list{headers: make(map[string]*header)}
	for _, f := range families {
		if f.family == nil {
			continue
		}
		g := &group{family: f.family}
		for _, name := range f.names {
			if l.headers[name] != nil {
				continue
			}
			lower := strings.ToLower(name)
			h := &header{group: g, name: name, lower: lower, private: f.private(lower)}
			l.headers[name], l.headers[lower] = h, h
			g.headers = append(g.headers, h)
		}
		if len(g.headers) > 0 {
			l.groups = append(l.groups, g)
		}
	}
	return l
}

// find returns l's header of that name, in any case, or nil.
func (l *list) find(name string) *header {
	if h := l.headers[name]; h != nil {
		return h
	}
	return l.headers[textproto.CanonicalMIMEHeaderKey(name)]
}

func ofHeader(src http.Header) func(*header) []string {
	return func(h *header) []string { return src[h.name] }
}

// extract appends to fields what get has of l's headers. It tells fault, unless
// that is nil, what it leaves out.
func (l *list) extract(fields []field, get func(*header) []string, fault func(error)) []field {
	for _, g := range l.groups {
		start, size, lines := len(fields), 0, 0
		var why string
		for _, h := range g.headers {
			first := len(fields)
			for _, v := range get(h) {
				if blank(v) {
					continue
				}
				if len(fields) > first {
					size++ // the comma
				}
				size += len(v)
				lines++
				if why = h.refuses(v, size, lines); why != "" {
					break
				}
				fields = append(fields, field{h, v})
			}
			if why == "" {
				continue
			}
			out := h.group.family.label
			if h.name == "Tracestate" {
				fields, out = fields[:first], h.lower
			} else {
				fields = fields[:start]
			}
			if fault != nil {
				fault(fmt.Errorf("%s is dropped: %s %s", out, h.lower, why))
			}
			break
		}
	}
	return fields
}

// refuses says why the value v of h cannot be relayed, as one of so many lines
// of its family with so many bytes together, or returns "" if it can.
func (h *header) refuses(v string, size, lines int) string {
	switch {
	case size > maxFamilyBytes:
		return fmt.Sprintf("brings the family to more than %d bytes", maxFamilyBytes)
	case lines > maxFamilyLines:
		return fmt.Sprintf("brings the family to more than %d lines", maxFamilyLines)
	case !sendable(v):
		return "has a control character, which no HTTP client sends"
	case h.group.family == GRPCTraceBin.family && !isBase64(v):
		return "is not base64, for which a gRPC server refuses the call"
	}
	return ""
}

// receive returns ctx with what get has of l's headers, beside what ctx carries
// already of others. It reports false if there is nothing to change in ctx.
func (l *list) receive(ctx context.Context, get func(*header) []string, shared bool) (context.Context, bool) {
	var room [16]field // on the stack
	fields := l.extract(room[:0], get, nil)
	changed := len(fields) > 0
	if shared {
		for i := range fields {
			fields[i].value = strings.Clone(fields[i].value)
		}
	}
	for _, outer := range FromContext(ctx).fields {
		if l.headers[outer.lower] == nil {
			fields = append(fields, outer)
		} else {
			changed = true
		}
	}
	if !changed {
		return ctx, false
	}
	return newNode(ctx, fields), true
}
