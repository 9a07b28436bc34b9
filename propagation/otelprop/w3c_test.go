package otelprop_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	otelpropagation "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

func TestW3CVectorsMeanWhatTheySay(t *testing.T) {
	b, err := os.ReadFile("testdata/w3c.json")
	require.NoError(t, err)
	var doc struct {
		Vectors []struct {
			Traceparent, Tracestate []string
			Kind, Trace, Span, Why  string
			Sampled, Random         bool
			TracestateKept          *bool `json:"tracestate_kept"`
		}
	}
	require.NoError(t, json.Unmarshal(b, &doc))
	require.Len(t, doc.Vectors, 65)
	for i, v := range doc.Vectors {
		t.Run(fmt.Sprint(i, v.Traceparent, v.Why), func(t *testing.T) {
			p := otelprop.Propagator{}
			in := http.Header{"Traceparent": v.Traceparent, "Tracestate": v.Tracestate}
			ctx := p.Extract(context.Background(), otelpropagation.HeaderCarrier(in))
			parent := trace.SpanContextFromContext(ctx)
			if v.Kind == "none" {
				require.False(t, parent.IsValid(), "%v", parent)
				out := http.Header{}
				p.Inject(withSpan(ctx, id(t, otherTrace), true), otelpropagation.HeaderCarrier(out))
				require.Empty(t, out["Tracestate"], "no parent, no state")
				return
			}
			require.Equal(t, v.Trace, parent.TraceID().String())
			require.Equal(t, v.Span, parent.SpanID().String())
			require.Equal(t, v.Sampled, parent.IsSampled())
			require.Equal(t, v.Random, parent.TraceFlags()&trace.FlagsRandom != 0)

			relayed, out := http.Header{}, http.Header{}
			p.Inject(ctx, otelpropagation.HeaderCarrier(relayed))
			assert.Equal(t, sendable(in), relayed, "without a span of its own, what came in goes out")
			p.Inject(withSpan(ctx, parent.TraceID(), true), otelpropagation.HeaderCarrier(out))
			assert.Equal(t, "00-"+v.Trace+"-"+ownSpan, out.Get("traceparent")[:52])
			if v.TracestateKept != nil && *v.TracestateKept {
				assert.Equal(t, sendable(in)["Tracestate"], out["Tracestate"])
			} else {
				assert.Empty(t, out["Tracestate"])
			}
		})
	}
}

// serve is what a service does with a request: one whose span is sampled makes
// two calls. It returns the headers of both.
func serve(t *testing.T, in http.Header) (first, second http.Header) {
	t.Helper()
	p := otelprop.Propagator{Families: propagation.Of(propagation.W3C)}
	ctx := p.Extract(context.Background(), otelpropagation.HeaderCarrier(in))
	traceID := trace.SpanContextFromContext(ctx).TraceID()
	if !traceID.IsValid() {
		traceID = id(t, otherTrace)
	}
	call := func(span trace.SpanID) http.Header {
		cfg := trace.SpanContextConfig{TraceID: traceID, SpanID: span, TraceFlags: trace.FlagsSampled}
		if parent := trace.SpanContextFromContext(ctx); parent.IsValid() {
			cfg.TraceState = parent.TraceState()
		}
		out := http.Header{}
		p.Inject(trace.ContextWithSpanContext(ctx, trace.NewSpanContext(cfg)), otelpropagation.HeaderCarrier(out))
		return out
	}
	return call(trace.SpanID{1}), call(trace.SpanID{2})
}

// The rows are what the W3C's own test suite for Trace Context asks of a
// service at level 2, in strict mode.
func TestWhatTheW3CTestSuiteAsks(t *testing.T) {
	const (
		traceID = "12345678901234567890123456789012"
		spanID  = "1234567890123456"
		good    = "00-" + traceID + "-" + spanID + "-01"
	)
	lines := func(values ...string) []string { return values }
	long := func(n int, s string) string { return strings.Repeat(s, n) }
	members := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf("bar%02d=%02d", i, i)
		}
		return strings.Join(all, ",")
	}
	for name, row := range map[string]struct {
		name   string // of the header, if another than traceparent
		parent []string
		state  []string
		joins  bool     // the trace goes on
		keeps  []string // of tracestate
	}{
		"both headers missing":                                   {},
		"traceparent with another case of its name":              {name: "TraceParent", parent: lines(good), joins: true},
		"traceparent included, tracestate missing":               {parent: lines(good), joins: true},
		"traceparent twice":                                      {parent: lines(good, "00-"+traceID+"-"+spanID+"-00")},
		"traceparent with a header name that has a hyphen":       {name: "Trace-Parent", parent: lines(good)},
		"traceparent with a header name that has a dot":          {name: "Trace.Parent", parent: lines(good)},
		"version 00 with exactly its length":                     {parent: lines(good), joins: true},
		"version 00 with a dot behind it":                        {parent: lines(good + ".")},
		"version 00 with a hyphen behind it":                     {parent: lines(good + "-")},
		"version 00 with a field behind it":                      {parent: lines(good + "-what-the-future-will-be-like")},
		"a higher version with the same fields":                  {parent: lines("cc-" + traceID + "-" + spanID + "-01"), joins: true},
		"a higher version with more fields":                      {parent: lines("cc-" + traceID + "-" + spanID + "-01-what-the-future-will-be-like"), joins: true},
		"a higher version with something else behind the flags":  {parent: lines("cc-" + traceID + "-" + spanID + "-01.what-the-future-will-be-like")},
		"the version ff":                                         {parent: lines("ff-" + traceID + "-" + spanID + "-01")},
		"a version with illegal characters":                      {parent: lines(".0-" + traceID + "-" + spanID + "-01")},
		"a version with illegal characters behind":               {parent: lines("0.-" + traceID + "-" + spanID + "-01")},
		"a version that is too long":                             {parent: lines("000-" + traceID + "-" + spanID + "-01")},
		"a version that is longer":                               {parent: lines("0000-" + traceID + "-" + spanID + "-01")},
		"a version that is too short":                            {parent: lines("0-" + traceID + "-" + spanID + "-01")},
		"a trace ID of zeros":                                    {parent: lines("00-" + long(32, "0") + "-" + spanID + "-01")},
		"a trace ID with illegal characters":                     {parent: lines("00-." + traceID[1:] + "-" + spanID + "-01")},
		"a trace ID in upper case":                               {parent: lines("00-" + long(32, "A") + "-" + spanID + "-01")},
		"a trace ID that is too long":                            {parent: lines("00-" + traceID + "3-" + spanID + "-01")},
		"a trace ID that is too short":                           {parent: lines("00-" + traceID[1:] + "-" + spanID + "-01")},
		"a parent ID of zeros":                                   {parent: lines("00-" + traceID + "-" + long(16, "0") + "-01")},
		"a parent ID with illegal characters":                    {parent: lines("00-" + traceID + "-." + spanID[1:] + "-01")},
		"a parent ID that is too long":                           {parent: lines("00-" + traceID + "-" + spanID + "7-01")},
		"a parent ID that is too short":                          {parent: lines("00-" + traceID + "-" + spanID[1:] + "-01")},
		"flags with illegal characters":                          {parent: lines("00-" + traceID + "-" + spanID + "-.0")},
		"flags with illegal characters behind":                   {parent: lines("00-" + traceID + "-" + spanID + "-0.")},
		"flags that are too long":                                {parent: lines("00-" + traceID + "-" + spanID + "-001")},
		"flags that are too short":                               {parent: lines("00-" + traceID + "-" + spanID + "-1")},
		"flags that the specification does not know":             {parent: lines("00-" + traceID + "-" + spanID + "-ff"), joins: true},
		"blanks around traceparent":                              {parent: lines(" \t" + good + "\t "), joins: true},
		"tracestate included, traceparent missing":               {state: lines("foo=1")},
		"tracestate included, traceparent invalid":               {parent: lines("00-" + long(32, "0") + "-" + spanID + "-01"), state: lines("foo=1")},
		"tracestate and traceparent included":                    {parent: lines(good), state: lines("foo=1,bar=2"), joins: true, keeps: lines("foo=1,bar=2")},
		"tracestate with another case of its name":               {parent: lines(good), state: lines("foo=1"), joins: true, keeps: lines("foo=1")},
		"tracestate in several lines":                            {parent: lines(good), state: lines("foo=1,bar=2", "rojo=1,congo=2", "baz=3"), joins: true, keeps: lines("foo=1,bar=2", "rojo=1,congo=2", "baz=3")},
		"an empty tracestate":                                    {parent: lines(good), state: lines(""), joins: true},
		"an empty line of tracestate between others":             {parent: lines(good), state: lines("foo=1", "", "bar=2"), joins: true, keeps: lines("foo=1", "bar=2")},
		"duplicated keys":                                        {parent: lines(good), state: lines("foo=1,foo=1", "foo=2"), joins: true, keeps: lines("foo=1,foo=1", "foo=2")},
		"all characters that a key may have":                     {parent: lines(good), state: lines("abcdefghijklmnopqrstuvwxyz0123456789_-*/@=1"), joins: true, keeps: lines("abcdefghijklmnopqrstuvwxyz0123456789_-*/@=1")},
		"all characters that a value may have":                   {parent: lines(good), state: lines("foo=" + printable()), joins: true, keeps: lines("foo=" + printable())},
		"blanks around members":                                  {parent: lines(good), state: lines("foo=1 \t , \t bar=2, \t baz=3"), joins: true, keeps: lines("foo=1 \t , \t bar=2, \t baz=3")},
		"a key with a space":                                     {parent: lines(good), state: lines("foo =1"), joins: true},
		"a key in upper case":                                    {parent: lines(good), state: lines("FOO=1"), joins: true},
		"a key with a dot":                                       {parent: lines(good), state: lines("foo.bar=1"), joins: true},
		"a key of 256 characters":                                {parent: lines(good), state: lines(long(256, "z") + "=1"), joins: true, keeps: lines(long(256, "z") + "=1")},
		"a key of 257 characters":                                {parent: lines(good), state: lines(long(257, "z") + "=1"), joins: true},
		"a key of a tenant and a vendor, as long as they may be": {parent: lines(good), state: lines(long(241, "t") + "@" + long(14, "v") + "=1"), joins: true, keeps: lines(long(241, "t") + "@" + long(14, "v") + "=1")},
		"an @ at the end of a key, which level 2 allows":         {parent: lines(good), state: lines("foo@=1,bar=2"), joins: true, keeps: lines("foo@=1,bar=2")},
		"an @ at the beginning of a key":                         {parent: lines(good), state: lines("@foo=1,bar=2"), joins: true},
		"two @ in a key, which level 2 allows":                   {parent: lines(good), state: lines("foo@@bar=1,bar=2"), joins: true, keeps: lines("foo@@bar=1,bar=2")},
		"32 members":                                             {parent: lines(good), state: lines(members(32)), joins: true, keeps: lines(members(32))},
		"33 members":                                             {parent: lines(good), state: lines(members(33)), joins: true},
		"a value with an equals sign":                            {parent: lines(good), state: lines("foo=bar=baz"), joins: true},
		"an empty value":                                         {parent: lines(good), state: lines("foo=,bar=3"), joins: true},
		"a value of 257 characters":                              {parent: lines(good), state: lines("foo=" + long(257, "x")), joins: true},
	} {
		t.Run(name, func(t *testing.T) {
			raw := "GET / HTTP/1.1\r\nHost: service\r\n"
			for _, v := range row.parent {
				raw += cmp.Or(row.name, "traceparent") + ":" + v + "\r\n"
			}
			for _, v := range row.state {
				raw += "tracestate: " + v + "\r\n"
			}
			in, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw + "\r\n")))
			require.NoError(t, err)
			first, second := serve(t, in.Header)
			for _, out := range []http.Header{first, second} {
				require.Len(t, out["Traceparent"], 1)
				require.Regexp(t, "^00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]$", out.Get("traceparent"))
				assert.Equal(t, row.joins, out.Get("traceparent")[3:35] == traceID)
				assert.Equal(t, row.keeps, out["Tracestate"])
			}
			assert.NotEqual(t, first.Get("traceparent"), second.Get("traceparent"), "each call has a parent ID of its own")
		})
	}
}

// printable are the characters that a value of tracestate may have.
func printable() string {
	var b strings.Builder
	for c := '!'; c <= '~'; c++ {
		if c != ',' && c != '=' {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// The rows are what arrived behind two sidecars of real Envoys when a client had
// sent the same trace and span in the formats that are named.
func TestWithinOneTraceTheFresherHeaderWins(t *testing.T) {
	const (
		client = "00f067aa0ba902b7"
		before = "c0ffee0000000001" // the sidecar's span before the fresh one
		fresh  = "c0ffee0000000002"
	)
	tp := func(span string) string { return "traceparent: 00-" + inTrace + "-" + span + "-01" }
	multi := func(span, parent string) []string {
		lines := []string{"x-b3-traceid: " + inTrace, "x-b3-spanid: " + span, "x-b3-sampled: 1"}
		if parent != "" {
			lines = append(lines, "x-b3-parentspanid: "+parent)
		}
		return lines
	}
	single := func(span, parent string) string {
		if parent != "" {
			parent = "-" + parent
		}
		return "b3: " + inTrace + "-" + span + "-1" + parent
	}
	for name, row := range map[string]struct {
		in   []string
		want string
	}{
		"Zipkin's sidecars renewed x-b3-* beside traceparent":               {append(multi(fresh, before), tp(client)), fresh},
		"OpenTelemetry's sidecars renewed traceparent beside x-b3-*":        {append(multi(client, ""), tp(fresh)), fresh},
		"OpenTelemetry's sidecars renewed traceparent beside b3":            {[]string{single(client, ""), tp(fresh)}, fresh},
		"both renewed alike (USE_B3_WITH_W3C_PROPAGATION)":                  {append(multi(fresh, before), tp(fresh)), fresh},
		"Envoy up to 1.39 renewed x-b3-* beside b3":                         {append(multi(fresh, client), single(client, "")), fresh},
		"Envoy from 1.40 on renewed b3 beside x-b3-*":                       {append(multi(client, ""), single(fresh, before)), fresh},
		"Envoy up to 1.39 renewed x-b3-* beside b3 and traceparent":         {append(multi(fresh, client), single(client, ""), tp(client)), fresh},
		"Envoy from 1.40 on renewed b3 beside x-b3-* and traceparent":       {append(multi(client, ""), single(fresh, before), tp(client)), fresh},
		"OpenTelemetry's sidecars renewed traceparent beside b3 and x-b3-*": {append(multi(client, ""), single(client, ""), tp(fresh)), fresh},
		"x-b3-* of another trace came beside b3, with its span for parent":  {[]string{"x-b3-traceid: " + otherTrace, "x-b3-spanid: " + fresh, "x-b3-parentspanid: " + client, "x-b3-sampled: 1", single(client, "")}, client},
		"one format alone is as fresh as can be":                            {[]string{tp(client)}, client},
		"nobody renewed anything":                                           {append(multi(client, ""), single(client, ""), tp(client)), client},
	} {
		for order, families := range map[string]propagation.Families{
			"B3 first":  propagation.Of(propagation.B3, propagation.W3C),
			"W3C first": propagation.Of(propagation.W3C, propagation.B3),
		} {
			t.Run(name+", "+order, func(t *testing.T) {
				ctx := otelprop.Propagator{Families: families}.Extract(context.Background(), otelpropagation.HeaderCarrier(header(row.in...)))
				parent := trace.SpanContextFromContext(ctx)
				assert.Equal(t, inTrace, parent.TraceID().String())
				assert.Equal(t, row.want, parent.SpanID().String())
				assert.True(t, parent.IsSampled())
			})
		}
	}
	t.Run("between traces, the order of Families decides", func(t *testing.T) {
		in := header(append(multi(client, before), "traceparent: "+otherParent)...)
		for families, want := range map[propagation.Families]string{
			propagation.Of(propagation.B3, propagation.W3C): inTrace,
			propagation.Of(propagation.W3C, propagation.B3): otherTrace,
		} {
			ctx := otelprop.Propagator{Families: families}.Extract(context.Background(), otelpropagation.HeaderCarrier(in))
			assert.Equal(t, want, trace.SpanContextFromContext(ctx).TraceID().String())
		}
	})
	t.Run("of two decisions on one span, the order of Families decides", func(t *testing.T) {
		in := header("x-b3-traceid: "+inTrace, "x-b3-spanid: "+client, "x-b3-sampled: 0", tp(client))
		for families, want := range map[propagation.Families]bool{
			propagation.Of(propagation.B3, propagation.W3C): false,
			propagation.Of(propagation.W3C, propagation.B3): true,
		} {
			ctx := otelprop.Propagator{Families: families}.Extract(context.Background(), otelpropagation.HeaderCarrier(in))
			assert.Equal(t, want, trace.SpanContextFromContext(ctx).IsSampled(), families)
		}
	})
	t.Run("a decision that B3 leaves open is traceparent's", func(t *testing.T) {
		in := header("x-b3-traceid: "+inTrace, "x-b3-spanid: "+client, "traceparent: 00-"+inTrace+"-"+client+"-01")
		ctx := otelprop.Propagator{}.Extract(context.Background(), otelpropagation.HeaderCarrier(in))
		assert.True(t, trace.SpanContextFromContext(ctx).IsSampled())
	})
}
