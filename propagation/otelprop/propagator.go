package otelprop

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"

	"go.opentelemetry.io/contrib/propagators/b3"
	otel "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/propagation"
)

// Propagator is an OpenTelemetry propagator for services that make spans of
// their own. It keeps the trace whole whether or not the service records a span:
// a sampled span becomes the parent of the calls made in it; if none is sampled,
// or there is no SDK at all, the headers that came in go out as they came. The
// zero value relays [propagation.Istio], and writes B3 in the form that came in.
//
//	otel.SetTextMapPropagator(otelprop.Propagator{})
//
// Where baggage is used, compose it with OpenTelemetry's own:
//
//	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(
//		otelprop.Propagator{}, propagation.Baggage{})) // OpenTelemetry's propagation
//
// Do not compose it with TraceContext or contrib's b3: both would write the same
// headers, each in its own way. If you compose several Propagators, one of them
// must have both B3 and W3C.
//
// An SDK cannot see a sampling decision that came without IDs (x-b3-sampled: 0
// alone): its own root sampler decides for its spans, and if that sampler drops
// them, the decision goes on unchanged. An SDK takes IDs without a decision for
// not sampled, so that only services with a sampler of their own add spans.
//
// A Propagator does not know which host a call goes to. To keep headers inside the
// mesh, use package middleware, whose Transport has a Match.
type Propagator struct {
	// Families are the headers to relay. If B3 and W3C name different traces,
	// the earlier family in the list is believed. The zero value is Istio().
	Families propagation.Families

	// Encoding is the form of B3 to write for spans that were started here. Zero
	// is the form that came in, or x-b3-* if none came in.
	Encoding b3.Encoding
}

var _ otel.TextMapPropagator = Propagator{}

// joined is the key of the trace that a Propagator told ctx's spans to join:
// one of another trace was then begun on purpose.
type joined struct{}

// Fields returns the names of all headers that the propagator may set, in
// lower case.
func (p Propagator) Fields() []string { return p.Families.Names() }

// Extract returns ctx with the headers of the carrier, for Inject and
// [propagation.FromContext], and with the span that they name as the remote parent, if
// they name one.
//
// A carrier other than [otel.HeaderCarrier] is asked for lower-case
// names. Values are copied unless ctx comes from net/http's server, whose strings
// alone are known never to change.
func (p Propagator) Extract(ctx context.Context, carrier otel.TextMapCarrier) context.Context {
	get := func(name string) []string { return values(carrier, name) }
	if ctx.Value(http.ServerContextKey) == nil {
		get = func(name string) []string { return cloned(values(carrier, name)) }
	}
	ctx = p.Families.Receive(ctx, get)
	hasB3, hasW3C, w3cFirst := p.formats()
	if !hasB3 && !hasW3C {
		return ctx
	}
	in := read(propagation.FromContext(ctx).Only(p.Families))
	position := in.position(w3cFirst)
	if !position.valid() {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(context.WithValue(ctx, joined{}, position.traceID), in.parent(position))
}

func cloned(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strings.Clone(v)
	}
	return out
}

// formats reports which of B3 and W3C are listed, and whether W3C is the first.
// Receive asks for the names, at no allocation, where Names takes five.
func (p Propagator) formats() (hasB3, hasW3C, w3cFirst bool) {
	p.Families.Receive(context.Background(), func(name string) []string {
		switch name {
		case "b3":
			hasB3 = true
		case "traceparent":
			hasW3C, w3cFirst = true, !hasB3
		}
		return nil
	})
	return hasB3, hasW3C, w3cFirst
}

// Inject writes to the carrier the headers of ctx's request, and B3 and W3C so
// that the next service joins the trace where it should:
//
//   - below the span of ctx, if it was started here and is sampled;
//   - else where the headers that came in say: they go out byte for byte, unless
//     ctx's span was put into another trace on purpose;
//   - else below ctx's span, with its decision;
//   - else nowhere: nothing is invented.
//
// Inject writes a span's IDs in B3 and in W3C, as far as Families has them, and
// deletes the other headers of these two families from the carrier. In a carrier
// that has no way to delete, it sets them to an empty value, or to one that says
// the same as the others. It writes no other family of which the carrier has any
// header.
//
// A carrier other than [otel.HeaderCarrier] gets lower-case names. It holds one
// value a name: all of tracestate and baggage, joined, and the first of other
// headers. If the carrier still has what came in, Inject leaves in it what it does
// not rewrite: use a new carrier for narrowed headers (see
// [propagation.Headers.Only]).
func (p Propagator) Inject(ctx context.Context, carrier otel.TextMapCarrier) {
	if header, ok := carrier.(otel.HeaderCarrier); ok {
		p.inject(ctx, http.Header(header), false)
		return
	}
	names := p.Families.Names()
	had := make(http.Header)
	for _, name := range names {
		if v := values(carrier, name); len(v) > 0 {
			had[canonical(name)] = v
		}
	}
	header := had.Clone()
	p.inject(ctx, header, !removes(carrier))
	update(carrier, names, had, header)
}

// inject writes to dst. With keeps, it rewrites every form of B3 that dst has.
func (p Propagator) inject(ctx context.Context, dst http.Header, keeps bool) {
	h := propagation.FromContext(ctx).Only(p.Families)
	in := read(h)
	sc := trace.SpanContextFromContext(ctx)
	own := sc.IsValid() && !sc.IsRemote()
	told, _ := ctx.Value(joined{}).(trace.TraceID)
	elsewhere := told.IsValid() && told != sc.TraceID()

	ids := in.b3.valid() || in.w3c.valid()
	var rewrite bool
	switch {
	case own && sc.IsSampled():
		rewrite = true
	case ids:
		rewrite = own && elsewhere
	case in.decided:
	default:
		// The headers of the trace that the span joined may have been left out
		// of the context: then the span, which nobody records, does not tell
		// of it either.
		rewrite = own && (elsewhere || !told.IsValid())
		h = h.Missing(isID)
	}
	if rewrite {
		p.write(sc, &in, h.Values("tracestate"), dst, keeps)
		h = h.Missing(isID)
	}
	h.Inject(dst)
}

// isSingle, isMulti, isW3C and isID take a name in any case, and do not
// allocate for it.
func isSingle(name string) bool { return strings.EqualFold(name, "b3") }

func isMulti(name string) bool {
	const prefix = "x-b3-"
	return len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

func isW3C(name string) bool {
	return strings.EqualFold(name, "traceparent") || strings.EqualFold(name, "tracestate")
}

func isID(name string) bool { return isSingle(name) || isMulti(name) || isW3C(name) }

// write writes sc to dst in B3 and W3C, and deletes what else dst has of them.
// A trace ID that came with 16 digits keeps them in B3. Debug implies the
// decision, which then is not written beside it. The lines of tracestate that
// came in go out as they are while the span has the state that they say.
func (p Propagator) write(sc trace.SpanContext, in *received, tracestate []string, dst http.Header, keeps bool) {
	hasB3, hasW3C, _ := p.formats()
	if !hasB3 && !hasW3C {
		return
	}
	multi := in.multi || !in.single
	single := in.single
	if p.Encoding != b3.B3Unspecified {
		multi, single = p.Encoding&b3.B3MultipleHeader != 0, p.Encoding&b3.B3SingleHeader != 0
	}
	for name := range dst {
		switch {
		case hasW3C && isW3C(name):
		case hasB3 && isSingle(name):
			single = single || keeps
		case hasB3 && isMulti(name):
			multi = multi || keeps
		default:
			continue
		}
		delete(dst, name)
	}

	// One string holds what all formats share: 00-{trace}-{span}-{flags}.
	const trace0, span0, flags0, end = 3, 36, 53, 55
	var buf [end]byte
	traceID, spanID, flags := sc.TraceID(), sc.SpanID(), sc.TraceFlags()&known
	sameW3C := in.w3c.valid() && in.w3c.traceID == traceID
	if sameW3C {
		flags |= in.w3c.flags & trace.FlagsRandom
	}
	copy(buf[:], "00-")
	hex.Encode(buf[trace0:], traceID[:])
	buf[span0-1] = '-'
	hex.Encode(buf[span0:], spanID[:])
	buf[flags0-1] = '-'
	hex.Encode(buf[flags0:], []byte{byte(flags)})
	all := string(buf[:])

	room := make([]string, 6)
	set := func(name, value string) {
		room[0] = value
		dst[name], room = room[:1:1], room[1:]
	}
	if hasB3 {
		sameB3 := in.b3.valid() && in.b3.traceID == traceID
		from, sampled := trace0, "0"
		if sameB3 && in.b3.short {
			from += 16
		}
		if sc.IsSampled() {
			sampled = "1"
		}
		isDebug := sameB3 && in.b3.state == debug
		if multi {
			set("X-B3-Traceid", all[from:span0-1])
			set("X-B3-Spanid", all[span0:flags0-1])
			if isDebug {
				set("X-B3-Flags", "1")
			} else {
				set("X-B3-Sampled", sampled)
			}
		}
		if single {
			if isDebug {
				sampled = "d"
			}
			set("B3", all[from:flags0]+sampled)
		}
	}
	if hasW3C {
		set("Traceparent", all)
		state := sc.TraceState().String()
		switch {
		case sameW3C && len(tracestate) > 0 && validTracestate(in.tracestate) && state == in.state().String():
			dst["Tracestate"] = tracestate
		case state != "":
			set("Tracestate", state)
		}
	}
}
