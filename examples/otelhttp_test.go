package examples_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tracebaton/tracebaton/middleware"
)

// What comes in, and what the spans that are started meanwhile are called.
const (
	traceID    = "463ac35c9f6413ad48485a3953bb6124"
	spanID     = "a2fb4a1d1a96d312"
	parentID   = "0020000000000001"
	shortID    = "48485a3953bb6124"
	otherTrace = "0af7651916cd43dd8448eb211c80319c"
	otherSpan  = "b7ad6b7169203331"

	span1, span2, span3    = "eeeeeeee00000001", "eeeeeeee00000002", "eeeeeeee00000003"
	newTrace1, newTrace2   = "dddddddddddddddddddddddd00000001", "dddddddddddddddddddddddd00000002"
	requestID, otSpan      = "x-request-id: 5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10", "x-ot-span-context: 463ac35c9f6413ad;a2fb4a1d1a96d312;0020000000000001;cs"
	traceparent            = "traceparent: 00-" + traceID + "-" + spanID + "-01"
	traceparentUnsampled   = "traceparent: 00-" + traceID + "-" + spanID + "-00"
	otherTraceparent       = "traceparent: 00-" + otherTrace + "-" + otherSpan + "-01"
	sampled, deny, debug   = "x-b3-sampled: 1", "x-b3-sampled: 0", "x-b3-flags: 1"
	endUser, baggageHeader = "end-user: jason", "baggage: tenant=blue"
)

// multi are x-b3-* lines, and more.
func multi(traceID, spanID string, more ...string) []string {
	return append([]string{"x-b3-traceid: " + traceID, "x-b3-spanid: " + spanID}, more...)
}

// child are the lines in which a span that was started here is written: x-b3-*
// with this decision, and a traceparent that says the same.
func child(traceID, spanID, decision string, more ...string) []string {
	return append(multi(traceID, spanID, decision, "traceparent: "+inW3C(traceID, spanID, decision != deny)), more...)
}

// childInOne is child where B3 is spoken in one header, with this state.
func childInOne(traceID, spanID, state string) []string {
	return []string{"b3: " + traceID + "-" + spanID + "-" + state, "traceparent: " + inW3C(traceID, spanID, state != "0")}
}

// inW3C is a traceparent's value. Trace IDs of 16 digits are padded.
func inW3C(traceID, spanID string, sampled bool) string {
	flags := map[bool]string{true: "01", false: "00"}[sampled]
	return "00-" + strings.Repeat("0", 32-len(traceID)) + traceID + "-" + spanID + "-" + flags
}

func lines(all ...any) (out []string) {
	for _, l := range all {
		switch l := l.(type) {
		case string:
			out = append(out, l)
		case []string:
			out = append(out, l...)
		}
	}
	return out
}

// walkthrough are the six headers that the sidecars of the walkthrough send.
func walkthrough() []string {
	return lines(requestID, multi(traceID, spanID, "x-b3-parentspanid: "+parentID, sampled), otSpan)
}

func headers(lines ...string) http.Header {
	h := make(http.Header)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

// numbered makes the IDs of an SDK predictable: span n is the n-th to start.
type numbered struct{ spans, traces atomic.Uint32 }

func (g *numbered) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id := trace.TraceID{0xdd, 0xdd, 0xdd, 0xdd, 0xdd, 0xdd, 0xdd, 0xdd, 0xdd, 0xdd, 0xdd, 0xdd}
	binary.BigEndian.PutUint32(id[12:], g.traces.Add(1))
	return id, g.NewSpanID(ctx, id)
}

func (g *numbered) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	id := trace.SpanID{0xee, 0xee, 0xee, 0xee}
	binary.BigEndian.PutUint32(id[4:], g.spans.Add(1))
	return id
}

// recordOnly records spans that no exporter gets.
type recordOnly struct{}

func (recordOnly) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	return sdktrace.SamplingResult{
		Decision:   sdktrace.RecordOnly,
		Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState(),
	}
}
func (recordOnly) Description() string { return "RecordOnly" }

// How an SDK samples, or that there is none.
type sampling struct {
	name    string
	sampler sdktrace.Sampler
	none    func() trace.TracerProvider
}

var (
	noSDK       = sampling{name: "no SDK", none: otel.GetTracerProvider}
	noopSDK     = sampling{name: "no-op SDK", none: func() trace.TracerProvider { return noop.NewTracerProvider() }}
	never       = sampling{name: "SDK samples nothing", sampler: sdktrace.NeverSample()}
	recording   = sampling{name: "SDK records only", sampler: recordOnly{}}
	always      = sampling{name: "SDK samples all", sampler: sdktrace.AlwaysSample()}
	parentElse1 = sampling{name: "SDK samples as the parent, else all", sampler: sdktrace.ParentBased(sdktrace.AlwaysSample())}
	parentElse0 = sampling{name: "SDK samples as the parent, else nothing", sampler: sdktrace.ParentBased(sdktrace.NeverSample())}

	// Where no span is exported, whatever comes in.
	unsampled = []sampling{noSDK, noopSDK, never, recording}
)

// provider returns the tracer provider and what it exports.
func (s sampling) provider(t testing.TB) (trace.TracerProvider, *tracetest.InMemoryExporter) {
	exporter := tracetest.NewInMemoryExporter()
	if s.none != nil {
		return s.none(), exporter
	}
	sdk := sdktrace.NewTracerProvider(
		sdktrace.WithSyncer(exporter), sdktrace.WithSampler(s.sampler), sdktrace.WithIDGenerator(new(numbered)))
	t.Cleanup(func() { assert.NoError(t, sdk.Shutdown(context.Background())) })
	return sdk, exporter
}

// stack is an order in which a client's round-trippers are stacked.
type stack struct {
	name string
	wrap func(base http.RoundTripper, instrument func(http.RoundTripper) http.RoundTripper) http.RoundTripper
}

var (
	alone = stack{"otelhttp alone", func(base http.RoundTripper, instrument func(http.RoundTripper) http.RoundTripper) http.RoundTripper {
		return instrument(base)
	}}
	stacked = []stack{
		{"otelhttp around Transport", func(base http.RoundTripper, instrument func(http.RoundTripper) http.RoundTripper) http.RoundTripper {
			return instrument(&middleware.Transport{Base: base})
		}},
		{"Transport around otelhttp", func(base http.RoundTripper, instrument func(http.RoundTripper) http.RoundTripper) http.RoundTripper {
			return &middleware.Transport{Base: instrument(base)}
		}},
	}
)

// hop is a service that is called once and makes one call meanwhile.
type hop struct {
	sampling   sampling
	propagator propagation.TextMapPropagator
	relay      func(http.Handler) http.Handler // outside otelhttp; nil: none
	inside     func(http.Handler) http.Handler // inside it
	server     []otelhttp.Option
	client     []otelhttp.Option
	nested     [2]bool // instrumentation around instrumentation, of the server and of the client
	handle     func(context.Context) context.Context
	own        []string          // headers that the handler gives to its call
	base       http.RoundTripper // of the client; nil: one of net/http's
}

// service returns the handler of the hop, whose client stacks its
// round-trippers as given and calls url.
func (h hop) service(t testing.TB, s stack, provider trace.TracerProvider, url string) http.Handler {
	options := []otelhttp.Option{otelhttp.WithTracerProvider(provider), otelhttp.WithPropagators(h.propagator)}
	base := h.base
	if base == nil {
		base = newTransport(t)
	}
	client := &http.Client{Transport: s.wrap(base, func(rt http.RoundTripper) http.RoundTripper {
		instrument := func(rt http.RoundTripper) http.RoundTripper {
			return otelhttp.NewTransport(rt, append(slices.Clone(options), h.client...)...)
		}
		if h.nested[1] {
			rt = instrument(rt)
		}
		return instrument(rt)
	})}
	var handler http.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if h.handle != nil {
			ctx = h.handle(ctx)
		}
		call(ctx, t, client, url, headers(h.own...))
	})
	if h.inside != nil {
		handler = h.inside(handler)
	}
	instrument := func(next http.Handler) http.Handler {
		return otelhttp.NewHandler(next, "serve", append(slices.Clone(options), h.server...)...)
	}
	if h.nested[0] {
		handler = instrument(handler)
	}
	handler = instrument(handler)
	if h.relay != nil {
		handler = h.relay(handler)
	}
	return handler
}

// newTransport returns a transport of the test's own: one httptest.Server that
// closes would close the idle connections of http.DefaultTransport to another.
func newTransport(t testing.TB) *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// request calls url from outside.
func request(t testing.TB, url string, in []string) {
	call(t.Context(), t, &http.Client{Transport: newTransport(t)}, url, headers(in...))
}

// local sends requests to a handler as net/http's server would, without a
// network.
type local struct{ http.Handler }

func (l local) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(context.WithValue(context.Background(), http.ServerContextKey, new(http.Server)))
	in.Body = http.NoBody
	w := httptest.NewRecorder()
	l.ServeHTTP(w, in)
	return w.Result(), nil
}

// call makes one call and waits until it is over, the client's span included.
func call(ctx context.Context, t testing.TB, client *http.Client, url string, own http.Header) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if !assert.NoError(t, err) {
		return
	}
	req.Header = own.Clone()
	res, err := client.Do(req)
	if !assert.NoError(t, err) {
		return
	}
	_, err = io.Copy(io.Discard, res.Body)
	assert.NoError(t, err)
	assert.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.Equal(t, own, req.Header, "the caller's request was modified")
}

func serve(t testing.TB, handler http.Handler) (url string) {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// upstream records the headers of every request, without those that net/http
// adds to all of them.
type upstream struct{ arrived chan http.Header }

func newUpstream() upstream { return upstream{make(chan http.Header, 10)} }

func (u upstream) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	h := r.Header.Clone()
	for _, name := range []string{"User-Agent", "Accept-Encoding", "Referer"} {
		h.Del(name)
	}
	u.arrived <- h
}

// run sends in through the hop, and returns what arrived and was exported.
func (h hop) run(t *testing.T, s stack, in []string) (http.Header, []string) {
	t.Helper()
	provider, exporter := h.sampling.provider(t)
	up := newUpstream()
	h.base = local{up}
	client := &http.Client{Transport: local{h.service(t, s, provider, "http://upstream/")}}
	call(t.Context(), t, client, "http://service/", headers(in...))
	require.Len(t, up.arrived, 1)
	return <-up.arrived, tree(exporter.GetSpans())
}

// tree says which exported span is below which, in the order of their start.
func tree(spans tracetest.SpanStubs) (edges []string) {
	names := map[trace.SpanID]string{mustSpanID(spanID): "inbound", mustSpanID(otherSpan): "other inbound", {}: "nothing"}
	for _, s := range spans {
		id := s.SpanContext.SpanID()
		names[id] = fmt.Sprintf("%s %d", s.SpanKind, binary.BigEndian.Uint32(id[4:]))
	}
	slices.SortFunc(spans, func(a, b tracetest.SpanStub) int {
		return strings.Compare(a.SpanContext.SpanID().String(), b.SpanContext.SpanID().String())
	})
	for _, s := range spans {
		parent, known := names[s.Parent.SpanID()]
		if !known {
			parent = "a phantom"
		}
		edges = append(edges, names[s.SpanContext.SpanID()]+" below "+parent)
	}
	return edges
}

func mustSpanID(hex string) trace.SpanID {
	id, err := trace.SpanIDFromHex(hex)
	if err != nil {
		panic(err)
	}
	return id
}

// row is a case of a table: what comes in, and exactly what goes out.
type row struct {
	name string
	hop  hop
	in   []string
	want []string

	// alone is what goes out where no Transport is stacked with otelhttp: nil
	// is the same, and empty nothing.
	alone []string

	spans []string
}

// below are the spans of a plain hop whose SDK samples all.
var below = []string{"server 1 below inbound", "client 2 below server 1"}

func check(t *testing.T, rows []row) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range append([]stack{alone}, stacked...) {
				want := r.want
				if s.name == alone.name && r.alone != nil {
					want = r.alone
				}
				got, spans := r.hop.run(t, s, r.in)
				assert.Equal(t, headers(want...), got, s.name)
				assert.Equal(t, r.spans, spans, s.name)
			}
		})
	}
}
