package propagation_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/propagation"
)

func TestCollectReadsBackWhatAllYields(t *testing.T) {
	families := propagation.Istio().With(propagation.Baggage, propagation.Custom("end-user"))
	for name, in := range map[string]http.Header{
		"every value of a repeated header, in order": header("x-request-id: b", "x-request-id: a", "x-request-id: b", "tracestate: z=1", "tracestate: y=2", "end-user: jason"),
		"families in any order":                      header("end-user: jason", "baggage: a=1", "b3: 0", "x-request-id: r"),
		"nothing":                                    {},
	} {
		t.Run(name, func(t *testing.T) {
			h := families.Extract(in)
			assert.Equal(t, h, families.Collect(h.All()))
		})
	}
	t.Run("names in any case", func(t *testing.T) {
		h := families.Collect(maps.All(map[string]string{"X-REQUEST-ID": "r", "traceParent": "p", "B3": "0", "end-User": "jason", "Accept": "*/*"}))
		assert.Equal(t, header("x-request-id: r", "traceparent: p", "b3: 0", "end-user: jason"), inject(h))
	})
	t.Run("empty values do not count, as in Extract", func(t *testing.T) {
		in := header(append(strings.Split(strings.Repeat("\nbaggage: ", 66), "\n")[1:], "baggage: a=b")...)
		h := families.Collect(func(yield func(string, string) bool) {
			for _, value := range in["Baggage"] {
				if !yield("baggage", value) {
					return
				}
			}
		})
		assert.Equal(t, header("baggage: a=b"), inject(h))
		assert.Equal(t, families.Extract(in), h)
	})
	t.Run("what Extract leaves out is left out", func(t *testing.T) {
		h := families.Collect(func(yield func(string, string) bool) {
			for range 1000 {
				if !yield("baggage", "a=1") {
					return
				}
			}
			_ = yield("x-b3-traceid", "t\x00") && yield("x-b3-spanid", "s") && yield("x-b3-sampled", "") && yield("x-request-id", "r")
		})
		assert.Equal(t, header("x-request-id: r"), inject(h))
	})
}

func TestReceiveAsksForLowerCaseNamesAndKeepsOuterFamilies(t *testing.T) {
	outer := propagation.NewContext(context.Background(), propagation.Of(propagation.Custom("end-user")).Extract(header("end-user: jason")))
	var asked []string
	metadata := map[string][]string{"x-request-id": {"r", "q"}, "tracestate": {"a=1"}}
	ctx := propagation.Istio().Receive(outer, func(name string) []string {
		asked = append(asked, name)
		return metadata[name]
	})
	assert.Equal(t, propagation.Istio().Names(), asked)
	assert.Equal(t, header("x-request-id: r", "x-request-id: q", "tracestate: a=1", "end-user: jason"), inject(propagation.FromContext(ctx)))

	t.Run("with nothing to receive the context is the same, at no allocation", func(t *testing.T) {
		nothing := func(string) []string { return nil }
		assert.Equal(t, outer, propagation.Istio().Receive(outer, nothing))
		assert.Zero(t, testing.AllocsPerRun(100, func() { propagation.Istio().Receive(outer, nothing) }))
	})
}

// reused makes a string of a buffer that is written again, as fasthttp's are.
func reused(value string) (shared string, overwrite func()) {
	buffer := []byte(value)
	return unsafe.String(&buffer[0], len(buffer)), func() { copy(buffer, strings.Repeat("x", len(buffer))) }
}

func TestASnapshotSharesNoMemoryThatItsOwnerReuses(t *testing.T) {
	const id = "5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10"
	for name, take := range map[string]func(value string) propagation.Headers{
		"Collect": func(value string) propagation.Headers {
			return propagation.Istio().Collect(maps.All(map[string]string{"x-request-id": value}))
		},
		"Incoming, behind an adaptor that is not net/http's server": func(value string) propagation.Headers {
			return propagation.FromContext(propagation.Istio().Incoming(httptestRequest("x-request-id", value)).Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			value, overwrite := reused(id)
			h := take(value)
			overwrite()
			assert.Equal(t, id, h.Get("x-request-id"))
		})
	}
	t.Run("behind net/http's server, whose strings never change, there is no copy", func(t *testing.T) {
		value, overwrite := reused(id)
		r := httptestRequest("x-request-id", value)
		r = r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, &http.Server{}))
		h := propagation.FromContext(propagation.Istio().Incoming(r).Context())
		overwrite()
		assert.NotEqual(t, id, h.Get("x-request-id"))
	})
}

func TestCheckTellsWhatIsLeftOutAndWhy(t *testing.T) {
	families := propagation.Istio().With(propagation.Baggage, propagation.GRPCTraceBin)
	for name, row := range map[string]struct {
		in   http.Header
		want string
	}{
		"nothing is wrong with nothing":              {in: http.Header{}},
		"nor with good headers":                      {in: header("x-request-id: r", "b3: 0", "tracestate: a=1", "baggage: a=1", "grpc-trace-bin: AAE")},
		"nor with empty ones, which are never sent":  {in: header("x-b3-sampled: ", "tracestate: ")},
		"nor with what no family has":                {in: header("accept: \x00")},
		"a control character":                        {in: header("x-b3-traceid: t\x01", "x-b3-spanid: s"), want: "B3 is dropped: x-b3-traceid has a control character, which no HTTP client sends"},
		"tracestate alone":                           {in: header("traceparent: p", "tracestate: \x01"), want: "tracestate is dropped: tracestate has a control character, which no HTTP client sends"},
		"too many bytes":                             {in: header("baggage: " + strings.Repeat("x", 8193)), want: "Baggage is dropped: baggage brings the family to more than 8192 bytes"},
		"too many lines":                             {in: header(strings.Split(strings.Repeat("\nbaggage: a=1", 65), "\n")[1:]...), want: "Baggage is dropped: baggage brings the family to more than 64 lines"},
		"what is no base64":                          {in: header("grpc-trace-bin: $$$"), want: "GRPCTraceBin is dropped: grpc-trace-bin is not base64, for which a gRPC server refuses the call"},
		"several families, each with its own reason": {in: header("x-request-id: \x7f", "b3: \x7f"), want: "RequestID is dropped: x-request-id has a control character, which no HTTP client sends\nB3 is dropped: b3 has a control character, which no HTTP client sends"},
	} {
		t.Run(name, func(t *testing.T) {
			err := families.Check(row.in)
			if row.want == "" {
				assert.NoError(t, err)
				assert.Equal(t, inject(families.Extract(sendable(row.in))), inject(families.Extract(row.in)))
			} else {
				require.EqualError(t, err, row.want)
			}
		})
	}
}

func TestGRPCTraceBinIsLeftOutUnlessItIsBase64(t *testing.T) {
	for value, want := range map[string]bool{
		"AAE": true, "AAE=": true, "AAECAw": true, "AAECAw==": true, "AAE,AAE=": true, "AAE, AAECAw==": true,
		"$$$": false, "AA=": false, "A": false, "AA_-": false, "AAE,$": false, "AAE==": false,
	} {
		h := propagation.Of(propagation.GRPCTraceBin, propagation.RequestID).Extract(http.Header{"Grpc-Trace-Bin": {value}, "X-Request-Id": {"r"}})
		assert.Equal(t, want, h.Get("grpc-trace-bin") == value, value)
		assert.Equal(t, "r", h.Get("x-request-id"))
	}
}

func TestMissingIsWhatACarrierHasNoHeaderOfTheFamilyOf(t *testing.T) {
	h := propagation.Istio().Extract(header("x-request-id: r", "x-b3-sampled: 1", "traceparent: p", "tracestate: a=1"))
	for name, row := range map[string]struct {
		has  []string
		want []string
	}{
		"all, of an empty carrier":                     {want: []string{"x-request-id: r", "x-b3-sampled: 1", "traceparent: p", "tracestate: a=1"}},
		"no family of which it has any":                {has: []string{"tracestate"}, want: []string{"x-request-id: r", "x-b3-sampled: 1"}},
		"also where that header did not come in":       {has: []string{"b3"}, want: []string{"x-request-id: r", "traceparent: p", "tracestate: a=1"}},
		"none, where it has all":                       {has: []string{"b3", "x-request-id", "traceparent"}},
		"what nobody relays stands in the way of none": {has: []string{"accept"}, want: []string{"x-request-id: r", "x-b3-sampled: 1", "traceparent: p", "tracestate: a=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			has := map[string]bool{}
			for _, name := range row.has {
				has[name] = true
			}
			missing := h.Missing(func(name string) bool { return has[name] })
			assert.Equal(t, header(row.want...), inject(missing))
		})
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { h.Missing(func(string) bool { return false }) }), "nothing is left out, and nothing copied")
}

func TestOnlyNarrowsByName(t *testing.T) {
	h := propagation.Istio().With(propagation.Custom("end-user")).Extract(header("x-request-id: r", "b3: 0", "end-user: jason", "tracestate: a=1", "tracestate: b=2"))
	assert.Equal(t, header("x-request-id: r", "tracestate: a=1", "tracestate: b=2"), inject(h.Only(propagation.Of(propagation.W3C, propagation.RequestID))))
	assert.Equal(t, header("end-user: jason"), inject(h.Only(propagation.Of(propagation.Custom("End-User")))))
	assert.Empty(t, inject(h.Only(propagation.Of())))
	assert.Equal(t, h, h.Only(propagation.Istio().With(propagation.Custom("end-user"))))
}

func TestValuesAreTheCallersAndInOrder(t *testing.T) {
	h := propagation.Istio().Extract(header("tracestate: b=1", "tracestate: a=2", "b3: 0"))
	assert.Equal(t, []string{"b=1", "a=2"}, h.Values("TraceState"))
	assert.Nil(t, h.Values("x-request-id"))
	h.Values("b3")[0] = "changed"
	assert.Equal(t, []string{"0"}, h.Values("b3"))
}

func TestAListTellsWhatItRelays(t *testing.T) {
	families := propagation.Istio().With(propagation.B3, propagation.Custom("End-User", "x-tenant"), propagation.Family{})
	assert.Equal(t, "RequestID, B3, W3C, OTSpanContext, Custom(end-user, x-tenant)", fmt.Sprint(families))
	assert.Equal(t, []string{
		"x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "b3",
		"traceparent", "tracestate", "x-ot-span-context", "end-user", "x-tenant",
	}, families.Names())
	assert.Equal(t, families.String(), families.With(propagation.Custom("x-tenant"), propagation.B3).String(), "what it has already")
	assert.Equal(t, "RequestID, B3, W3C, OTSpanContext", fmt.Sprint(propagation.Families{}))
	assert.Empty(t, propagation.Of().String())
	assert.Empty(t, propagation.Of().Names())
	families.Names()[0] = "changed"
	assert.Equal(t, "x-request-id", families.Names()[0])
}

func TestAFamilyTellsItsName(t *testing.T) {
	assert.Equal(t, "B3", fmt.Sprint(propagation.B3))
	assert.Equal(t, "Custom(end-user)", fmt.Sprint(propagation.Custom("End-User")))
	assert.Equal(t, "[RequestID W3C]", fmt.Sprint([]propagation.Family{propagation.RequestID, propagation.W3C}))
	assert.Empty(t, fmt.Sprint(propagation.Family{}))
}

// FuzzCollect checks that what a snapshot yields reads back as the snapshot.
func FuzzCollect(f *testing.F) {
	f.Add("x-request-id: r\nx-b3-traceid: t\ntracestate: a=1\ntracestate: b=2\nGRPC-Trace-Bin: AAE")
	f.Add("baggage: \x00\nb3: 0\nb3: 1")
	families := propagation.Istio().With(propagation.Baggage, propagation.GRPCTraceBin, propagation.Custom("end-user"))
	f.Fuzz(func(t *testing.T, lines string) {
		in := header(strings.Split(lines, "\n")...)
		h := families.Extract(in)
		require.Equal(t, inject(h), inject(families.Collect(h.All())))
		require.Equal(t, families.Check(in) == nil, len(inject(h)) == len(known(families, sendable(in))))
	})
}

// known returns what h has of the families.
func known(families propagation.Families, h http.Header) http.Header {
	out := http.Header{}
	for _, name := range families.Names() {
		if values := h.Values(name); len(values) > 0 {
			out[http.CanonicalHeaderKey(name)] = values
		}
	}
	return out
}
