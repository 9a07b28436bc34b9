package otelprop_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	otelpropagation "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/internal/wire"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

// FuzzMapCarrier checks that headers mean the same in a map, such as those of
// a message, as in a request.
func FuzzMapCarrier(f *testing.F) {
	f.Add("b3: "+inTrace+"-"+inSpan+"-1", uint8(0))
	families := propagation.Istio().With(propagation.Baggage, propagation.Datadog)
	p := otelprop.Propagator{Families: families}
	f.Fuzz(func(t *testing.T, lines string, span uint8) {
		inHeader, inMap := http.Header{}, otelpropagation.MapCarrier{}
		for name, values := range header(strings.Split(lines, "\n")...) {
			if lower := strings.ToLower(name); slices.Contains(p.Fields(), lower) {
				inHeader[name] = values[:1]
				inMap[lower] = values[0]
			}
		}
		a := p.Extract(context.Background(), otelpropagation.HeaderCarrier(inHeader))
		b := p.Extract(context.Background(), inMap)
		parent := trace.SpanContextFromContext(a)
		require.Equal(t, parent, trace.SpanContextFromContext(b))

		switch span % 3 {
		case 1:
			a, b = withSpan(a, parent.TraceID(), true), withSpan(b, parent.TraceID(), true)
		case 2:
			a, b = withSpan(a, trace.TraceID{1}, span > 100), withSpan(b, trace.TraceID{1}, span > 100)
		}
		outHeader, outMap := http.Header{}, otelpropagation.MapCarrier{}
		p.Inject(a, otelpropagation.HeaderCarrier(outHeader))
		p.Inject(b, outMap)
		want := otelpropagation.MapCarrier{}
		for name, values := range outHeader {
			want[strings.ToLower(name)] = values[0]
		}
		require.Equal(t, want, outMap)
	})
}

// FuzzValuesGetter checks that headers mean the same in a carrier that keeps
// every value as in a request.
func FuzzValuesGetter(f *testing.F) {
	f.Add("b3: "+inTrace+"-"+inSpan+"-1\ntracestate: a=1\ntracestate: b=2\nx-request-id: r\nx-request-id: q", uint8(1))
	families := propagation.Istio().With(propagation.Baggage)
	p := otelprop.Propagator{Families: families}
	f.Fuzz(func(t *testing.T, lines string, span uint8) {
		in := header(strings.Split(lines, "\n")...)
		a := p.Extract(context.Background(), otelpropagation.HeaderCarrier(in))
		b := p.Extract(context.Background(), multiCarrier{in})
		parent := trace.SpanContextFromContext(a)
		require.Equal(t, parent, trace.SpanContextFromContext(b))
		require.Equal(t, inject(propagation.FromContext(a)), inject(propagation.FromContext(b)))
		if span%2 == 1 && parent.IsValid() {
			a, b = withSpan(a, parent.TraceID(), true), withSpan(b, parent.TraceID(), true)
		}
		out, outMulti := http.Header{}, multiCarrier{http.Header{}}
		p.Inject(a, otelpropagation.HeaderCarrier(out))
		p.Inject(b, outMulti)
		for name, values := range out {
			if name == "Tracestate" || name == "Baggage" {
				out[name] = []string{strings.Join(values, ",")}
			} else {
				out[name] = values[:1]
			}
		}
		require.Equal(t, out, outMulti.Header)
	})
}

// FuzzB3 checks that what becomes a parent is what a reader of the
// specification would take for one.
func FuzzB3(f *testing.F) {
	f.Add("463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1-0020000000000001", "", "", "", "")
	f.Add("0", inTrace, inSpan, "1", "1")
	f.Add("", shortTrace, inSpan, "True", "3")
	f.Add("not-a-tumor", inTrace, inSpan, "", "")
	f.Add(inTrace+"-"+inSpan+"-", "-", inSpan, "0", "")
	f.Fuzz(func(t *testing.T, b3, traceID, spanID, sampled, flags string) {
		checkB3(t, http.Header{"B3": {b3}, "X-B3-Traceid": {traceID}, "X-B3-Spanid": {spanID}, "X-B3-Sampled": {sampled}, "X-B3-Flags": {flags}})
	})
}

// The B3 specification, as somebody else would read it.
var (
	b3Single  = regexp.MustCompile(`^([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(-[01d](-[^-]+)?)?$`)
	b3TraceID = regexp.MustCompile(`^([0-9a-f]{16}|[0-9a-f]{32})$`)
	b3SpanID  = regexp.MustCompile(`^[0-9a-f]{16}$`)
	b3Sampled = regexp.MustCompile(`^(0|1|[tT][rR][uU][eE]|[fF][aA][lL][sS][eE])?$`)
	allZero   = regexp.MustCompile(`^0*$`)
)

// checkB3 checks what a Propagator makes of B3 headers, one value of each.
func checkB3(t *testing.T, in http.Header) {
	t.Helper()
	carried := inject(propagation.Of(propagation.B3).Extract(in))
	single, traceID, spanID, sampled := carried.Get("b3"), carried.Get("x-b3-traceid"), carried.Get("x-b3-spanid"), carried.Get("x-b3-sampled")
	var wantTrace, wantSpan string
	switch m := b3Single.FindStringSubmatch(single); {
	case single == "0", single == "1", single == "d":
	case m != nil && !allZero.MatchString(m[1]) && !allZero.MatchString(m[2]):
		wantTrace, wantSpan = m[1], m[2]
	case b3TraceID.MatchString(traceID) && b3SpanID.MatchString(spanID) && b3Sampled.MatchString(sampled) &&
		!allZero.MatchString(traceID) && !allZero.MatchString(spanID):
		wantTrace, wantSpan = traceID, spanID
	}
	p := otelprop.Propagator{Families: propagation.Of(propagation.B3)}
	ctx := p.Extract(context.Background(), otelpropagation.HeaderCarrier(in))
	sc := trace.SpanContextFromContext(ctx)
	if wantTrace == "" {
		require.False(t, sc.IsValid(), "%q made the parent %v", in, sc)
	} else {
		require.Equal(t, strings.Repeat("0", 32-len(wantTrace))+wantTrace, sc.TraceID().String())
		require.Equal(t, wantSpan, sc.SpanID().String())
		out := http.Header{}
		p.Inject(ctx, otelpropagation.HeaderCarrier(out))
		require.Equal(t, carried, out)
	}
	out := http.Header{}
	p.Inject(withSpan(ctx, trace.TraceID{1}, true), otelpropagation.HeaderCarrier(out))
	again := trace.SpanContextFromContext(p.Extract(context.Background(), otelpropagation.HeaderCarrier(out)))
	require.Equal(t, trace.TraceID{1}, again.TraceID())
}

func TestNoInputPanicsAndMalformedB3NeverBecomesAParent(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	junk := []string{"-", "0", "d", "z", "A", " ", "\u0664", "\xff", "--", ""}
	for _, v := range vectors(t) {
		for name, values := range v.header() {
			if len(values) > 1 || len(values[0]) == 0 {
				continue
			}
			for range 50 {
				in := v.header()
				value, at := values[0], random.IntN(len(values[0]))
				end := min(len(value), at+random.IntN(3))
				in[name] = []string{value[:at] + junk[random.IntN(len(junk))] + value[end:]}
				for other := range in {
					in[other] = in[other][:1] // one value of each
				}
				checkB3(t, in)
			}
		}
	}
}

// differences are where OpenTelemetry's TraceContext reads traceparent in
// another way than W3C Trace Context Level 2 has it, and this package does.
var differences = map[string]func(parent string) bool{
	"it refuses version 00 with a flag that it does not know": func(parent string) bool {
		return len(parent) == 55 && strings.HasPrefix(parent, "00-") && !strings.Contains("0123", parent[54:]) || len(parent) == 55 && parent[53] != '0'
	},
	"it takes a hyphen behind version 00": func(parent string) bool {
		return len(parent) == 56 && strings.HasPrefix(parent, "00-") && parent[55] == '-'
	},
}

// FuzzTraceparent compares with internal/wire, which shares no code with this
// package, and with OpenTelemetry's own propagator.
func FuzzTraceparent(f *testing.F) {
	f.Add(inParent, "a=1")
	f.Add("00-"+inTrace+"-"+inSpan+"-03", "a=1,b=2")
	f.Add("00-"+inTrace+"-"+inSpan+"-04", "")
	f.Add("00-"+inTrace+"-"+inSpan+"-01-", "")
	f.Add("00-"+inTrace+"-"+inSpan+"-01-more", "")
	f.Add("cc-"+inTrace+"-"+inSpan+"-ff-more", "=")
	f.Add("cc-"+inTrace+"-"+inSpan+"-ffmore", "foo@=1")
	f.Add("ff-"+inTrace+"-"+inSpan+"-01", "")
	f.Add("zz-"+inTrace+"-"+inSpan+"-01", "")
	f.Add("00-"+strings.ToUpper(inTrace)+"-"+inSpan+"-01", "")
	f.Fuzz(func(t *testing.T, parent, state string) {
		in := http.Header{"Traceparent": {parent}, "Tracestate": {state}}
		// What cannot be sent is dropped before it is read.
		carried := inject(propagation.Of(propagation.W3C).Extract(in))
		p := otelprop.Propagator{Families: propagation.Of(propagation.W3C)}
		ctx := p.Extract(context.Background(), otelpropagation.HeaderCarrier(in))
		got := trace.SpanContextFromContext(ctx)

		var read wire.Context
		for _, c := range wire.Read(carried) {
			if c.Format == wire.W3C {
				read = c
			}
		}
		require.Equal(t, read.HasIDs(), got.IsValid(), "internal/wire: %v", read.Err)
		if got.IsValid() {
			require.Equal(t, read.Trace, got.TraceID().String())
			require.Equal(t, read.Span, got.SpanID().String())
			require.Equal(t, read.Decision == wire.Accepted, got.IsSampled())
		}

		theirs := trace.SpanContextFromContext(otelpropagation.TraceContext{}.Extract(context.Background(), otelpropagation.HeaderCarrier(carried)))
		for _, differs := range differences {
			if differs(carried.Get("traceparent")) {
				theirs = got
			}
		}
		require.Equal(t, theirs.TraceID(), got.TraceID())
		require.Equal(t, theirs.SpanID(), got.SpanID())
		require.Equal(t, theirs.IsSampled(), got.IsSampled())
		require.Equal(t, theirs.IsRemote(), got.IsRemote())
		if !got.IsValid() {
			return
		}

		out := http.Header{}
		p.Inject(withSpan(ctx, got.TraceID(), true), otelpropagation.HeaderCarrier(out))
		require.Equal(t, []string{"00-" + got.TraceID().String() + "-" + ownSpan + "-0" + strconv.Itoa(int(got.TraceFlags()|trace.FlagsSampled))}, out["Traceparent"])
		if sent, ok := out["Tracestate"]; ok {
			require.Equal(t, carried["Tracestate"], sent)
		} else if len(theirs.TraceState().String()) > 0 {
			require.Regexp(t, `[^\x21-\x7e]|^[^=]{257}|=[^,]{257}`, carried.Get("tracestate"), "Level 1 allows it, and it is lost")
		}
	})
}
