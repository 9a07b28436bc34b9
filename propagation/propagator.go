package propagation

import (
	"context"
	"encoding/hex"
	"math/bits"
	"net/http"
	"slices"
	"strings"

	"go.opentelemetry.io/contrib/propagators/b3"
	otelprop "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Propagator is an OpenTelemetry propagator for services that make spans of
// their own. It keeps the trace whole whether or not a span is recorded here:
// a sampled span becomes the parent of what is called; where none is sampled,
// or there is no SDK at all, the headers that came in go out as they came. The
// zero value relays [Istio] and answers in the B3 format that came in.
//
//	otel.SetTextMapPropagator(propagation.Propagator{})
//
// Where baggage is used, compose it with OpenTelemetry's own:
//
//	otel.SetTextMapPropagator(otelprop.NewCompositeTextMapPropagator(
//		propagation.Propagator{}, otelprop.Baggage{}))
//
// Do not compose it with TraceContext or contrib's b3: both would write the
// same headers, each in its own way. Of several Propagators, one has both B3 and
// W3C.
//
// An SDK cannot see a sampling decision that came without IDs
// (x-b3-sampled: 0 alone): its own root sampler decides for its spans, and the
// decision goes on unchanged where that sampler drops. Nor can it see that no
// decision came: IDs without one count as not sampled for the SDK, so that
// only the services that decide for themselves add spans.
//
// A Propagator does not know which host a call goes to. Headers that must stay
// inside go with package middleware, whose Transport has a Match.
type Propagator struct {
	// Families are the headers to relay, in the order in which they are
	// believed: the first of B3 and W3C that holds valid IDs is the parent.
	// The zero value is Istio().
	Families Families

	// Encoding is the B3 format that is written for spans that were started
	// here. Zero is the format that came in, or x-b3-* where none came in.
	Encoding b3.Encoding
}

var _ otelprop.TextMapPropagator = Propagator{}

// Fields returns the names of all headers that the propagator may set, in
// lower case.
func (p Propagator) Fields() []string {
	return slices.Clone(p.Families.table().lower)
}

// Extract returns ctx with the headers of the carrier, for Inject and
// [FromContext], and with the span that they name as the remote parent, if
// they name one: the first family of Families, in order, that holds valid IDs
// (b3 before x-b3-*). A malformed or a repeated ID is no parent.
//
// A carrier other than [otelprop.HeaderCarrier] is asked for lower-case names.
func (p Propagator) Extract(ctx context.Context, carrier otelprop.TextMapCarrier) context.Context {
	t := p.Families.table()
	parents := t.b3 >= 0 || t.w3c >= 0
	n, changed := t.receive(ctx, read(t, carrier), parents)
	switch {
	case !changed:
		return ctx
	case !parents: // nor does it take away one that another Propagator has found
		return n
	}
	in := n.headers.joined
	if *in = t.parse(n.headers); in.spanID.IsValid() {
		return n.join(in)
	}
	n.headers.joined = nil
	return n
}

// Inject writes to the carrier the headers of ctx's request, and B3 and W3C so
// that the next service joins the trace where it should:
//
//   - below the span of ctx, if it was started here and is sampled;
//   - else where this service itself was to join it, the headers going out
//     byte for byte, unless ctx's span was put into another trace on purpose;
//   - else below ctx's span, with its decision;
//   - else nowhere: nothing is invented.
//
// A span's IDs are written in the formats that came in, or, where none came
// in, in the first of B3 and W3C in Families: a sidecar refreshes only the
// format it speaks, and a second one would go stale. Everything else that
// belongs to a rewritten family is deleted from an [otelprop.HeaderCarrier].
// Other carriers, which cannot delete, get lower-case names and the first
// value of a repeated header. Of families that are not rewritten, nothing is
// written if the carrier has any of it.
func (p Propagator) Inject(ctx context.Context, carrier otelprop.TextMapCarrier) {
	if header, ok := carrier.(otelprop.HeaderCarrier); ok {
		p.inject(ctx, http.Header(header))
		return
	}
	t := p.Families.table()
	had := read(t, carrier)
	header := had.Clone()
	p.inject(ctx, header)
	for i, name := range t.names {
		if v := header[name]; len(v) > 0 && (len(had[name]) == 0 || v[0] != had[name][0]) {
			carrier.Set(t.lower[i], v[0])
		}
	}
}

// read returns what carrier has of t's headers.
func read(t *table, carrier otelprop.TextMapCarrier) http.Header {
	if header, ok := carrier.(otelprop.HeaderCarrier); ok {
		return http.Header(header)
	}
	header := make(http.Header)
	multi, _ := carrier.(otelprop.ValuesGetter)
	for i, name := range t.lower {
		if multi != nil {
			if v := multi.Values(name); len(v) > 0 {
				header[t.names[i]] = v
			}
		} else if v := carrier.Get(name); v != "" {
			header[t.names[i]] = []string{v}
		}
	}
	return header
}

// received is what the headers of a snapshot say of the trace.
type received struct {
	by *table // the list that they were read by

	// The parent: a zero spanID if no family holds valid IDs.
	traceID    trace.TraceID
	spanID     trace.SpanID
	flags      trace.TraceFlags
	tracestate bool // the tracestate that came belongs to its trace

	b3      b3Context
	decided bool // B3 came with a decision and no IDs
	formats format
}

// format is a way to write a span's IDs; as a set, what came in.
type format uint8

const (
	formatB3Multi format = 1 << iota
	formatB3Single
	formatW3C
)

// parse reads the headers of h that belong to t, in t's order of belief.
func (t *table) parse(h Headers) (in received) {
	in.by = t
	if h.mask == 0 {
		return in
	}
	if came := h.of(t.b3, h.t.b3, b3Count); came != 0 {
		if came&(1<<b3Single) != 0 {
			in.formats |= formatB3Single
		}
		if came&^(1<<b3Single) != 0 {
			in.formats |= formatB3Multi
		}
		var v b3Headers
		v.repeated = h.pick(h.t.b3, v.values[:])
		if c, ok := parseB3(&v); ok {
			in.b3, in.decided = c, !c.hasIDs()
		}
	}
	var w3c trace.SpanContextConfig
	if came := h.of(t.w3c, h.t.w3c, w3cCount); came&(1<<w3cTraceparent) != 0 {
		in.formats |= formatW3C
		var v [1]string
		if repeated := h.pick(h.t.w3c+w3cTraceparent, v[:]); repeated == 0 {
			w3c, _ = parseTraceparent(v[0])
		}
	}
	if in.b3.hasIDs() && (t.b3 < t.w3c || !w3c.SpanID.IsValid()) {
		in.traceID, in.spanID = in.b3.traceID, in.b3.spanID
		in.flags = trace.TraceFlags(0).WithSampled(in.b3.state >= b3Accept)
	} else {
		in.traceID, in.spanID, in.flags = w3c.TraceID, w3c.SpanID, w3c.TraceFlags
	}
	in.tracestate = w3c.TraceID == in.traceID
	return in
}

// of returns which of a family's headers h carries, by their place in the
// family, if it is in the list that is read (there from the index mine on, or
// -1) and in h's (there from the index first on, or -1).
func (h Headers) of(mine, first, count int) uint64 {
	if mine < 0 || first < 0 {
		return 0
	}
	return h.mask >> first & (1<<count - 1)
}

// pick copies the first values of the headers from the index first on, and
// returns which of them were repeated.
func (h Headers) pick(first int, dst []string) (repeated uint8) {
	rest := h.values
	for m := h.mask; m != 0; m &= m - 1 {
		n := run(rest)
		if k := bits.TrailingZeros64(m) - first; k >= len(dst) {
			break
		} else if k >= 0 {
			dst[k] = rest[0]
			if n > 1 {
				repeated |= 1 << k
			}
		}
		rest = rest[n:]
	}
	return repeated
}

// parent returns the span that the headers h name. A tracestate that spans
// several headers reads as one list (RFC 9110, section 5.3), and an invalid one
// as none.
func (in *received) parent(h Headers) trace.SpanContext {
	cfg := trace.SpanContextConfig{TraceID: in.traceID, SpanID: in.spanID, TraceFlags: in.flags, Remote: true}
	if i := h.t.w3c + w3cTracestate; in.tracestate && h.t.w3c >= 0 && h.mask&(1<<i) != 0 {
		var list []string
		for _, values := range h.each(1 << i) {
			for j := 0; j < len(values); j += 2 {
				list = append(list, values[j])
			}
		}
		if state, err := trace.ParseTraceState(strings.Join(list, ",")); err == nil {
			cfg.TraceState = state
		}
	}
	return trace.NewSpanContext(cfg)
}

func (p Propagator) inject(ctx context.Context, dst http.Header) {
	t := p.Families.table()
	h := FromContext(ctx)
	mine := h.mask
	if h.t != t && mine != 0 {
		mine &= t.shared(h.t)
	}
	in := h.joined
	if in == nil || in.by != t {
		now := t.parse(h)
		in = &now
	}
	sc := trace.SpanContextFromContext(ctx)
	local := sc.IsValid() && !sc.IsRemote()

	var rewrite bool
	switch {
	case local && sc.IsSampled():
		rewrite = true
	case in.spanID.IsValid():
		rewrite = local && h.joined != nil && sc.TraceID() != h.joined.traceID
	case in.decided:
	default:
		rewrite = local
		mine &^= h.ids()
	}
	var formats format
	if rewrite {
		mine &^= h.ids()
		formats = p.formats(in)
	}
	mine = t.clear(dst, formats, h.t, mine)
	room := make([]string, formats.count()+h.count(mine))
	if formats != 0 {
		sameTrace := in.b3.hasIDs() && in.b3.traceID == sc.TraceID()
		room = writeSpan(dst, sc, formats, sameTrace && in.b3.short, sameTrace && in.b3.state == b3Debug, room)
	}
	if mine != 0 {
		h.write(dst, mine, room)
	}
}

// ids returns the headers of h that belong to B3 and W3C.
func (h Headers) ids() (mask uint64) {
	if h.mask == 0 {
		return 0
	}
	if h.t.b3 >= 0 {
		mask |= h.t.groupOf(h.t.b3).mask
	}
	if h.t.w3c >= 0 {
		mask |= h.t.groupOf(h.t.w3c).mask
	}
	return mask
}

// shared returns the headers of other that belong to t too.
func (t *table) shared(other *table) (mask uint64) {
	if other.begins(t) {
		return 1<<len(t.names) - 1
	}
	for i, name := range other.names {
		if t.index(name) >= 0 {
			mask |= 1 << i
		}
	}
	return mask
}

// formats returns how to write the IDs of a span where in came in.
func (p Propagator) formats(in *received) format {
	t := p.Families.table()
	formats := in.formats
	if formats == 0 {
		switch {
		case t.b3 >= 0 && (t.w3c < 0 || t.b3 < t.w3c):
			formats = formatB3Multi
		case t.w3c >= 0:
			formats = formatW3C
		}
	}
	if formats&(formatB3Multi|formatB3Single) != 0 && p.Encoding != b3.B3Unspecified {
		formats &= formatW3C
		if p.Encoding&b3.B3MultipleHeader != 0 {
			formats |= formatB3Multi
		}
		if p.Encoding&b3.B3SingleHeader != 0 {
			formats |= formatB3Single
		}
	}
	return formats
}

// count returns how many headers there can be in the formats.
func (f format) count() int {
	n := 0
	if f&formatB3Multi != 0 {
		n += 3
	}
	if f&formatB3Single != 0 {
		n++
	}
	if f&formatW3C != 0 {
		n += 2
	}
	return n
}

// clear deletes from dst all headers of the families that the formats are of.
// Of the headers of other that are to be written to dst, it returns those whose
// family is not there.
func (t *table) clear(dst http.Header, formats format, other *table, mask uint64) uint64 {
	var stale uint64
	if formats&(formatB3Multi|formatB3Single) != 0 {
		stale |= t.groupOf(t.b3).mask
	}
	if formats&formatW3C != 0 {
		stale |= t.groupOf(t.w3c).mask
	}
	for name := range dst {
		if i := t.index(name); i >= 0 && stale&(1<<i) != 0 {
			delete(dst, name)
		} else if mask != 0 {
			mask &^= other.familyOf(name)
		}
	}
	return mask
}

// writeSpan writes sc to dst in the formats, in slices cut from room, and
// returns the rest of room. A trace ID that came with 16 digits keeps them in
// B3. Debug implies the decision, which then is not written beside it.
func writeSpan(dst http.Header, sc trace.SpanContext, formats format, short, debug bool, room []string) []string {
	// One string holds what all formats share: 00-{trace}-{span}-{flags}.
	const trace0, span0, flags0, end = 3, 36, 53, 55
	var buf [end]byte
	traceID, spanID, flags := sc.TraceID(), sc.SpanID(), sc.TraceFlags()&specified
	copy(buf[:], "00-")
	hex.Encode(buf[trace0:], traceID[:])
	buf[span0-1] = '-'
	hex.Encode(buf[span0:], spanID[:])
	buf[flags0-1] = '-'
	hex.Encode(buf[flags0:], []byte{byte(flags)})
	all := string(buf[:])

	from := trace0
	if short {
		from += 16
	}
	sampled := "0"
	if sc.IsSampled() {
		sampled = "1"
	}
	set := func(name, value string) {
		room[0] = value
		dst[name] = room[:1:1]
		room = room[1:]
	}
	if formats&formatB3Multi != 0 {
		set(B3.names[b3TraceID], all[from:span0-1])
		set(B3.names[b3SpanID], all[span0:flags0-1])
		if debug {
			set(B3.names[b3Flags], "1")
		} else {
			set(B3.names[b3Sampled], sampled)
		}
	}
	if formats&formatB3Single != 0 {
		if debug {
			sampled = "d"
		}
		set(B3.names[b3Single], all[from:flags0]+sampled)
	}
	if formats&formatW3C != 0 {
		set(W3C.names[w3cTraceparent], all)
		if state := sc.TraceState().String(); state != "" {
			set(W3C.names[w3cTracestate], state)
		}
	}
	return room
}
