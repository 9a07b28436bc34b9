package wire_test

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/internal/wire"
)

const (
	trace  = "463ac35c9f6413ad48485a3953bb6124"
	span   = "a2fb4a1d1a96d312"
	parent = "0020000000000001"
)

// The vectors are the library's too, which shares no code with this reader.
func TestB3MeansWhatTheVectorsSay(t *testing.T) {
	for _, file := range []string{"b3.json", "b3-more.json"} {
		b, err := os.ReadFile("testdata/" + file)
		require.NoError(t, err)
		var doc struct {
			Vectors []struct {
				Headers map[string]any
				Kind    string
				State   string
				Trace   string
				Span    string
				Parent  string
				Why     string
			}
		}
		require.NoError(t, json.Unmarshal(b, &doc))
		require.NotEmpty(t, doc.Vectors)
		for _, v := range doc.Vectors {
			h := make(http.Header)
			for name, value := range v.Headers {
				switch value := value.(type) {
				case string:
					h.Add(name, value)
				case []any:
					for _, s := range value {
						h.Add(name, s.(string))
					}
				}
			}
			// b3 is believed before x-b3-* if it can be read.
			var got wire.Context
			for _, c := range wire.Read(h) {
				if c.Err == nil && (c.Format == wire.B3Multi && got.Format == "" || c.Format == wire.B3Single) {
					got = c
				}
			}
			kind := "none"
			switch {
			case got.HasIDs():
				kind = "ids"
			case got.Decision != wire.Deferred:
				kind = "sampling"
			}
			if !assert.Equal(t, v.Kind, kind, "%s: %v", v.Why, h) || kind == "none" {
				continue
			}
			state := map[wire.Decision]string{wire.Deferred: "defer", wire.Denied: "deny", wire.Accepted: "accept", wire.Debug: "debug"}[got.Decision]
			assert.Equal(t, v.State, state, "%s: %v", v.Why, h)
			if kind == "ids" {
				assert.Equal(t, len(v.Trace), got.Digits, "%s: %v", v.Why, h)
				assert.Equal(t, [3]string{wire.Pad(v.Trace), v.Span, v.Parent}, [3]string{got.Trace, got.Span, got.Parent}, "%s: %v", v.Why, h)
			}
		}
	}
}

func TestW3CMeansWhatTheVectorsSay(t *testing.T) {
	b, err := os.ReadFile("testdata/w3c.json")
	require.NoError(t, err)
	var doc struct {
		Vectors []struct {
			Traceparent, Tracestate []string
			Kind                    string
			Trace, Span             string
			Sampled, Random         bool
			TracestateKept          bool `json:"tracestate_kept"`
			Why                     string
		}
	}
	require.NoError(t, json.Unmarshal(b, &doc))
	require.Len(t, doc.Vectors, 65)
	for _, v := range doc.Vectors {
		got := wire.Read(http.Header{"Traceparent": v.Traceparent, "Tracestate": v.Tracestate})
		require.Len(t, got, 1)
		c := got[0]
		if !assert.Equal(t, v.Kind == "ids", c.HasIDs(), "%s: %q: %v", v.Why, v.Traceparent, c.Err) || v.Kind == "none" {
			continue
		}
		assert.Equal(t, wire.Context{
			Format: wire.W3C, Trace: v.Trace, Digits: 32, Span: v.Span, Random: v.Random,
			Decision: map[bool]wire.Decision{false: wire.Denied, true: wire.Accepted}[v.Sampled],
			State:    c.State, StateErr: c.StateErr,
		}, c, v.Why)
		if len(v.Tracestate) > 0 {
			assert.Equal(t, v.TracestateKept, c.StateErr == nil, "%s: %.60q: %v", v.Why, v.Tracestate, c.StateErr)
		}
	}
}

func TestFormatsAreReadAsTheirTracersWriteThem(t *testing.T) {
	tests := map[string]struct {
		headers string
		want    wire.Context
	}{
		"W3C, sampled":           {"traceparent: 00-" + trace + "-" + span + "-01", wire.Context{Format: wire.W3C, Trace: trace, Digits: 32, Span: span, Decision: wire.Accepted}},
		"W3C, not sampled":       {"traceparent: 00-" + trace + "-" + span + "-00", wire.Context{Format: wire.W3C, Trace: trace, Digits: 32, Span: span, Decision: wire.Denied}},
		"W3C of a later version": {"traceparent: cc-" + trace + "-" + span + "-01-more", wire.Context{Format: wire.W3C, Trace: trace, Digits: 32, Span: span, Decision: wire.Accepted}},
		"Datadog with the upper half in a tag": {
			"x-datadog-trace-id: 5208512171318403364\nx-datadog-parent-id: 11744061942159299346\nx-datadog-sampling-priority: 2\nx-datadog-tags: _dd.p.dm=-4,_dd.p.tid=463ac35c9f6413ad",
			wire.Context{Format: wire.Datadog, Trace: trace, Digits: 32, Span: span, Decision: wire.Accepted, State: []wire.Member{{Header: "x-datadog-tags", Key: "_dd.p.dm", Value: "-4"}}},
		},
		"Datadog, rejected by the user": {
			"x-datadog-trace-id: 5208512171318403364\nx-datadog-parent-id: 11744061942159299346\nx-datadog-sampling-priority: -1",
			wire.Context{Format: wire.Datadog, Trace: wire.Pad(trace[16:]), Digits: 16, Span: span, Decision: wire.Denied},
		},
		"SkyWalking": {
			"sw8: 1-VFJBQ0VJRA==-U0VHTUVOVElE-3-c2VydmljZQ==-aW5zdGFuY2U=-L2VuZHBvaW50-ZXhhbXBsZS5jb206ODA=",
			wire.Context{Format: wire.SkyWalking, Trace: "TRACEID", Span: "SEGMENTID/3", Decision: wire.Accepted},
		},
		"Google Cloud":                {"x-cloud-trace-context: " + trace + "/11744061942159299346;o=1", wire.Context{Format: wire.GoogleCloud, Trace: trace, Digits: 32, Span: span, Decision: wire.Accepted}},
		"Google Cloud without a span": {"x-cloud-trace-context: " + trace, wire.Context{Format: wire.GoogleCloud, Trace: trace, Digits: 32}},
		"OpenCensus": {
			"grpc-trace-bin: AABGOsNcn2QTrUhIWjlTu2EkAaL7Sh0altMSAgE",
			wire.Context{Format: wire.GRPCTraceBin, Trace: trace, Digits: 32, Span: span, Decision: wire.Accepted},
		},
		"X-Ray":                      {"x-amzn-trace-id: Root=1-463ac35c-9f6413ad48485a3953bb6124;Parent=" + span + ";Sampled=0", wire.Context{Format: wire.XRay, Trace: trace, Digits: 32, Span: span, Decision: wire.Denied}},
		"X-Ray that does not decide": {"x-amzn-trace-id: Sampled=?; Root=1-463ac35c-9f6413ad48485a3953bb6124", wire.Context{Format: wire.XRay, Trace: trace, Digits: 32}},
		"W3C with a random ID and state, in order": {
			"traceparent: 00-" + trace + "-" + span + "-03\ntracestate: rojo=1 , \tcongo=2\ntracestate:\ntracestate: 0a@b=3",
			wire.Context{Format: wire.W3C, Trace: trace, Digits: 32, Span: span, Decision: wire.Accepted, Random: true, State: []wire.Member{
				{Header: "tracestate", Key: "rojo", Value: "1"}, {Header: "tracestate", Key: "congo", Value: "2"}, {Header: "tracestate", Key: "0a@b", Value: "3"},
			}},
		},
		"Datadog from a browser, with an origin and no parent": {
			"x-datadog-trace-id: 5208512171318403364\nx-datadog-parent-id: 0\nx-datadog-sampling-priority: 9\nx-datadog-origin: rum",
			wire.Context{Format: wire.Datadog, Trace: wire.Pad(trace[16:]), Digits: 16, Decision: wire.Accepted, State: []wire.Member{{Header: "x-datadog-origin", Value: "rum"}}},
		},
		"SkyWalking, not sampled, with baggage and extensions": {
			"sw8: 0-VFJBQ0VJRA-U0VHTUVOVElE-3-a-b-c-d\nsw8-correlation: dXNlcg==:QW1lbGll,YQ==:\nsw8-x: 0-1",
			wire.Context{Format: wire.SkyWalking, Trace: "TRACEID", Span: "SEGMENTID/3", Decision: wire.Denied, State: []wire.Member{
				{Header: "sw8-correlation", Key: "a"}, {Header: "sw8-correlation", Key: "user", Value: "Amelie"}, {Header: "sw8-x", Value: "0-1"},
			}},
		},
		"X-Ray with a balancer's own and fields of others": {
			"x-amzn-trace-id: Self=1-67891234-12456789abcdef012345678;Sampled=1;Root=1-463ac35c-9f6413ad48485a3953bb6124;Parent=" + span + ";Lineage=a87bd80c:1;CalledFrom=app",
			wire.Context{Format: wire.XRay, Trace: trace, Digits: 32, Span: span, Decision: wire.Accepted, State: []wire.Member{
				{Header: "x-amzn-trace-id", Key: "CalledFrom", Value: "app"}, {Header: "x-amzn-trace-id", Key: "Lineage", Value: "a87bd80c:1"},
			}},
		},
		"Jaeger, percent-encoded, with baggage": {
			"uber-trace-id: " + trace + "%3A" + span + "%3a0%3A01\nuberctx-user: Am%C3%A9lie+B",
			wire.Context{Format: wire.Jaeger, Trace: trace, Digits: 32, Span: span, Decision: wire.Accepted, State: []wire.Member{{Header: "uberctx-user", Value: "Amélie B"}}},
		},
		"Jaeger, without zeros in front, debug": {
			"uber-trace-id: 63ac35c9f6413ad:b4a1d1a96d312:20000000000001:3",
			wire.Context{Format: wire.Jaeger, Trace: "0000000000000000063ac35c9f6413ad", Digits: 15, Span: "000b4a1d1a96d312", Parent: "0020000000000001", Decision: wire.Debug},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, []wire.Context{test.want}, wire.Read(header(test.headers)))
		})
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	tests := map[string]struct{ headers, want string }{
		"upper case":                 {"x-b3-traceid: " + strings.ToUpper(trace) + "\nx-b3-spanid: " + span, "is in upper case; it must be in lower case"},
		"a digit too few":            {"b3: " + trace[1:] + "-" + span, "has 31 digits; it must have 16 or 32"},
		"not hex":                    {"b3: " + trace[1:] + "g-" + span, "is not in hex digits"},
		"all zeros":                  {"traceparent: 00-" + strings.Repeat("0", 32) + "-" + span + "-01", "is all zeros, which is not an ID"},
		"a trace without a span":     {"x-b3-traceid: " + trace, "x-b3-traceid without x-b3-spanid names no place in a trace"},
		"a span without a trace":     {"x-b3-spanid: " + span, "x-b3-spanid without x-b3-traceid names no place in a trace"},
		"a repeated ID":              {"x-b3-traceid: " + trace + "\nx-b3-traceid: " + trace + "\nx-b3-spanid: " + span, "x-b3-traceid is there 2 times"},
		"a repeated b3":              {"b3: 0\nb3: 1", "b3 is there 2 times"},
		"an empty decision":          {"x-b3-sampled: ", "x-b3-sampled is empty, which Envoy reads as 0"},
		"a decision in words":        {"x-b3-sampled: yes", `x-b3-sampled "yes" is neither 0 nor 1`},
		"a version that is not":      {"traceparent: ff-" + trace + "-" + span + "-01", "version ff is forbidden"},
		"a fifth field":              {"traceparent: 00-" + trace + "-" + span + "-01-x", "goes on after its flags; in version 00 it has 55 characters"},
		"flags that are none":        {"traceparent: 00-" + trace + "-" + span + "-0g", "are not two hex digits"},
		"Datadog's ID in hex":        {"x-datadog-trace-id: " + trace[16:], "is not a decimal number of 64 bits"},
		"Datadog's priority":         {"x-datadog-trace-id: 1\nx-datadog-sampling-priority: no", "is not a whole number"},
		"Datadog's zero":             {"x-datadog-trace-id: 0\nx-datadog-parent-id: 1", "x-datadog-trace-id is 0"},
		"Datadog's parent alone":     {"x-datadog-parent-id: 1", "without x-datadog-trace-id names no place"},
		"Google's options":           {"x-cloud-trace-context: " + trace + "/1;o=yes", "are not o=0 or o=1"},
		"X-Ray's decision":           {"x-amzn-trace-id: Root=1-463ac35c-9f6413ad48485a3953bb6124;Sampled=yes", "is not 0, 1 or ?"},
		"X-Ray's second root":        {"x-amzn-trace-id: Root=1-463ac35c-9f6413ad48485a3953bb6124;Root=1-463ac35c-9f6413ad48485a3953bb6124", "has Root twice"},
		"Jaeger's long flags":        {"uber-trace-id: 1:2:0:001", "are not a byte in hex"},
		"SkyWalking of an older day": {"sw8: 1-a-b", "does not have eight fields"},
		"SkyWalking without base64":  {"sw8: 1-?-?-3-a-b-c-d", "has no IDs in base64"},
		"Google's span in hex":       {"x-cloud-trace-context: " + trace + "/" + span, "is not a decimal number of 64 bits"},
		"OpenCensus cut short":       {"grpc-trace-bin: AABGOsNcn2Q", "is not a span context of OpenCensus"},
		"X-Ray without a root":       {"x-amzn-trace-id: Self=1", "has no Root="},
		"Jaeger without flags":       {"uber-trace-id: 1:2:3", "is not {trace}:{span}:{parent}:{flags}"},
		"Jaeger's zero trace":        {"uber-trace-id: 0:1:0:1", "is all zeros"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := wire.Read(header(test.headers))
			require.Len(t, got, 1)
			assert.ErrorContains(t, got[0].Err, test.want)
			assert.False(t, got[0].HasIDs())
		})
	}
}

func TestWhatIsWrongWithStateSpoilsNoPosition(t *testing.T) {
	tests := map[string]struct{ headers, want string }{
		"a key in upper case":         {"traceparent: 00-" + trace + "-" + span + "-01\ntracestate: Congo=1,rojo=2", `key "Congo" is not made of a to z`},
		"33 members":                  {"traceparent: 00-" + trace + "-" + span + "-01\ntracestate: a=1" + strings.Repeat(",a=1", 32), "has 33 members; at most 32"},
		"a long key":                  {"traceparent: 00-" + trace + "-" + span + "-01\ntracestate: " + strings.Repeat("a", 257) + "=1", "has 257 characters; at most 256"},
		"a tag that is none":          {"x-datadog-trace-id: 1\nx-datadog-parent-id: 1\nx-datadog-tags: a", "is not {key}={value}"},
		"an upper half that is none":  {"x-datadog-trace-id: 1\nx-datadog-parent-id: 1\nx-datadog-tags: _dd.p.tid=1", "_dd.p.tid \"1\" has 1 digits"},
		"a correlation without colon": {"sw8: 1-VFJBQ0VJRA==-U0VHTUVOVElE-3-a-b-c-d\nsw8-correlation: dXNlcg==", "is not {key}:{value} in base64"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := wire.Read(header(test.headers))
			require.Len(t, got, 1)
			assert.True(t, got[0].HasIDs(), "%v", got[0].Err)
			assert.ErrorContains(t, got[0].StateErr, test.want)
		})
	}
}

func TestAKeyThatIsThereTwiceIsNamed(t *testing.T) {
	state, err := wire.Tracestate([]string{"rojo=1,congo=2", "rojo=3,rojo=4"})
	require.NoError(t, err)
	assert.Equal(t, []string{"rojo"}, wire.Repeated(state))
	assert.Empty(t, wire.Repeated(state[:2]))
	assert.Empty(t, wire.Repeated([]wire.Member{{Header: "uberctx-a"}, {Header: "uberctx-b"}}))
}

func TestBaggageIsASetOfDecodedMembers(t *testing.T) {
	read := func(lines ...string) []wire.Member {
		members, err := wire.Baggage(lines)
		require.NoError(t, err)
		return members
	}
	want := []wire.Member{{Header: "baggage", Key: "serverNode", Value: "DF 28", Properties: "p=1;q"}, {Header: "baggage", Key: "userId", Value: "Amélie"}}
	assert.Equal(t, want, read("userId=Am%C3%A9lie,serverNode=DF%2028;p=1;q"))
	assert.Equal(t, want, read("serverNode = DF%2028 ; p = 1 ; q", "", "userId=%41m%c3%a9lie"), "order, lines, blanks and needless encoding")
	assert.NotEqual(t, want, read("userId=Am%C3%A9lie,serverNode=DF+28;p=1;q"), "a plus is a plus")
	assert.NotEqual(t, want, read("userId=Am%C3%A9lie,serverNode=DF%2028%3Bp%3D1;q"), "a property is no part of the value")
	for _, wrong := range []string{"a", "a b=1", "=1", "a=b c", "a=\"b\"", "a=é"} {
		members, err := wire.Baggage([]string{wrong + ",b=1"})
		assert.Error(t, err, wrong)
		assert.Equal(t, []wire.Member{{Header: "baggage", Key: "b", Value: "1"}}, members, wrong)
	}
}

func TestAnIDAsLongAsAUUIDHoldsAReasonAndNoOtherDoes(t *testing.T) {
	const id = "5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10"
	for _, reason := range "49abf1z" {
		got, ok := wire.TraceReason(id[:14] + string(reason) + id[15:])
		assert.True(t, ok)
		assert.Equal(t, byte(reason), got)
	}
	for _, other := range []string{"", "abc", id + "0", id[:35], strings.ReplaceAll(id, "-", "")} {
		_, ok := wire.TraceReason(other)
		assert.False(t, ok, other)
		assert.False(t, wire.IsUUID(other), other)
	}
	assert.True(t, wire.IsUUID(id))
	assert.True(t, wire.IsUUID(strings.ToUpper(id)))
	for _, other := range []string{strings.ReplaceAll(id, "-", "0"), id[:35] + "g", id[:35] + "-", "5c1e3d0d-5a1e-9c4b-8a593-f5d7a2f7b10"} {
		assert.False(t, wire.IsUUID(other), other)
	}
}

func TestASidecarMayChangeAReasonAndNothingElse(t *testing.T) {
	const id = "5c1e3d0d-5a1e-4c4b-8a59-3f5d7a2f7b10"
	assert.True(t, wire.SameRequest(id, id))
	assert.True(t, wire.SameRequest(id, "5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10"))
	assert.True(t, wire.SameRequest("abc", "abc"))
	assert.True(t, wire.SameRequest("12345678zzzzzzzzzzzzzzzzzzzzzzzzzzzz", "12345678zzzzzz9zzzzzzzzzzzzzzzzzzzzz"), "Envoy looks at no more than the length")
	assert.False(t, wire.SameRequest(id, "5c1e3d0d-5a1e-4c4b-8a59-3f5d7a2f7b11"))
	assert.False(t, wire.SameRequest(id, "5c1e3d0e-5a1e-4c4b-8a59-3f5d7a2f7b10"))
	assert.False(t, wire.SameRequest("abc", "abd"))
}

func header(lines string) http.Header {
	h := make(http.Header)
	for line := range strings.SplitSeq(lines, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

// No input makes a reader panic, or say that it can read IDs that are none.
func FuzzRead(f *testing.F) {
	for _, seed := range [][2]string{
		{"b3", trace + "-" + span + "-1-" + parent}, {"x-b3-traceid", trace}, {"traceparent", "00-" + trace + "-" + span + "-01"},
		{"x-datadog-trace-id", "5208512171318403364"}, {"sw8", "1-VFJBQ0VJRA==-U0VHTUVOVElE-3-a-b-c-d"},
		{"x-cloud-trace-context", trace + "/1;o=1"}, {"grpc-trace-bin", "AABGOsNcn2QTrUhIWjlTu2EkAaL7Sh0altMSAgE"},
		{"x-amzn-trace-id", "Root=1-463ac35c-9f6413ad48485a3953bb6124;Parent=" + span}, {"uber-trace-id", "1:2:3:4"},
		{"x-request-id", "5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10"},
	} {
		f.Add(seed[0], seed[1], seed[1])
	}
	f.Fuzz(func(t *testing.T, name, first, second string) {
		h := make(http.Header)
		h.Add(name, first)
		if second != first {
			h.Add(name, second)
		}
		h.Add("x-b3-spanid", span)
		for _, c := range wire.Read(h) {
			if !c.HasIDs() || c.Format == wire.SkyWalking {
				continue
			}
			if len(c.Trace) != 32 || c.Digits < 1 || c.Digits > 32 || len(c.Span) != 16 || strings.Trim(c.Trace+c.Span, "0123456789abcdef") != "" || c.Trace == wire.Pad("0") {
				t.Errorf("%q: %q says trace %q of %d digits and span %q", name, first, c.Trace, c.Digits, c.Span)
			}
		}
	})
}

// What is read of tracestate can be written and read again as the same, and
// keeps to the limits.
func FuzzTracestate(f *testing.F) {
	f.Add("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "0a@b= x")
	f.Add("foo=1 \t , \t bar=2,", "foo==")
	f.Fuzz(func(t *testing.T, first, second string) {
		state, err := wire.Tracestate([]string{first, second})
		var pairs []string
		for _, m := range state {
			if len(m.Key) > 256 || len(m.Value) > 256 || m.Value == "" {
				t.Errorf("%q: member %q", first, m)
			}
			pairs = append(pairs, m.Key+"="+m.Value)
		}
		again, err2 := wire.Tracestate([]string{strings.Join(pairs, ",")})
		if !slices.Equal(state, again) || err == nil && err2 != nil {
			t.Errorf("%q, %q: %q and then %q, %v", first, second, state, again, err2)
		}
		if err == nil && len(state) > 32 {
			t.Errorf("%q: %d members", first, len(state))
		}
	})
}

// The order of baggage's lines says nothing.
func FuzzBaggage(f *testing.F) {
	f.Add("userId=Am%C3%A9lie,serverNode=DF%2028;p=1", "a = b ; c")
	f.Add("a=%zz,b=%ff", "=")
	f.Fuzz(func(t *testing.T, first, second string) {
		one, err1 := wire.Baggage([]string{first, second})
		other, err2 := wire.Baggage([]string{second, first})
		if !slices.Equal(one, other) || (err1 == nil) != (err2 == nil) {
			t.Errorf("%q, %q: %q and %q, %v and %v", first, second, one, other, err1, err2)
		}
		for _, m := range one {
			if !utf8.ValidString(m.Value) && utf8.ValidString(first+second) {
				t.Errorf("%q, %q: value %q", first, second, m.Value)
			}
		}
	})
}

func FuzzRequestID(f *testing.F) {
	f.Add("5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10", "5c1e3d0d-5a1e-4c4b-8a59-3f5d7a2f7b10")
	f.Fuzz(func(t *testing.T, a, b string) {
		if _, ok := wire.TraceReason(a); ok != (len(a) == 36) || wire.IsUUID(a) && !ok {
			t.Errorf("%q: %v", a, ok)
		}
		same := wire.SameRequest(a, b)
		if same != wire.SameRequest(b, a) || same && len(a) != len(b) || !wire.SameRequest(a, a) {
			t.Errorf("%q and %q: %v", a, b, same)
		}
	})
}
