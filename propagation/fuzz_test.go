package propagation_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	otelprop "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/propagation"
)

var errDialed = errors.New("the request was good enough to dial")

// refuses is a transport that comes as far as dialing with every request that
// net/http would send.
var refuses = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
	return nil, errDialed
}}

// FuzzRelay reads its input as header lines, relays them, and compares with
// the rules: identity on what may be sent, families whole or not at all, and
// nothing that net/http refuses.
func FuzzRelay(f *testing.F) {
	for _, seed := range []string{
		"x-request-id: r\nx-b3-traceid: t\nx-b3-sampled: 1",
		"traceparent: 00-1-2-01\ntracestate: a=1\ntracestate: \ntracestate: b=2",
		"b3: \x00\nx-b3-flags: 1\nx-request-id: \tr\x7f",
		"tracestate: \r\ntraceparent: p",
		"x-ot-span-context: " + strings.Repeat("x", 8193),
		"x-b3-sampled:  \nx-b3-flags: \t",
		strings.Repeat("b3: 1\n", 300) + "x-request-id: r",
	} {
		f.Add(seed)
	}
	groups := [][]string{
		{"X-Request-Id"},
		{"X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags", "B3"},
		{"Traceparent", "Tracestate"},
		{"X-Ot-Span-Context"},
	}
	bad := regexp.MustCompile(`[\x00-\x08\x0a-\x1f\x7f]`)
	f.Fuzz(func(t *testing.T, lines string) {
		in := header(strings.Split(lines, "\n")...)
		out := inject(propagation.Istio().Extract(in))

		want := sendable(in)
		for name := range want {
			known := false
			for _, group := range groups {
				for _, member := range group {
					known = known || member == name
				}
			}
			if !known {
				delete(want, name)
			}
		}
		for _, group := range groups {
			size, good := 0, true
			for _, name := range group {
				s, g := size, good
				for i, v := range want[name] {
					if s += len(v); i > 0 {
						s += len(name) + 32
					}
					g = g && !bad.MatchString(v)
				}
				if fits := s <= 8192 && g; !fits && name == "Tracestate" && good {
					delete(want, name)
				} else {
					size, good = s, fits
				}
			}
			if !good {
				for _, name := range group {
					delete(want, name)
				}
			}
		}
		require.Equal(t, want, out)
		require.Equal(t, want, inject(propagation.Istio().Extract(amongOthers(in))), "among others")

		r, err := http.NewRequest(http.MethodGet, "http://httpbin/", nil)
		require.NoError(t, err)
		r.Header = out
		_, err = refuses.RoundTrip(r) //nolint:bodyclose // there is no response
		require.ErrorIs(t, err, errDialed)
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
	p := propagation.Propagator{Families: propagation.Of(propagation.B3)}
	ctx := p.Extract(context.Background(), otelprop.HeaderCarrier(in))
	sc := trace.SpanContextFromContext(ctx)
	if wantTrace == "" {
		require.False(t, sc.IsValid(), "%q made the parent %v", in, sc)
	} else {
		require.Equal(t, strings.Repeat("0", 32-len(wantTrace))+wantTrace, sc.TraceID().String())
		require.Equal(t, wantSpan, sc.SpanID().String())
		out := http.Header{}
		p.Inject(ctx, otelprop.HeaderCarrier(out))
		require.Equal(t, carried, out)
	}
	out := http.Header{}
	p.Inject(withSpan(ctx, trace.TraceID{1}, true), otelprop.HeaderCarrier(out))
	again := trace.SpanContextFromContext(p.Extract(context.Background(), otelprop.HeaderCarrier(out)))
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

// FuzzTraceparent compares with OpenTelemetry's own propagator.
func FuzzTraceparent(f *testing.F) {
	f.Add(inParent, "a=1")
	f.Add("00-"+inTrace+"-"+inSpan+"-03", "a=1,b=2")
	f.Add("00-"+inTrace+"-"+inSpan+"-04", "")
	f.Add("00-"+inTrace+"-"+inSpan+"-01-", "")
	f.Add("00-"+inTrace+"-"+inSpan+"-01-more", "")
	f.Add("cc-"+inTrace+"-"+inSpan+"-ff-more", "=")
	f.Add("ff-"+inTrace+"-"+inSpan+"-01", "")
	f.Add("00-"+strings.ToUpper(inTrace)+"-"+inSpan+"-01", "")
	f.Fuzz(func(t *testing.T, parent, state string) {
		in := http.Header{"Traceparent": {parent}, "Tracestate": {state}}
		// What cannot be sent is dropped before it is read.
		carried := inject(propagation.Of(propagation.W3C).Extract(in))
		want := trace.SpanContextFromContext(otelprop.TraceContext{}.Extract(context.Background(), otelprop.HeaderCarrier(carried)))
		p := propagation.Propagator{Families: propagation.Of(propagation.W3C)}
		ctx := p.Extract(context.Background(), otelprop.HeaderCarrier(in))
		require.Equal(t, want, trace.SpanContextFromContext(ctx))

		if want.IsValid() {
			sampled := withSpan(ctx, want.TraceID(), true)
			ours, theirs := http.Header{}, http.Header{}
			p.Inject(sampled, otelprop.HeaderCarrier(ours))
			otelprop.TraceContext{}.Inject(sampled, otelprop.HeaderCarrier(theirs))
			assert.Equal(t, theirs, ours)
		}
	})
}
