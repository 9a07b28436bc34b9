package grpcrelay_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/middleware/grpcrelay"
	"github.com/tracebaton/tracebaton/propagation"
)

// rich is metadata with every family of everything, and what is awkward in it:
// repeated headers, spaces, bytes.
func rich() metadata.MD {
	md := metadata.Pairs(six...)
	md.Append("x-b3-flags", "1")
	md.Append("tracestate", "rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE")
	md.Append("x-ot-span-context", "Zm9v;YmFy")
	md.Append("baggage", "userId=Am%C3%A9lie , x = 1", "b=2")
	md.Append("end-user", " a user, and ~ another ")
	md.Append("grpc-trace-bin", "\x00\x00\xff\n", "\x01")
	return md
}

func TestOverGRPCEveryValueArrivesByteForByteInOrderInEveryKindOfCall(t *testing.T) {
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			h := newHop(t, everything, call)
			require.NoError(t, call(metadata.NewOutgoingContext(t.Context(), rich()), h.client))
			assert.Equal(t, []metadata.MD{rich()}, h.arrived())
		})
	}
}

func TestHeadersComeInOverHTTPCrossGRPCAndLeaveOverHTTPAsTheyCame(t *testing.T) {
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			url, arrived := web(t)
			out := httpClient(t, func(base http.RoundTripper) http.RoundTripper { return &middleware.Transport{Base: base} })
			middle := serve(t, func(ctx context.Context) error { return get(ctx, out, url) }, relaying(everything)...)(sending()...)
			front := httptest.NewServer(middleware.Relay(everything)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := call(r.Context(), middle); err != nil {
					http.Error(w, err.Error(), http.StatusBadGateway)
				}
			})))
			t.Cleanup(front.Close)

			sent := make(http.Header)
			for name, values := range rich() {
				for _, v := range values {
					if name == "grpc-trace-bin" {
						v = base64.RawStdEncoding.EncodeToString([]byte(v))
					}
					sent.Add(name, strings.TrimSpace(v)) // as HTTP/1 reads it
				}
			}
			in := httpClient(t, nil)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL, nil)
			require.NoError(t, err)
			r.Header = sent.Clone()
			res, err := in.Do(r)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusOK, res.StatusCode)

			got := arrived()
			for _, name := range []string{"User-Agent", "Accept-Encoding"} { // net/http's own
				got.Del(name)
			}
			assert.Equal(t, sent, got)
		})
	}
}

func TestTheContextOfAStreamsHandlerCarriesTheHeaders(t *testing.T) {
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			var carried propagation.Headers
			client := serve(t, func(ctx context.Context) error {
				carried = propagation.FromContext(ctx)
				return nil
			}, relaying(propagation.Families{})...)()
			require.NoError(t, call(metadata.AppendToOutgoingContext(t.Context(), six...), client))
			for name, values := range metadata.Pairs(six...) {
				assert.Equal(t, values, carried.Values(name), name)
			}
		})
	}
}

func TestEveryMessageOfALongStreamBelongsToTheRequestThatOpenedIt(t *testing.T) {
	h := newHop(t, propagation.Istio(), kinds["a unary call"])
	stream, err := h.client.FullDuplexCall(metadata.AppendToOutgoingContext(t.Context(), six...))
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, stream.Send(&testgrpc.StreamingOutputCallRequest{}))
		_, err := stream.Recv()
		require.NoError(t, err)
	}
	require.NoError(t, stream.CloseSend())
	require.NoError(t, drain(stream))
	assert.Equal(t, []metadata.MD{metadata.Pairs(six...), metadata.Pairs(six...)}, h.arrived())
}

// A family of its own, so that it is seen to be left out whole.
var named = propagation.Istio().With(propagation.Custom("a.b_c-9", "other"), propagation.Custom("a+b", "plain"), propagation.Custom("tilde~"))

func TestAHeaderThatGRPCDoesNotSendNeverMakesACallFail(t *testing.T) {
	traceparent, trace := "traceparent: "+six[11], metadata.Pairs(six[10:]...)
	for name, test := range map[string]struct {
		lines []string
		want  metadata.MD
	}{
		"a letter that is not in ASCII takes its family along": {[]string{traceparent, "a.b_c-9: é", "other: 1"}, trace},
		"a tab does":           {[]string{traceparent, "a.b_c-9: 1", "other: a\tb"}, trace},
		"a broken rune does":   {[]string{traceparent, "other: \x80"}, trace},
		"the last of two does": {[]string{traceparent, "other: 1", "other: é"}, trace},
		"a name with a plus does, and one with a tilde": {[]string{traceparent, "a+b: 1", "plain: 1", "tilde~: 1"}, trace},
		"dots and underscores in names are sent":        {[]string{"a.b_c-9: 1", "other:  ~ "}, metadata.Pairs("a.b_c-9", "1", "other", " ~ ")},
		"in tracestate, it takes nothing else along":    {[]string{traceparent, "tracestate: a=1", "tracestate: é=1"}, trace},
		"in traceparent, it takes tracestate along":     {[]string{"traceparent: é", "tracestate: a=1", "other: 1"}, metadata.Pairs("other", "1")},
	} {
		t.Run(name, func(t *testing.T) {
			url, arrived := web(t)
			u := newUpstream(t)
			ctx := received(named, test.lines...)
			require.NoError(t, kinds["a unary call"](ctx, u.connect(sending()...)))
			require.NoError(t, kinds["a stream of both"](ctx, u.connect(sending()...)))
			assert.Equal(t, []metadata.MD{test.want, test.want}, u.arrived())

			client := httpClient(t, func(base http.RoundTripper) http.RoundTripper { return &middleware.Transport{Base: base} })
			require.NoError(t, get(grpcrelay.Outgoing(ctx), client, url))
			got := arrived()
			for _, line := range test.lines {
				name, value, _ := strings.Cut(line, ": ")
				assert.Contains(t, got.Values(name), strings.Trim(value, " \t"), "does not go out over HTTP")
			}
		})
	}
}

func TestHeadersThatCannotBeSentOverGRPCMayComeInOverIt(t *testing.T) {
	// Other senders are not as strict as grpc-go.
	ctx := metadata.NewIncomingContext(context.Background(), metadata.MD{"end-user": {"é"}, "traceparent": {six[11]}})
	ctx = grpcrelay.Incoming(ctx, everything)
	assert.Equal(t, "é", propagation.FromContext(ctx).Get("end-user"))
	assert.Equal(t, metadata.MD{"traceparent": {six[11]}}, outgoing(ctx))
}

func TestABinaryHeaderIsBytesInMetadataAndUnpaddedBase64InHeaders(t *testing.T) {
	const raw, unpadded = "\x00\x00\xff\n", "AAD/Cg"
	for name, test := range map[string]struct {
		in   []string // over HTTP
		want []string // bytes in metadata
	}{
		"without padding":            {[]string{unpadded}, []string{raw}},
		"with padding":               {[]string{unpadded + "=="}, []string{raw}},
		"in two lines":               {[]string{unpadded, "AQ=="}, []string{raw, "\x01"}},
		"joined with a comma":        {[]string{"AQ==," + unpadded + ", AQ"}, []string{"\x01", raw, "\x01"}},
		"with an empty one in a row": {[]string{"AQ,,Ag"}, []string{"\x01", "\x02"}},
		"what is not base64 is left": {[]string{"$$$"}, nil},
		"the URL alphabet is left":   {[]string{"AAD_Cg"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t)
			h := propagation.Of(propagation.GRPCTraceBin).Extract(http.Header{"Grpc-Trace-Bin": test.in})
			ctx := propagation.NewContext(t.Context(), h)
			require.NoError(t, kinds["a unary call"](ctx, u.connect(sending()...)))
			assert.Equal(t, test.want, u.arrived()[0]["grpc-trace-bin"])
		})
	}
	t.Run("and back", func(t *testing.T) {
		var got []string
		client := serve(t, func(ctx context.Context) error {
			got = propagation.FromContext(ctx).Values("grpc-trace-bin")
			return nil
		}, relaying(everything)...)()
		require.NoError(t, kinds["a unary call"](metadata.AppendToOutgoingContext(t.Context(), "grpc-trace-bin", raw, "grpc-trace-bin", "\x01"), client))
		assert.Equal(t, []string{unpadded, "AQ"}, got)
	})
}

func TestNothingEmptyIsSent(t *testing.T) {
	h := newHop(t, everything, kinds["a unary call"])
	in := metadata.Pairs("x-b3-sampled", "", "b3", " ", "end-user", "", "end-user", "alice", "grpc-trace-bin", "")
	require.NoError(t, kinds["a unary call"](metadata.NewOutgoingContext(t.Context(), in), h.client))
	assert.Equal(t, []metadata.MD{{"end-user": {"alice"}}}, h.arrived())
}

func TestNoHeaderOfGRPCsOwnIsRelayedButGrpcTraceBin(t *testing.T) {
	for _, name := range []string{"grpc-timeout", "grpc-encoding", "grpc-status", "Grpc-Previous-Rpc-Attempts", "grpc-foo", "my-bin"} {
		assert.Panics(t, func() { propagation.Custom(name) }, name)
	}
	h := newHop(t, everything, kinds["a unary call"])
	in := metadata.Pairs("grpc-foo", "1", "grpc-previous-rpc-attempts", "1", "my-bin", "1", "grpc-trace-bin", "1")
	require.NoError(t, kinds["a unary call"](metadata.NewOutgoingContext(t.Context(), in), h.client))
	assert.Equal(t, []metadata.MD{{"grpc-trace-bin": {"1"}}}, h.arrived())
}

// weight is what HTTP/2 counts (RFC 9113, section 6.5.2).
func weight(md metadata.MD) (n int) {
	for name, values := range md {
		for _, v := range values {
			if n += len(name) + len(v) + 32; strings.HasSuffix(name, "-bin") {
				n += base64.RawStdEncoding.EncodedLen(len(v)) - len(v)
			}
		}
	}
	return n
}

func TestTheHeadersOfACallWeighFourKiBAtMost(t *testing.T) {
	const limit = 4096
	line := func(name string, size int) string { return name + ": " + strings.Repeat("v", size) }
	full := limit - len("end-user") - 32
	traceparent := "traceparent: " + six[11]
	for name, test := range map[string]struct {
		lines []string
		want  []string // the names that are left
	}{
		"all of it in one header":                     {[]string{line("end-user", full)}, []string{"end-user"}},
		"one byte more":                               {[]string{line("end-user", full+1)}, nil},
		"tracestate goes first, alone":                {[]string{traceparent, line("tracestate", 3000), line("baggage", 1000)}, []string{"baggage", "traceparent"}},
		"then the last family":                        {[]string{"x-request-id: 1", traceparent, line("tracestate", 3000), line("baggage", 3000), line("end-user", 1500)}, []string{"baggage", "traceparent", "x-request-id"}},
		"then the one before":                         {[]string{"x-request-id: 1", traceparent, line("baggage", 5000), "end-user: 1"}, []string{"traceparent", "x-request-id"}},
		"a family goes whole":                         {[]string{"x-request-id: 1", line("x-b3-traceid", 3000), line("x-b3-spanid", 1000)}, []string{"x-request-id"}},
		"every line of a repeated header weighs":      {slices.Repeat([]string{"end-user: 1"}, 64), []string{"end-user"}},
		"tracestate goes only if there is a need to":  {[]string{traceparent, line("tracestate", 3800)}, []string{"traceparent", "tracestate"}},
		"bytes weigh what their base64 does":          {[]string{"grpc-trace-bin: " + strings.Repeat("A", limit-len("grpc-trace-bin")-32)}, []string{"grpc-trace-bin"}},
		"and one group of them more":                  {[]string{"grpc-trace-bin: " + strings.Repeat("A", limit-len("grpc-trace-bin")-32+4)}, nil},
		"without tracestate, the last family goes on": {[]string{"tracestate: a=1", "x-request-id: 1", line("end-user", 4096)}, []string{"x-request-id"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := received(everything, test.lines...)
			got := outgoing(ctx)
			assert.ElementsMatch(t, test.want, slices.Collect(maps.Keys(got)))
			assert.LessOrEqual(t, weight(got), limit)
			for _, line := range test.lines {
				name, value, _ := strings.Cut(line, ": ")
				assert.Contains(t, propagation.FromContext(grpcrelay.Outgoing(ctx)).Values(name), value, "the context does not carry it any more")
			}
		})
	}
}

func TestAServerWithAHeaderListOfEightKiBTakesTheCallAndKeepsTheConnection(t *testing.T) {
	u := newUpstream(t, grpc.MaxHeaderListSize(8192))
	client := u.connect(sending()...)
	open, err := client.FullDuplexCall(t.Context())
	require.NoError(t, err)
	lines := []string{"x-request-id: 1", "traceparent: " + six[11], "tracestate: a=" + strings.Repeat("1", 8000), "baggage: a=" + strings.Repeat("1", 8000), "end-user: " + strings.Repeat("u", 8000)}
	mine := metadata.AppendToOutgoingContext(received(everything, lines...), "mine", strings.Repeat("m", 3500))
	require.NoError(t, kinds["a unary call"](mine, client))
	got := u.arrived()[0]
	assert.Equal(t, []string{six[11]}, got["traceparent"])
	assert.Len(t, got["mine"], 1)
	require.NoError(t, open.Send(&testgrpc.StreamingOutputCallRequest{}))
	_, err = open.Recv()
	require.NoError(t, err, "another stream of the connection failed")
	require.NoError(t, open.CloseSend())
	require.NoError(t, drain(open))
}

func TestLargeMetadataOfTheCallersLeavesLessRoom(t *testing.T) {
	lines := []string{"x-request-id: 1", "baggage: a=" + strings.Repeat("1", 1900), "end-user: " + strings.Repeat("u", 1900)}
	u := newUpstream(t, grpc.MaxHeaderListSize(8192))
	client := u.connect(sending()...)
	for size := 0; size < 8192; size += 64 {
		mine := metadata.AppendToOutgoingContext(t.Context(), "authorization", strings.Repeat("m", size))
		if kinds["a unary call"](mine, client) != nil {
			require.Greater(t, size, 7000, "without relayed headers, the call fails as well")
			break
		}
		mine = propagation.NewContext(mine, propagation.FromContext(received(everything, lines...)))
		require.NoError(t, kinds["a unary call"](mine, client), "with %d bytes of the caller's", size)
	}
	for size, want := range map[int][]string{
		3000: {"authorization", "baggage", "end-user", "x-request-id"},
		4000: {"authorization", "baggage", "x-request-id"},
		7000: {"authorization", "x-request-id"},
		7700: {"authorization"},
		8200: {"authorization", "baggage", "end-user", "x-request-id"}, // the server takes more than 8 KiB, or the call fails anyway
	} {
		mine := metadata.AppendToOutgoingContext(received(everything, lines...), "authorization", strings.Repeat("m", size))
		assert.ElementsMatch(t, want, slices.Collect(maps.Keys(outgoing(mine))), "%d bytes", size)
	}
}

func TestInstalledTwiceTheHeadersOfACallStillLeaveRoom(t *testing.T) {
	u := newUpstream(t, grpc.MaxHeaderListSize(8192))
	ctx := received(everything, "x-request-id: 1", "baggage: a="+strings.Repeat("1", 3900), "end-user: "+strings.Repeat("u", 3900))
	require.NoError(t, kinds["a unary call"](ctx, u.connect(append(sending(), sending()...)...)))
	assert.ElementsMatch(t, []string{"x-request-id", "baggage"}, slices.Collect(maps.Keys(u.arrived()[0])))
}

func TestWhatTheCallerSetWins(t *testing.T) {
	all := metadata.Pairs(six...)
	without := func(names ...string) metadata.MD {
		md := all.Copy()
		for _, name := range names {
			delete(md, name)
		}
		return md
	}
	b3 := []string{"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled"}
	with := func(md metadata.MD, kv ...string) metadata.MD { return metadata.Join(md, metadata.Pairs(kv...)) }
	for name, test := range map[string]struct {
		caller metadata.MD
		want   metadata.MD
	}{
		"one header keeps its whole family from being added":      {metadata.Pairs("x-b3-traceid", "mine"), with(without(b3...), "x-b3-traceid", "mine")},
		"so does one that did not come in":                        {metadata.Pairs("b3", "0"), with(without(b3...), "b3", "0")},
		"a key without values does":                               {metadata.MD{"traceparent": nil}, without("traceparent")},
		"an empty value does, and is the caller's":                {metadata.MD{"traceparent": {""}}, with(without("traceparent"), "traceparent", "")},
		"a key in other letters does":                             {metadata.Pairs("X-Request-ID", "mine"), with(without("x-request-id"), "x-request-id", "mine")},
		"metadata of no family does not":                          {metadata.Pairs("authorization", "secret"), with(all, "authorization", "secret")},
		"what was copied wholesale from the request arrives once": {all, all},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t)
			ctx := grpcrelay.Incoming(metadata.NewIncomingContext(t.Context(), all), propagation.Istio())
			given := maps.Clone(test.caller)
			require.NoError(t, kinds["a unary call"](metadata.NewOutgoingContext(ctx, given), u.connect(sending()...)))
			assert.Equal(t, []metadata.MD{test.want}, u.arrived())
			assert.Equal(t, test.caller, given, "the caller's map was changed")
		})
	}
}

func TestTheCallersContextIsNotChanged(t *testing.T) {
	in := metadata.AppendToOutgoingContext(received(everything, "x-request-id: 1"), "mine", "1")
	first, second := outgoing(in), outgoing(in)
	assert.Equal(t, metadata.Pairs("mine", "1", "x-request-id", "1"), first)
	assert.Equal(t, first, second)
	md, _ := metadata.FromOutgoingContext(in)
	assert.Equal(t, metadata.Pairs("mine", "1"), md)
}

func TestInstalledTwiceNothingIsSentTwice(t *testing.T) {
	u := newUpstream(t)
	client := u.connect(append(sending(), sending()...)...)
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			front := serve(t, func(ctx context.Context) error { return call(ctx, client) }, append(relaying(everything), relaying(everything)...)...)()
			require.NoError(t, call(metadata.NewOutgoingContext(t.Context(), rich()), front))
			assert.Equal(t, []metadata.MD{rich()}, u.arrived())
		})
	}
}

func TestAnOuterFamilyIsKept(t *testing.T) {
	own := propagation.Of(propagation.Custom("end-user"))
	both := metadata.Pairs("end-user", "alice", "traceparent", six[11])
	t.Run("of an outer interceptor's", func(t *testing.T) {
		u := newUpstream(t)
		client := u.connect(sending()...)
		for kind, call := range kinds {
			front := serve(t, func(ctx context.Context) error { return call(ctx, client) }, append(relaying(own), relaying(propagation.Istio())...)...)()
			require.NoError(t, call(metadata.NewOutgoingContext(t.Context(), both), front), kind)
			assert.Equal(t, []metadata.MD{both}, u.arrived(), kind)
		}
	})
	t.Run("of a Relay's, outside a gRPC server within an HTTP server", func(t *testing.T) {
		u := newUpstream(t)
		client := u.connect(sending()...)
		s := grpc.NewServer(relaying(propagation.Istio())...)
		testgrpc.RegisterTestServiceServer(s, service{serve: func(ctx context.Context) error { return kinds["a unary call"](ctx, client) }})
		front := httptest.NewUnstartedServer(middleware.Relay(propagation.Istio().With(propagation.Custom("end-user")))(s))
		front.Config.Protocols = new(http.Protocols)
		front.Config.Protocols.SetUnencryptedHTTP2(true)
		front.Start()
		t.Cleanup(front.Close)
		t.Cleanup(s.Stop)
		conn := dial(t, front.Listener.Addr().String())
		for kind, call := range kinds {
			require.NoError(t, call(metadata.NewOutgoingContext(t.Context(), both), testgrpc.NewTestServiceClient(conn)), kind)
			assert.Equal(t, []metadata.MD{both}, u.arrived(), kind)
		}
	})
}

func TestEveryAttemptOfARetryCarriesTheHeadersOnce(t *testing.T) {
	const retries = `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`
	for _, kind := range []string{"a unary call", "a stream of the server's"} {
		t.Run(kind, func(t *testing.T) {
			var mu sync.Mutex
			var attempts []metadata.MD
			connect := serve(t, func(ctx context.Context) error {
				md, _ := metadata.FromIncomingContext(ctx)
				mu.Lock()
				defer mu.Unlock()
				if attempts = append(attempts, md); len(attempts) < 3 {
					return status.Error(codes.Unavailable, "try again")
				}
				return nil
			})
			client := connect(append(sending(), grpc.WithDefaultServiceConfig(retries))...)
			ctx := received(everything, "x-request-id: 1", "traceparent: "+six[11], "tracestate: a=1", "tracestate: b=2")
			require.NoError(t, kinds[kind](ctx, client))
			require.Len(t, attempts, 3)
			for i, md := range attempts {
				assert.Equal(t, []string{"1"}, md["x-request-id"])
				assert.Equal(t, []string{six[11]}, md["traceparent"])
				assert.Equal(t, []string{"a=1", "b=2"}, md["tracestate"])
				if i > 0 {
					assert.Equal(t, []string{fmt.Sprint(i)}, md["grpc-previous-rpc-attempts"])
				}
			}
		})
	}
}

func TestTwoCallsOverOneConnectionNeverSeeEachOthersHeaders(t *testing.T) {
	u := newUpstream(t)
	client := u.connect(sending()...)
	front := serve(t, func(ctx context.Context) error {
		// Every call is told by metadata that is not relayed.
		md, _ := metadata.FromIncomingContext(ctx)
		return kinds["a unary call"](metadata.AppendToOutgoingContext(ctx, "call", md["call"][0]), client)
	}, relaying(everything)...)()
	var calls sync.WaitGroup
	names := slices.Collect(maps.Keys(kinds))
	for i := range 160 {
		calls.Add(1)
		go func() {
			defer calls.Done()
			id := fmt.Sprint(i)
			md := metadata.Pairs("call", id)
			if i%5 != 0 {
				md.Append("x-request-id", id)
				md.Append("end-user", id, "and "+id)
			}
			assert.NoError(t, kinds[names[i%len(names)]](metadata.NewOutgoingContext(context.Background(), md), front))
		}()
	}
	calls.Wait()
	all := u.arrived()
	assert.Len(t, all, 160)
	for _, md := range all {
		id := md["call"][0]
		want := metadata.Pairs("call", id)
		if !strings.HasSuffix(id, "0") && !strings.HasSuffix(id, "5") {
			want = metadata.Pairs("call", id, "x-request-id", id, "end-user", id, "end-user", "and "+id)
		}
		assert.Equal(t, want, md)
	}
}

func TestWithoutHeadersTheSameContextAndStreamArePassedOn(t *testing.T) {
	ctx := metadata.NewOutgoingContext(metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "secret")), metadata.Pairs("mine", "1"))
	assert.Same(t, ctx, grpcrelay.Outgoing(ctx))
	assert.Same(t, ctx, grpcrelay.Incoming(ctx, everything))
	given := metadata.AppendToOutgoingContext(received(everything, "x-request-id: 1"), "x-request-id", "mine")
	assert.Same(t, given, grpcrelay.Outgoing(given), "nothing was added")
	stream := &fakeStream{ctx: ctx}
	require.NoError(t, grpcrelay.StreamServerInterceptor(everything)(nil, stream, nil, func(_ any, s grpc.ServerStream) error {
		assert.Same(t, stream, s)
		return nil
	}))
}

type fakeStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *fakeStream) Context() context.Context { return s.ctx }

func TestAChannelWithoutAConnectionWorks(t *testing.T) {
	ctx := received(everything, "x-request-id: 1")
	var got metadata.MD
	require.NoError(t, grpcrelay.UnaryClientInterceptor()(ctx, "/a.B/C", nil, nil, nil, func(ctx context.Context, _ string, _, _ any, cc *grpc.ClientConn, _ ...grpc.CallOption) error {
		assert.Nil(t, cc)
		got, _ = metadata.FromOutgoingContext(ctx)
		return nil
	}))
	assert.Equal(t, metadata.Pairs("x-request-id", "1"), got)
	_, err := grpcrelay.StreamClientInterceptor()(ctx, nil, nil, "/a.B/C", func(ctx context.Context, _ *grpc.StreamDesc, cc *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
		assert.Nil(t, cc)
		got, _ = metadata.FromOutgoingContext(ctx)
		return nil, io.EOF
	})
	assert.Equal(t, io.EOF, err)
	assert.Equal(t, metadata.Pairs("x-request-id", "1"), got)
}

func TestStatusHeadersTrailersAndMessagesPassThrough(t *testing.T) {
	h := serve(t, func(ctx context.Context) error {
		method, ok := grpc.Method(ctx)
		if !ok {
			return status.Error(codes.Internal, "the context has no method")
		}
		if err := grpc.SetHeader(ctx, metadata.Pairs("header", method)); err != nil {
			return err
		}
		return grpc.SetTrailer(ctx, metadata.Pairs("trailer", "t"))
	}, relaying(everything)...)
	client := h(sending()...)
	ctx := received(everything, "x-request-id: 1")
	payload := &testgrpc.Payload{Body: []byte(strings.Repeat("message ", 1000))}

	var header, trailer metadata.MD
	res, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: payload}, grpc.Header(&header), grpc.Trailer(&trailer))
	require.NoError(t, err)
	assert.Equal(t, payload.Body, res.Payload.Body)
	assert.Equal(t, []string{"/grpc.testing.TestService/UnaryCall"}, header["header"])
	assert.Equal(t, []string{"t"}, trailer["trailer"])

	stream, err := client.FullDuplexCall(ctx)
	require.NoError(t, err)
	require.NoError(t, stream.Send(&testgrpc.StreamingOutputCallRequest{Payload: payload}))
	message, err := stream.Recv()
	require.NoError(t, err)
	assert.Equal(t, payload.Body, message.Payload.Body)
	require.NoError(t, stream.CloseSend())
	require.NoError(t, drain(stream))
	header, err = stream.Header()
	require.NoError(t, err)
	assert.Equal(t, []string{"/grpc.testing.TestService/FullDuplexCall"}, header["header"])
	assert.Equal(t, []string{"t"}, stream.Trailer()["trailer"])

	failing := serve(t, func(context.Context) error { return status.Error(codes.NotFound, "no such book") }, relaying(everything)...)(sending()...)
	for kind, call := range kinds {
		err := call(ctx, failing)
		assert.Equal(t, codes.NotFound, status.Code(err), kind)
		assert.ErrorContains(t, err, "no such book", kind)
	}
}

func TestWorkThatOutlivesTheMethodKeepsItsHeaders(t *testing.T) {
	u := newUpstream(t)
	client := u.connect(sending()...)
	over, done := make(chan struct{}), make(chan error, 1)
	front := serve(t, func(ctx context.Context) error {
		ctx = context.WithoutCancel(ctx)
		go func() {
			<-over
			done <- kinds["a unary call"](ctx, client)
		}()
		return nil
	}, relaying(propagation.Istio())...)()
	require.NoError(t, kinds["a unary call"](metadata.AppendToOutgoingContext(t.Context(), six...), front))
	close(over)
	require.NoError(t, <-done)
	assert.Equal(t, []metadata.MD{metadata.Pairs(six...)}, u.arrived())
}
