package spans_test

import (
	"bytes"
	"compress/gzip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/cmd/tracebaton/internal/spans"
	"github.com/tracebaton/tracebaton/internal/audit"
)

// The same call in each format: flaskapp's sidecar calls httpbin.
const (
	zipkinCall = `{"traceId":"463ac35c9f6413ad48485a3953bb6124","id":"a2fb4a1d1a96d312","parentId":"0020000000000001","kind":"CLIENT",
		"name":"httpbin.default.svc.cluster.local:8000/*","timestamp":1767225600000001,"duration":2500,
		"localEndpoint":{"serviceName":"flaskapp.default","ipv4":"10.1.2.3","port":0},
		"tags":{"component":"proxy","node_id":"sidecar~10.1.2.3~flaskapp-v1-7d.default~default.svc.cluster.local",
		"upstream_cluster":"outbound|8000|v1|httpbin.default.svc.cluster.local","http.method":"GET","http.url":"http://httpbin:8000/headers",
		"guid:x-request-id":"4a1e4d0e-0000-9000-8000-000000000000","istio.canonical_revision":"v1","http.status_code":"200"}}`
	jaegerCall = `{"traceID":"463ac35c9f6413ad48485a3953bb6124","spans":[{"traceID":"463ac35c9f6413ad48485a3953bb6124","spanID":"a2fb4a1d1a96d312",
		"operationName":"httpbin.default.svc.cluster.local:8000/*","references":[{"refType":"CHILD_OF","traceID":"463ac35c9f6413ad48485a3953bb6124","spanID":"0020000000000001"}],
		"startTime":1767225600000001,"duration":2500,"processID":"p1","logs":[],"warnings":null,
		"tags":[{"key":"span.kind","type":"string","value":"client"},{"key":"component","type":"string","value":"proxy"},
		{"key":"node_id","type":"string","value":"sidecar~10.1.2.3~flaskapp-v1-7d.default~default.svc.cluster.local"},
		{"key":"upstream_cluster","type":"string","value":"outbound|8000|v1|httpbin.default.svc.cluster.local"},
		{"key":"guid:x-request-id","type":"string","value":"4a1e4d0e-0000-9000-8000-000000000000"},
		{"key":"istio.canonical_revision","type":"string","value":"v1"},{"key":"http.status_code","type":"int64","value":200}]}],
		"processes":{"p1":{"serviceName":"flaskapp.default","tags":[{"key":"ip","type":"string","value":"10.1.2.3"}]}},"warnings":null}`
	otlpCall = `{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"flaskapp.default"}}]},
		"scopeSpans":[{"scope":{},"spans":[{"traceId":"463ac35c9f6413ad48485a3953bb6124","spanId":"a2fb4a1d1a96d312","parentSpanId":"0020000000000001",
		"name":"egress httpbin","kind":3,"startTimeUnixNano":"1767225600000001000","endTimeUnixNano":"1767225600002501000",
		"attributes":[{"key":"component","value":{"stringValue":"proxy"}},{"key":"node_id","value":{"stringValue":"sidecar~10.1.2.3~flaskapp-v1-7d.default~default.svc.cluster.local"}},
		{"key":"upstream_cluster","value":{"stringValue":"outbound|8000|v1|httpbin.default.svc.cluster.local"}},
		{"key":"guid:x-request-id","value":{"stringValue":"4a1e4d0e-0000-9000-8000-000000000000"}},
		{"key":"istio.canonical_revision","value":{"stringValue":"v1"}},{"key":"http.status_code","value":{"intValue":"200"}}]}]}]}`
)

var call = audit.Span{
	Service: "flaskapp.default", Pod: "flaskapp-v1-7d.default", Version: "v1", Proxy: true, Format: audit.B3, Kind: audit.Client,
	Trace: audit.TraceID{High: 0x463ac35c9f6413ad, Low: 0x48485a3953bb6124}, ID: 0xa2fb4a1d1a96d312, Parent: 0x20000000000001,
	Start: time.UnixMicro(1767225600000001), Duration: 2500 * time.Microsecond,
	Callee: "httpbin.default.svc.cluster.local", RequestID: "4a1e4d0e-0000-9000-8000-000000000000",
}

func read(t *testing.T, in string) (got []audit.Span, r *spans.Reader, err error) {
	t.Helper()
	r = &spans.Reader{Span: func(s audit.Span) {
		s.Start = s.Start.Local()
		got = append(got, s)
	}}
	err = r.Read(strings.NewReader(in))
	return got, r, err
}

func compress(t *testing.T, how, in string) string {
	t.Helper()
	var b bytes.Buffer
	switch how {
	case "gzip":
		z := gzip.NewWriter(&b)
		_, err := z.Write([]byte(in))
		require.NoError(t, err)
		require.NoError(t, z.Close())
	case "zstd":
		z, err := zstd.NewWriter(&b)
		require.NoError(t, err)
		_, err = z.Write([]byte(in))
		require.NoError(t, err)
		require.NoError(t, z.Close())
	}
	return b.String()
}

func TestReadsEachFormat(t *testing.T) {
	tests := []struct {
		name, in string
		n        int
	}{
		{"a list of Zipkin's spans", "[" + zipkinCall + "," + zipkinCall + "]", 2},
		{"Zipkin's traces", "[[" + zipkinCall + "],[" + zipkinCall + "," + zipkinCall + "]]", 3},
		{"Zipkin's spans, one by one", zipkinCall + "\n" + zipkinCall + "\n", 2},
		{"Jaeger's answer, and what its UI saves", `{"data":[` + jaegerCall + "," + jaegerCall + `],"total":0,"limit":0,"offset":0,"errors":null}`, 2},
		{"the same in another order", `{"errors":null,"data":[` + jaegerCall + `]}`, 1},
		{"a trace of Jaeger's", jaegerCall, 1},
		{"a list of Jaeger's traces", "[" + jaegerCall + "," + jaegerCall + "]", 2},
		{"OTLP", `{"resourceSpans":[` + otlpCall + "," + otlpCall + `]}`, 2},
		{"OTLP in lines, as the Collector writes them", `{"resourceSpans":[` + otlpCall + "]}\n" + `{"resourceSpans":[` + otlpCall + "]}\n", 2},
		{"OTLP of old names", `{"resourceSpans":[` + strings.ReplaceAll(otlpCall, "scopeSpans", "instrumentationLibrarySpans") + `]}`, 1},
		{"OTLP with kinds as words and IDs in base64", `{"resourceSpans":[` + strings.NewReplacer(
			`"kind":3`, `"kind":"SPAN_KIND_CLIENT"`, "463ac35c9f6413ad48485a3953bb6124", "RjrDXJ9kE61ISFo5U7thJA==", "a2fb4a1d1a96d312", "ovtKHRqW0xI=", "0020000000000001", "ACAAAAAAAAE=",
		).Replace(otlpCall) + `]}`, 1},
		{"Jaeger's answer of version 3", `{"result":{"resourceSpans":[` + otlpCall + `]}}` + "\n" + `{"result":{"resourceSpans":[` + otlpCall + `]}}`, 2},
		{"gzip", compress(t, "gzip", "["+zipkinCall+"]"), 1},
		{"zstd", compress(t, "zstd", `{"resourceSpans":[`+otlpCall+"]}\n"), 1},
		{"a field of another type", "[" + strings.Replace(zipkinCall, `"http.status_code":"200"`, `"http.method":200`, 1) + "]", 1},
		{"nothing", "", 0},
		{"an empty list", "[]", 0},
		{"an answer of nothing", `{"data":null}`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, r, err := read(t, tt.in)
			require.NoError(t, err)
			require.Len(t, got, tt.n)
			assert.Equal(t, tt.n, r.Spans)
			assert.Zero(t, r.Unreadable)
			for _, s := range got {
				want := call
				want.Start = want.Start.Local()
				assert.Equal(t, want, s)
			}
		})
	}
}

func TestTellsWhatATracerSpeaks(t *testing.T) {
	tests := []struct {
		name, tags string
		want       audit.Format
	}{
		{"Envoy's Zipkin tracer", `"component":"proxy","node_id":"sidecar~1~a.b~c"`, audit.B3},
		{"Envoy's OpenTelemetry tracer", `"component":"proxy","node_id":"sidecar~1~a.b~c","telemetry.sdk.name":"envoy"`, audit.W3C},
		{"a proxy that is no Envoy", `"component":"proxy"`, audit.Unknown},
		{"OpenTelemetry's SDK", `"telemetry.sdk.name":"opentelemetry"`, audit.W3C},
		{"OpenTelemetry's SDK, by what its exporter for Zipkin leaves", `"otel.scope.name":"net/http"`, audit.W3C},
		{"the same of old", `"otel.library.name":"net/http"`, audit.W3C},
		{"another maker's SDK", `"telemetry.sdk.name":"io.example"`, audit.Unknown},
		{"Jaeger's clients", `"jaeger.version":"Go-2.30.0"`, audit.Jaeger},
		{"Brave, which may be told either", `"http.method":"GET"`, audit.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			zipkin, _, err := read(t, `{"traceId":"1","id":"1","kind":"CLIENT","localEndpoint":{"serviceName":"a"},"tags":{`+tt.tags+`}}`)
			require.NoError(t, err)
			attributes := regexp.MustCompile(`("[^"]*"):("[^"]*")`).ReplaceAllString(tt.tags, `{"key":$1,"value":{"stringValue":$2}}`)
			otlp, _, err := read(t, `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}},`+attributes+`]},
				"scopeSpans":[{"spans":[{"traceId":"1","spanId":"1","kind":3,"startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}`)
			require.NoError(t, err)
			for _, got := range [][]audit.Span{zipkin, otlp} {
				require.Len(t, got, 1)
				assert.Equal(t, tt.want, got[0].Format)
			}
		})
	}
}

func TestKeepsWhatCameBeforeAnError(t *testing.T) {
	for name, in := range map[string]string{
		"cut off":         "[" + zipkinCall + `,{"traceId":"46`,
		"no JSON":         zipkinCall + "\n<html>",
		"a number":        zipkinCall + "\n5",
		"data is no list": zipkinCall + `{"data":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := read(t, in)
			require.ErrorContains(t, err, "read JSON at byte")
			assert.Len(t, got, 1)
		})
	}
}

func TestLeavesOutWhatHasNoID(t *testing.T) {
	for _, bad := range []string{`"id":"xyz"`, `"id":"1234567890abcdef0"`} {
		got, r, err := read(t, "["+zipkinCall+","+strings.Replace(zipkinCall, `"id":"a2fb4a1d1a96d312"`, bad, 1)+"]")
		require.NoError(t, err)
		assert.Len(t, got, 1)
		assert.Equal(t, 1, r.Unreadable)
	}
}

func TestWhatAttributesMean(t *testing.T) {
	tests := []struct {
		name, kind, tags string
		check            func(*testing.T, audit.Span)
	}{
		{"a gateway's node", "CLIENT", `"component":"proxy","node_id":"router~10.1.1.1~gw-1.istio-system~x"`, func(t *testing.T, s audit.Span) {
			assert.True(t, s.Gateway)
			assert.Equal(t, "gw-1.istio-system", s.Pod)
		}},
		{"a request's route is its path", "SERVER", `"http.method":"GET","http.url":"http://flaskapp/fetch?url=http://httpbin:8000/x"`, func(t *testing.T, s audit.Span) {
			assert.Equal(t, "GET /fetch", s.Route)
		}},
		{"a framework's route goes first", "SERVER", `"http.request.method":"GET","url.path":"/users/7","http.route":"/users/:id"`, func(t *testing.T, s audit.Span) {
			assert.Equal(t, "GET /users/:id", s.Route)
		}},
		{"gRPC's has a service and a method", "SERVER", `"rpc.service":"pkg.Users","rpc.method":"Get"`, func(t *testing.T, s audit.Span) {
			assert.Equal(t, "pkg.Users/Get", s.Route)
		}},
		{"a URL without a path has the root", "SERVER", `"http.method":"GET","http.url":"http://flaskapp"`, func(t *testing.T, s audit.Span) {
			assert.Equal(t, "GET /", s.Route)
		}},
		{"without any, the name is the route", "CONSUMER", ``, func(t *testing.T, s audit.Span) {
			assert.Equal(t, audit.Server, s.Kind)
			assert.Equal(t, "a name", s.Route)
		}},
		{"past the mesh, the URL says who is called", "CLIENT", `"upstream_cluster":"PassthroughCluster","http.url":"https://user@api.example.com:8443/x"`, func(t *testing.T, s audit.Span) {
			assert.Equal(t, "api.example.com", s.Callee)
		}},
		{"a cluster of any name is a callee", "CLIENT", `"upstream_cluster":"httpbin"`, func(t *testing.T, s audit.Span) {
			assert.Equal(t, "httpbin", s.Callee)
		}},
		{"an SDK's server.address is one", "CLIENT", `"server.address":"prices","url.full":"http://prices:80/x"`, func(t *testing.T, s audit.Span) {
			assert.Equal(t, "prices", s.Callee)
			assert.False(t, s.Proxy)
		}},
		{"a topic is one", "PRODUCER", `"messaging.destination.name":"orders"`, func(t *testing.T, s audit.Span) {
			assert.Equal(t, audit.Client, s.Kind)
			assert.Equal(t, "orders", s.Callee)
		}},
		{"a database is none", "CLIENT", `"db.system":"redis","server.address":"cache"`, func(t *testing.T, s audit.Span) {
			assert.Equal(t, audit.Other, s.Kind)
		}},
		{"a proxy's way to its own application is none", "CLIENT", `"upstream_cluster":"inbound|8080||"`, func(t *testing.T, s audit.Span) {
			assert.Equal(t, audit.Other, s.Kind)
		}},
		{"without a node, the address is the pod", "SERVER", `"istio.canonical_service":"cart"`, func(t *testing.T, s audit.Span) {
			assert.Equal(t, "cart10.9.8.7", s.Pod)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := read(t, `[{"traceId":"1","id":"2","kind":"`+tt.kind+`","name":"a name","timestamp":1,"localEndpoint":{"serviceName":"s","ipv4":"10.9.8.7"},"tags":{`+tt.tags+`}}]`)
			require.NoError(t, err)
			require.Len(t, got, 1)
			tt.check(t, got[0])
		})
	}
}

func TestElementThatIsTooLargeIsRefused(t *testing.T) {
	r := &spans.Reader{}
	err := r.Read(bytes.NewReader(append([]byte(`[{"id":"`), bytes.Repeat([]byte("a"), 130<<20)...)))
	assert.ErrorContains(t, err, "more than 128 MB")
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{"[" + zipkinCall + "]", jaegerCall, `{"data":[` + jaegerCall + `]}`, `{"resourceSpans":[` + otlpCall + "]}\n", `{"result":{"resourceSpans":[` + otlpCall + `]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n := 0
		r := spans.Reader{Span: func(s audit.Span) {
			n++
			if s.Service == "" || s.Trace == (audit.TraceID{}) {
				t.Fatalf("%+v", s)
			}
		}}
		_ = r.Read(bytes.NewReader(in))
		if n+r.Unreadable != r.Spans {
			t.Fatal(n, r.Unreadable, r.Spans)
		}
	})
}
