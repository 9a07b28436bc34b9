package wire_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/internal/wire"
)

const (
	trace  = "463ac35c9f6413ad48485a3953bb6124"
	span   = "a2fb4a1d1a96d312"
	parent = "0020000000000001"
)

// The library's vectors of B3 hold for this reader too, which shares no code
// with the library.
func TestB3MeansWhatTheVectorsSay(t *testing.T) {
	for _, file := range []string{"b3.json", "more.json"} {
		b, err := os.ReadFile("../../propagation/testdata/" + file)
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
				assert.Equal(t, [3]string{v.Trace, v.Span, v.Parent}, [3]string{got.Trace, got.Span, zeroIsNone(got.Parent)}, "%s: %v", v.Why, h)
			}
		}
	}
}

func zeroIsNone(parent string) string {
	if strings.Trim(parent, "0") == "" {
		return ""
	}
	return parent
}

func TestFormatsAreReadAsTheirTracersWriteThem(t *testing.T) {
	tests := map[string]struct {
		headers string
		want    wire.Context
	}{
		"W3C, sampled":           {"traceparent: 00-" + trace + "-" + span + "-01", wire.Context{Format: wire.W3C, Trace: trace, Span: span, Decision: wire.Accepted}},
		"W3C, not sampled":       {"traceparent: 00-" + trace + "-" + span + "-00", wire.Context{Format: wire.W3C, Trace: trace, Span: span, Decision: wire.Denied}},
		"W3C of a later version": {"traceparent: cc-" + trace + "-" + span + "-01-more", wire.Context{Format: wire.W3C, Trace: trace, Span: span, Decision: wire.Accepted}},
		"Datadog with the upper half in a tag": {
			"x-datadog-trace-id: 5208512171318403364\nx-datadog-parent-id: 11744061942159299346\nx-datadog-sampling-priority: 2\nx-datadog-tags: _dd.p.dm=-4,_dd.p.tid=463ac35c9f6413ad",
			wire.Context{Format: wire.Datadog, Trace: trace, Span: span, Decision: wire.Accepted},
		},
		"Datadog, rejected by the user": {
			"x-datadog-trace-id: 5208512171318403364\nx-datadog-parent-id: 11744061942159299346\nx-datadog-sampling-priority: -1",
			wire.Context{Format: wire.Datadog, Trace: trace[16:], Span: span, Decision: wire.Denied},
		},
		"SkyWalking": {
			"sw8: 1-VFJBQ0VJRA==-U0VHTUVOVElE-3-c2VydmljZQ==-aW5zdGFuY2U=-L2VuZHBvaW50-ZXhhbXBsZS5jb206ODA=",
			wire.Context{Format: wire.SkyWalking, Trace: "TRACEID", Span: "SEGMENTID/3", Decision: wire.Accepted},
		},
		"Google Cloud":                {"x-cloud-trace-context: " + trace + "/11744061942159299346;o=1", wire.Context{Format: wire.GoogleCloud, Trace: trace, Span: span, Decision: wire.Accepted}},
		"Google Cloud without a span": {"x-cloud-trace-context: " + trace, wire.Context{Format: wire.GoogleCloud, Trace: trace}},
		"OpenCensus": {
			"grpc-trace-bin: AABGOsNcn2QTrUhIWjlTu2EkAaL7Sh0altMSAgE",
			wire.Context{Format: wire.GRPCTraceBin, Trace: trace, Span: span, Decision: wire.Accepted},
		},
		"X-Ray":                      {"x-amzn-trace-id: Root=1-463ac35c-9f6413ad48485a3953bb6124;Parent=" + span + ";Sampled=0", wire.Context{Format: wire.XRay, Trace: trace, Span: span, Decision: wire.Denied}},
		"X-Ray that does not decide": {"x-amzn-trace-id: Sampled=?; Root=1-463ac35c-9f6413ad48485a3953bb6124", wire.Context{Format: wire.XRay, Trace: trace}},
		"Jaeger, without zeros in front, debug": {
			"uber-trace-id: 63ac35c9f6413ad:b4a1d1a96d312:20000000000001:3",
			wire.Context{Format: wire.Jaeger, Trace: "063ac35c9f6413ad", Span: "000b4a1d1a96d312", Parent: "0020000000000001", Decision: wire.Debug},
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
		"all zeros":                  {"traceparent: 00-" + strings.Repeat("0", 32) + "-" + span + "-01", "is all zeros, which is no ID"},
		"a trace without a span":     {"x-b3-traceid: " + trace, "x-b3-traceid without x-b3-spanid names no place in a trace"},
		"a span without a trace":     {"x-b3-spanid: " + span, "x-b3-spanid without x-b3-traceid names no place in a trace"},
		"a repeated ID":              {"x-b3-traceid: " + trace + "\nx-b3-traceid: " + trace + "\nx-b3-spanid: " + span, "x-b3-traceid is there 2 times"},
		"a repeated b3":              {"b3: 0\nb3: 1", "b3 is there 2 times"},
		"an empty decision":          {"x-b3-sampled: ", "x-b3-sampled is empty, which Envoy reads as 0"},
		"a decision in words":        {"x-b3-sampled: yes", `x-b3-sampled "yes" is neither 0 nor 1`},
		"a version that is not":      {"traceparent: ff-" + trace + "-" + span + "-01", "is not 00-{trace}-{span}-{flags}"},
		"flags that are none":        {"traceparent: 00-" + trace + "-" + span + "-0g", "are not two hex digits"},
		"Datadog's ID in hex":        {"x-datadog-trace-id: " + trace[16:], "is no decimal number above 0 of 64 bits"},
		"Datadog's priority":         {"x-datadog-trace-id: 1\nx-datadog-sampling-priority: 3", "is not -1, 0, 1 or 2"},
		"SkyWalking of an older day": {"sw8: 1-a-b", "does not have eight fields"},
		"SkyWalking without base64":  {"sw8: 1-?-?-3-a-b-c-d", "has no IDs in base64"},
		"Google's span in hex":       {"x-cloud-trace-context: " + trace + "/" + span, "is no decimal number of 64 bits"},
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

func TestAUUIDHoldsAReasonAndNothingElseDoes(t *testing.T) {
	const id = "5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10"
	for _, reason := range "49abf1" {
		got, ok := wire.TraceReason(id[:14] + string(reason) + id[15:])
		assert.True(t, ok)
		assert.Equal(t, byte(reason), got)
	}
	for _, other := range []string{"", "abc", id + "0", id[:35], strings.ReplaceAll(id, "-", "0"), id[:35] + "g", id[:35] + "-", "5c1e3d0d-5a1e-9c4b-8a593-f5d7a2f7b10"} {
		_, ok := wire.TraceReason(other)
		assert.False(t, ok, other)
	}
}

func TestASidecarMayChangeAReasonAndNothingElse(t *testing.T) {
	const id = "5c1e3d0d-5a1e-4c4b-8a59-3f5d7a2f7b10"
	assert.True(t, wire.SameRequest(id, id))
	assert.True(t, wire.SameRequest(id, "5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10"))
	assert.True(t, wire.SameRequest("abc", "abc"))
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
		if _, ok := wire.TraceReason(first); ok && len(first) != 36 {
			t.Errorf("%q is a UUID", first)
		}
		if wire.SameRequest(first, second) && len(first) != len(second) {
			t.Errorf("%q and %q are of one request", first, second)
		}
		for _, c := range wire.Read(h) {
			if !c.HasIDs() || c.Format == wire.SkyWalking {
				continue
			}
			if n := len(c.Trace); n != 16 && n != 32 || len(c.Span) != 16 || strings.Trim(c.Trace+c.Span, "0123456789abcdef") != "" {
				t.Errorf("%q: %q says trace %q and span %q", name, first, c.Trace, c.Span)
			}
		}
	})
}
