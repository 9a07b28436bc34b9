package propagation_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/propagation"
)

// header makes a header of "name: value" lines.
func header(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

// sendable is the header without the values that net/http would send empty.
func sendable(h http.Header) http.Header {
	out := http.Header{}
	for name, values := range h {
		for _, value := range values {
			if strings.Trim(value, " \t") != "" {
				out.Add(name, value)
			}
		}
	}
	return out
}

func inject(h propagation.Headers) http.Header {
	out := http.Header{}
	h.Inject(out)
	return out
}

func TestValuesAreRelayedByteForByteEveryValueOfARepeatedHeaderInOrder(t *testing.T) {
	everything := propagation.Of(propagation.RequestID, propagation.B3, propagation.W3C, propagation.OTSpanContext,
		propagation.Baggage, propagation.Datadog, propagation.SkyWalking, propagation.GoogleCloud,
		propagation.GRPCTraceBin, propagation.XRay, propagation.Jaeger, propagation.Custom("end-user"))
	all := http.Header{}
	for i, name := range everything.Names() {
		all[http.CanonicalHeaderKey(name)] = []string{fmt.Sprint("Value of ", name), strings.Repeat("x", i+1)}
	}
	all["Grpc-Trace-Bin"] = []string{"AAAx", "AA==,AAE"}
	require.Len(t, all, 24)

	for name, row := range map[string]struct {
		families propagation.Families
		in, out  http.Header
	}{
		"the zero Families relays what Istio's sidecars speak, and nothing else": {
			in: http.Header{
				"X-Request-Id": {"r"}, "X-B3-Traceid": {"t"}, "B3": {"b"}, "Traceparent": {"p"}, "X-Ot-Span-Context": {"o"},
				"Baggage": {"k=v"}, "Authorization": {"secret"}, "Uber-Trace-Id": {"u"}, "X-Datadog-Trace-Id": {"1"},
			},
			out: http.Header{
				"X-Request-Id": {"r"}, "X-B3-Traceid": {"t"}, "B3": {"b"}, "Traceparent": {"p"}, "X-Ot-Span-Context": {"o"},
			},
		},
		"every header of every family, twice": {families: everything, in: all, out: all},
		"odd but sendable bytes": {
			in:  http.Header{"X-Request-Id": {" \tÄ\xff\x80 ; , \" UPPER lower "}},
			out: http.Header{"X-Request-Id": {" \tÄ\xff\x80 ; , \" UPPER lower "}},
		},
		"a repeated header keeps its order and its duplicates": {
			in:  http.Header{"X-Request-Id": {"b", "a", "b"}, "Tracestate": {"z=1", "y=2"}, "B3": {"0"}},
			out: http.Header{"X-Request-Id": {"b", "a", "b"}, "Tracestate": {"z=1", "y=2"}, "B3": {"0"}},
		},
		"empty values are never sent": {
			in:  http.Header{"X-Request-Id": {""}, "X-B3-Sampled": {}, "X-B3-Flags": nil, "Tracestate": {"", "z=1", "", "y=2", ""}},
			out: http.Header{"Tracestate": {"z=1", "y=2"}},
		},
		"nor what net/http would trim to nothing, as HTTP/2 may bring it": {
			in:  http.Header{"X-B3-Sampled": {" "}, "B3": {"\t \t"}, "Tracestate": {" ", " z=1 "}},
			out: http.Header{"Tracestate": {" z=1 "}},
		},
		"nothing in, nothing out":            {in: http.Header{"Accept": {"*/*"}}, out: http.Header{}},
		"no headers at all":                  {in: nil, out: http.Header{}},
		"Of() relays nothing":                {families: propagation.Of(), in: all, out: http.Header{}},
		"the zero Family has no headers":     {families: propagation.Of(propagation.Family{}), in: all, out: http.Header{}},
		"Custom() with no names relays none": {families: propagation.Of(propagation.Custom()), in: all, out: http.Header{}},
	} {
		t.Run(name, func(t *testing.T) {
			in := row.in.Clone()
			h := row.families.Extract(row.in)
			assert.Equal(t, row.out, inject(h))
			assert.Equal(t, in, row.in, "Extract changed its argument")

			pairs := http.Header{}
			for name, value := range h.All() {
				assert.Equal(t, strings.ToLower(name), name)
				pairs.Add(name, value)
			}
			assert.Equal(t, row.out, pairs, "All")
			for name := range row.in {
				assert.Equal(t, row.out.Get(name), h.Get(strings.ToUpper(name)), "Get")
			}
			assert.Equal(t, row.out, inject(propagation.FromContext(propagation.NewContext(context.Background(), h))), "NewContext")

			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header = row.in
			assert.Equal(t, row.out, inject(propagation.FromContext(row.families.Incoming(r).Context())), "Incoming")
		})
	}
}

func TestAFamilyTravelsWholeOrNotAtAll(t *testing.T) {
	in := http.Header{
		"X-Request-Id": {"r"}, "X-B3-Traceid": {"t"}, "X-B3-Spanid": {"s"}, "X-B3-Sampled": {"1"},
		"Traceparent": {"p"}, "Tracestate": {"s=1", "s=2"}, "End-User": {"jason"}, "X-Tenant": {"7"},
	}
	families := propagation.Istio().With(propagation.Custom("end-user", "x-tenant"))
	for name, row := range map[string]struct{ dst, out http.Header }{
		"the caller's b3 keeps all of x-b3-* out": {
			dst: http.Header{"B3": {"0"}},
			out: http.Header{"B3": {"0"}, "X-Request-Id": {"r"}, "Traceparent": {"p"}, "Tracestate": {"s=1", "s=2"}, "End-User": {"jason"}, "X-Tenant": {"7"}},
		},
		"so does a header that did not come in": {
			dst: http.Header{"X-B3-Flags": {"1"}, "X-Request-Id": {"mine"}},
			out: http.Header{"X-B3-Flags": {"1"}, "X-Request-Id": {"mine"}, "Traceparent": {"p"}, "Tracestate": {"s=1", "s=2"}, "End-User": {"jason"}, "X-Tenant": {"7"}},
		},
		"even a nil one, by which a caller turns it off": {
			dst: http.Header{"Tracestate": nil, "X-B3-Traceid": {}},
			out: http.Header{"Tracestate": nil, "X-B3-Traceid": {}, "X-Request-Id": {"r"}, "End-User": {"jason"}, "X-Tenant": {"7"}},
		},
		"and one that is written in another case": {
			dst: http.Header{"x-b3-traceid": {"mine"}, "TRACEPARENT": {"mine"}, "x-tenant": {"8"}},
			out: http.Header{"x-b3-traceid": {"mine"}, "TRACEPARENT": {"mine"}, "x-tenant": {"8"}, "X-Request-Id": {"r"}},
		},
		"other headers of the same length do not matter": {
			dst: http.Header{"Accept": {"*/*"}, "Content-Type": {"a/b"}, "User-Agent": {"u"}},
			out: http.Header{"Accept": {"*/*"}, "Content-Type": {"a/b"}, "User-Agent": {"u"}, "X-Request-Id": {"r"},
				"X-B3-Traceid": {"t"}, "X-B3-Spanid": {"s"}, "X-B3-Sampled": {"1"}, "Traceparent": {"p"}, "Tracestate": {"s=1", "s=2"}, "End-User": {"jason"}, "X-Tenant": {"7"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := families.Extract(in)
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header = row.dst.Clone()
			assert.Equal(t, row.out, h.Outgoing(r).Header, "Outgoing")
			assert.Equal(t, row.dst, r.Header, "Outgoing changed the request")

			h.Inject(row.dst)
			assert.Equal(t, row.out, row.dst, "Inject")
		})
	}

	t.Run("when all families are there already, Outgoing returns the very request", func(t *testing.T) {
		h := propagation.Of(propagation.RequestID, propagation.B3).Extract(in)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header = http.Header{"X-Request-Id": {"mine"}, "B3": {"0"}}
		assert.Same(t, r, h.Outgoing(r))
	})
	t.Run("a name that two families have belongs to the first", func(t *testing.T) {
		f := propagation.Of(propagation.Custom("a", "b"), propagation.Custom("b", "c"))
		h := f.Extract(http.Header{"A": {"1"}, "B": {"2"}, "C": {"3"}})
		dst := http.Header{"B": {"mine"}}
		h.Inject(dst)
		assert.Equal(t, http.Header{"B": {"mine"}, "C": {"3"}}, dst)
	})
}

func TestASnapshotNeverChanges(t *testing.T) {
	in := http.Header{"X-Request-Id": {"r"}, "Tracestate": {"a=1", "b=2"}}
	want := in.Clone()
	ctx := propagation.NewContext(context.Background(), propagation.Istio().Extract(in))
	h := propagation.FromContext(ctx)

	in["X-Request-Id"][0] = "changed by the handler"
	in["Tracestate"][1] = "changed by the handler"
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, out := range []http.Header{inject(h), h.Outgoing(r).Header} {
		out["X-Request-Id"][0] = "changed by the transport"
		out["X-Request-Id"] = append(out["X-Request-Id"], "one more")
		out["Tracestate"] = append(out["Tracestate"], "one more")
		assert.Equal(t, []string{"a=1", "b=2", "one more"}, out["Tracestate"])
	}
	assert.Equal(t, want, inject(h))

	t.Run("nor does what is appended to one header change another", func(t *testing.T) {
		want := header("x-request-id: r", "b3: 0", "traceparent: p")
		h := propagation.Istio().Extract(want)
		for _, out := range []http.Header{inject(h), h.Outgoing(r).Header} {
			for name := range want {
				_ = append(out[name], "one more")
			}
			assert.Equal(t, want, out)
		}
	})
}

func TestALookalikeOfAHeaderIsAnother(t *testing.T) {
	for _, name := range propagation.Istio().Names() {
		key := http.CanonicalHeaderKey(name)
		other := "Q" + key[1:]
		in := http.Header{other: {"v"}}
		assert.Empty(t, inject(propagation.Istio().Extract(in)), other)
		assert.Empty(t, inject(propagation.Istio().Extract(amongOthers(in))), other)

		h := propagation.Istio().Extract(http.Header{key: {"v"}})
		h.Inject(in)
		assert.Equal(t, []string{"v"}, in[key], "%s does not stand in the way of %s", other, key)
	}
}

func TestListsOfAnyLengthAreRead(t *testing.T) {
	in := http.Header{}
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprint("x-custom-", i))
		in.Set(names[i], fmt.Sprint(i))
		f := propagation.Of(propagation.Custom(names...))
		assert.Equal(t, in, inject(f.Extract(in)), "%d names", i+1)
		assert.Equal(t, in, inject(f.Extract(amongOthers(in))), "%d names among other headers", i+1)
		out := f.Extract(in).Outgoing(httptest.NewRequest(http.MethodGet, "/", nil))
		assert.Equal(t, in, out.Header, "%d names in an outgoing request", i+1)
	}
}

func TestExtractDropsAFamilyThatCannotBeSentAndKeepsTheOthers(t *testing.T) {
	long := strings.Repeat("x", 8192)
	lines := slices.Repeat([]string{"v"}, 64)
	for name, row := range map[string]struct{ in, out http.Header }{
		"8,192 bytes are kept": {
			in:  http.Header{"X-Request-Id": {long}},
			out: http.Header{"X-Request-Id": {long}},
		},
		"more are not": {
			in:  http.Header{"X-Request-Id": {long + "x"}, "B3": {"0"}},
			out: http.Header{"B3": {"0"}},
		},
		"the values of all headers of a family count together": {
			in:  http.Header{"X-B3-Traceid": {long}, "X-B3-Spanid": {"s"}, "X-Request-Id": {"r"}},
			out: http.Header{"X-Request-Id": {"r"}},
		},
		"so do the values of a repeated header, joined with commas": {
			in:  http.Header{"X-Request-Id": {long[:4096], long[:4095]}, "B3": {"0"}},
			out: http.Header{"X-Request-Id": {long[:4096], long[:4095]}, "B3": {"0"}},
		},
		"of which each takes a byte": {
			in:  http.Header{"X-Request-Id": {long[:4096], long[:4096]}, "B3": {"0"}},
			out: http.Header{"B3": {"0"}},
		},
		"64 lines are kept": {
			in:  http.Header{"X-Request-Id": lines, "B3": {"0"}},
			out: http.Header{"X-Request-Id": lines, "B3": {"0"}},
		},
		"more are not, however small": {
			in:  http.Header{"X-Request-Id": append(lines, "v"), "B3": {"0"}},
			out: http.Header{"B3": {"0"}},
		},
		"tracestate is dropped alone when it is too long": {
			in:  http.Header{"Traceparent": {"p"}, "Tracestate": {"a=1", long}, "B3": {"0"}},
			out: http.Header{"Traceparent": {"p"}, "B3": {"0"}},
		},
		"and when it is invalid": {
			in:  http.Header{"Traceparent": {"p"}, "Tracestate": {"a=1", "b=\n"}},
			out: http.Header{"Traceparent": {"p"}},
		},
		"an invalid traceparent takes tracestate with it": {
			in:  http.Header{"Traceparent": {"p\x00"}, "Tracestate": {"a=1"}},
			out: http.Header{},
		},
		"line breaks": {
			in:  http.Header{"X-B3-Traceid": {"t\r\nX-Admin: 1"}, "X-B3-Sampled": {"1"}, "X-Request-Id": {"r"}},
			out: http.Header{"X-Request-Id": {"r"}},
		},
		"control characters, DEL included": {
			in:  http.Header{"X-Request-Id": {"\x1b[2J"}, "B3": {"\x7f"}, "X-Ot-Span-Context": {"\x01"}, "Traceparent": {"a\tb"}},
			out: http.Header{"Traceparent": {"a\tb"}},
		},
		"a value of spaces alone": {
			in:  http.Header{"B3": {" "}, "X-Request-Id": {"r"}},
			out: http.Header{"X-Request-Id": {"r"}},
		},
		"a good value beside a bad one": {
			in:  http.Header{"X-Request-Id": {"good", "bad\n"}},
			out: http.Header{},
		},
		"a bad value before a good one": {
			in:  http.Header{"X-Request-Id": {"bad\n", "good"}, "Traceparent": {"p"}, "Tracestate": {"b=\n", "a=1"}},
			out: http.Header{"Traceparent": {"p"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, row.out, inject(propagation.Istio().Extract(row.in)))
			assert.Equal(t, row.out, inject(propagation.Istio().Extract(amongOthers(row.in))), "among others")
		})
	}
}

// amongOthers returns a copy of h in which there are more headers than names
// that any list has, which is read in another way.
func amongOthers(h http.Header) http.Header {
	h = h.Clone()
	for i := range 70 {
		h.Set(fmt.Sprint("Other-", i), "v")
	}
	return h
}

func TestWhatIsDoneToTheOutgoingCopyIsNotDoneToTheRequest(t *testing.T) {
	h := propagation.Istio().Extract(header("x-request-id: r", "x-b3-sampled: 1"))
	for name, others := range map[string]int{"few headers": 0, "as many as fit a small map": 5, "more": 6} {
		for room, accept := range map[string][]string{"no room": {"*/*"}, "room to append": append(make([]string, 0, 2), "*/*")} {
			t.Run(name+", "+room, func(t *testing.T) {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header = http.Header{"Accept": accept}
				for i := range others {
					r.Header.Set(fmt.Sprint("x-own-", i), "v")
				}
				want := r.Header.Clone()
				want["X-Request-Id"], want["X-B3-Sampled"] = []string{"r"}, []string{"1"}

				out := h.Outgoing(r)
				assert.Equal(t, want, out.Header)
				out.Header.Add("Accept", "text/html")
				out.Header.Set("X-More", "1")

				assert.Len(t, r.Header, others+1)
				assert.Equal(t, []string{"*/*"}, r.Header["Accept"])
				assert.NotContains(t, accept[:cap(accept)], "text/html")
			})
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = nil
	assert.Equal(t, header("x-request-id: r", "x-b3-sampled: 1"), h.Outgoing(r).Header, "a request without a header map")
}

func TestAControlCharacterIsSeenWhereverItStands(t *testing.T) {
	for _, around := range []string{"a", "\t", "~", "\x80", "\xff"} {
		for at := range 20 {
			for c := range 256 {
				value := []byte("b" + strings.Repeat(around, 20))
				value[at+1] = byte(c)
				control := c < ' ' && c != '\t' || c == 0x7f
				got := propagation.Istio().Extract(http.Header{"X-Request-Id": {string(value)}}).Get("x-request-id")
				if control && got != "" || !control && got != string(value) {
					t.Errorf("%q: got %q", value, got)
				}
			}
		}
	}
}

func TestHeadersThatMustNotBeRelayedPanicAtStartup(t *testing.T) {
	for name, why := range map[string]string{
		"Connection": "hop-by-hop", "proxy-connection": "hop-by-hop", "keep-alive": "hop-by-hop", "transfer-encoding": "hop-by-hop",
		"TE": "hop-by-hop", "trailer": "hop-by-hop", "upgrade": "hop-by-hop", "http2-settings": "hop-by-hop",
		"host": "one message", "Content-Length": "one message", "content-type": "one message", "content-": "one message", "expect": "one message",
		"x-envoy-decorator-operation": "instruction", "X-Forwarded-For": "proxy", "x-forwarded-proto": "proxy", "forwarded": "proxy", "via": "proxy",
		"authorization": "credentials", "Proxy-Authorization": "credentials", "COOKIE": "credentials", "set-cookie": "credentials", "cookie2": "credentials", "set-cookie2": "credentials", "www-authenticate": "credentials",
		"grpc-timeout": "gRPC", "grpc-encoding": "gRPC", "Grpc-Foo": "gRPC", "x-token-bin": "gRPC", "grpc-trace-bin": "family", "Connect-Timeout-Ms": "Connect", "connect-protocol-version": "Connect",
		"range": "answers", "if-none-match": "answers", "accept-encoding": "answers",
		"x-b3-traceid": "family", "traceparent": "family", "X-Request-ID": "family", "baggage": "family",
		"": "not a header name", "end user": "not a header name", "end-user:": "not a header name", "énd": "not a header name", "\u212a": "not a header name", "a\r\nb": "not a header name",
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				assert.Contains(t, fmt.Sprint(recover()), why)
			}()
			propagation.Custom("good", name)
			t.Fatal("did not panic")
		})
	}
	for _, name := range []string{"end-user", "User-Agent", "accept-language", "x-tenant", "jwt", "contents", "x-forward", "!#$%&'*+-.^_`|~09azAZ"} {
		t.Run(name+" is relayed", func(t *testing.T) {
			h := propagation.Of(propagation.Custom(name)).Extract(http.Header{http.CanonicalHeaderKey(name): {"v"}})
			assert.Equal(t, "v", h.Get(name))
		})
	}
}

func TestWhatMayBePrivateIsNotPrinted(t *testing.T) {
	h := propagation.Istio().With(propagation.Custom("end-user"), propagation.Baggage, propagation.Datadog, propagation.SkyWalking).
		Extract(header("x-request-id: r", "b3: 0", "b3: 1", "end-user: jason", "baggage: user=jason",
			"x-datadog-origin: rum", "x-datadog-tags: _dd.p.usr.id=jason", "sw8: 1-", "sw8-correlation: jason"))
	for _, format := range []string{"%v", "%+v", "%s"} {
		assert.Equal(t, "[x-request-id=r b3=[0 1] x-datadog-origin=rum sw8=1-]", fmt.Sprintf(format, h), format)
	}
	assert.Equal(t, "[]", fmt.Sprint(propagation.Headers{}))
}

// detach returns a context of work that outlives a request with these headers,
// and closes collected once nothing else of the request is in memory.
func detach(h http.Header, collected chan struct{}) context.Context {
	type key struct{}
	value := new([1 << 10]byte)
	runtime.AddCleanup(value, func(c chan struct{}) { close(c) }, collected)
	ctx := context.WithValue(context.Background(), key{}, value)
	ctx = propagation.Istio().Incoming((&http.Request{Header: h}).WithContext(ctx)).Context()
	return propagation.NewContext(context.Background(), propagation.FromContext(ctx))
}

func TestWorkThatOutlivesTheRequestKeepsItsHeaders(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("x-request-id", "r")
	ctx, cancel := context.WithCancel(r.Context())
	in := propagation.Istio().Incoming(r.WithContext(ctx))

	without := context.WithoutCancel(in.Context())
	fresh := propagation.NewContext(context.Background(), propagation.FromContext(in.Context()))
	cancel()
	require.Error(t, in.Context().Err())
	for _, ctx := range []context.Context{without, fresh} {
		require.NoError(t, ctx.Err())
		assert.Equal(t, "r", propagation.FromContext(ctx).Get("x-request-id"))
	}

	t.Run("and nothing else of the request is kept in memory", func(t *testing.T) {
		for _, lines := range [][]string{
			{"x-request-id: r", "x-b3-traceid: 463ac35c9f6413ad", "x-b3-spanid: a2fb4a1d1a96d312"},
			{"x-request-id: r", "x-b3-traceid: 463ac35c9f6413ad", "x-b3-spanid: a2fb4a1d1a96d312", "x-b3-sampled: 1",
				"x-ot-span-context: o", "tracestate: a=1", "b3: 1"},
		} {
			collected := make(chan struct{})
			detached := detach(header(lines...), collected)
			require.Eventually(t, func() bool {
				runtime.GC()
				select {
				case <-collected:
					return true
				default:
					return false
				}
			}, 30*time.Second, time.Millisecond, "%d headers", len(lines))
			runtime.KeepAlive(detached)
		}
	})
	t.Run("outside any request there is nothing to relay", func(t *testing.T) {
		call := httptest.NewRequest(http.MethodGet, "/", nil)
		assert.Same(t, call, propagation.FromContext(context.Background()).Outgoing(call))
		assert.Empty(t, inject(propagation.FromContext(context.Background())))
		var none context.Context
		assert.Empty(t, inject(propagation.FromContext(none)))
	})
	t.Run("NewContext with the zero Headers turns relaying off", func(t *testing.T) {
		off := propagation.NewContext(in.Context(), propagation.Headers{})
		assert.Empty(t, inject(propagation.FromContext(off)))
	})
	t.Run("a nil context is refused where it is made, not later", func(t *testing.T) {
		assert.Panics(t, func() { propagation.NewContext(nil, propagation.Headers{}) }) //nolint:staticcheck // on purpose
	})
	t.Run("a printed context keeps the values to itself", func(t *testing.T) {
		assert.NotContains(t, fmt.Sprint(propagation.Istio().Incoming(httptestRequest("x-request-id", "secret")).Context()), "secret")
	})
	t.Run("other values of the context are found through it", func(t *testing.T) {
		type key struct{}
		ctx := context.WithValue(context.Background(), key{}, "value")
		assert.Equal(t, "value", propagation.NewContext(ctx, propagation.FromContext(in.Context())).Value(key{}))
	})
}

func httptestRequest(pairs ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Add(pairs[i], pairs[i+1])
	}
	return r
}

func TestARequestThatIsReadTwiceKeepsWhatEitherListCarries(t *testing.T) {
	user := propagation.Of(propagation.Custom("end-user", "x-tenant"))
	for name, row := range map[string]struct {
		outer, inner propagation.Families
		change       func(http.Header)
		out          http.Header
	}{
		"another list inside adds its own": {
			outer: propagation.Istio(), inner: user,
			out: http.Header{"X-Request-Id": {"r"}, "Tracestate": {"a=1", "b=2"}, "End-User": {"jason"}, "X-Tenant": {"7", "8"}},
		},
		"whichever comes first": {
			outer: user, inner: propagation.Istio(),
			out: http.Header{"X-Request-Id": {"r"}, "Tracestate": {"a=1", "b=2"}, "End-User": {"jason"}, "X-Tenant": {"7", "8"}},
		},
		"the same list twice is the same": {
			outer: propagation.Istio(), inner: propagation.Istio(),
			out: http.Header{"X-Request-Id": {"r"}, "Tracestate": {"a=1", "b=2"}},
		},
		"a list that finds nothing takes nothing away": {
			outer: propagation.Istio(), inner: propagation.Of(propagation.XRay),
			out: http.Header{"X-Request-Id": {"r"}, "Tracestate": {"a=1", "b=2"}},
		},
		"what was dropped in between is gone": {
			outer: propagation.Istio().With(propagation.Custom("end-user")), inner: propagation.Istio(),
			change: func(h http.Header) { h.Del("x-request-id"); h.Set("tracestate", "c=3"); h.Del("end-user") },
			out:    http.Header{"Tracestate": {"c=3"}, "End-User": {"jason"}},
		},
		"also when all of it was": {
			outer: propagation.Istio(), inner: propagation.Istio(),
			change: func(h http.Header) { h.Del("x-request-id"); h.Del("tracestate") },
			out:    http.Header{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptestRequest("x-request-id", "r", "tracestate", "a=1", "tracestate", "b=2", "end-user", "jason", "x-tenant", "7", "x-tenant", "8")
			r = row.outer.Incoming(r)
			if row.change != nil {
				row.change(r.Header)
			}
			r = row.inner.Incoming(r)
			assert.Equal(t, row.out, inject(propagation.FromContext(r.Context())))
		})
	}
	t.Run("two lists of any length are read", func(t *testing.T) {
		names, want := make([]string, 100), http.Header{"X-Request-Id": {"r"}}
		pairs := []string{"x-request-id", "r"}
		for i := range names {
			names[i] = fmt.Sprint("x-custom-", i)
			want.Set(names[i], "v")
			pairs = append(pairs, names[i], "v")
		}
		r := propagation.Of(propagation.Custom(names[:50]...), propagation.Custom(names[50:]...)).Incoming(httptestRequest(pairs...))
		r = propagation.Istio().Incoming(r)
		assert.Equal(t, want, inject(propagation.FromContext(r.Context())))
	})
}

func TestTwoListsInTurnCostNoMoreThanOne(t *testing.T) {
	r := httptestRequest("x-request-id", "r", "traceparent", "p", "end-user", "jason")
	r = r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, &http.Server{}))
	custom, istio := propagation.Of(propagation.Custom("end-user")), propagation.Istio()
	cost := func(lists ...propagation.Families) float64 {
		return testing.AllocsPerRun(100, func() {
			for _, list := range lists {
				list.Incoming(r)
			}
		}) / float64(len(lists))
	}
	assert.LessOrEqual(t, cost(istio, custom), cost(istio))

	joined := custom.Incoming(r)
	assert.Equal(t, cost(istio), testing.AllocsPerRun(100, func() { istio.Incoming(joined) }), "beside what the context carries")
}

func TestSnapshotsAreSafeForUseByManyGoroutines(t *testing.T) {
	user := propagation.Of(propagation.Custom("end-user"))
	r := propagation.Istio().Incoming(httptestRequest("x-request-id", "r", "b3", "0", "end-user", "jason"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 200 {
				inner := user.Incoming(r)
				h := propagation.FromContext(inner.Context())
				assert.Equal(t, http.Header{"X-Request-Id": {"r"}, "B3": {"0"}, "End-User": {"jason"}}, inject(h))
				h.Outgoing(httptestRequest()).Header["B3"][0] = "1"
			}
		}()
	}
	wg.Wait()
}

func TestHeadersLogAsAGroupWithoutWhatIsPrivate(t *testing.T) {
	f := propagation.Istio().With(propagation.Baggage, propagation.Custom("end-user"))
	h := f.Extract(http.Header{"X-Request-Id": {"r"}, "Tracestate": {"a=1", "b=2"}, "Baggage": {"card=4111"}, "End-User": {"jason"}})
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	log.Info("served", "trace", h)
	log.Info("idle", "trace", propagation.Headers{})
	assert.Equal(t, `{"level":"INFO","msg":"served","trace":{"x-request-id":"r","tracestate":["a=1","b=2"]}}
{"level":"INFO","msg":"idle"}
`, out.String())
}

func TestAllStopsWhenItsLoopDoes(t *testing.T) {
	h := propagation.Istio().Extract(http.Header{"X-Request-Id": {"1", "2"}, "B3": {"0"}})
	n := 0
	for range h.All() {
		n++
		if n == 2 {
			break
		}
	}
	assert.Equal(t, 2, n)
}
