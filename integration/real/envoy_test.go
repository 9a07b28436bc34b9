package real_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/envoy"
)

// pods are services between two sidecars. nginx is the perfect relay.
var pods = []service{
	{"nginx between sidecars, Zipkin's tracer", nginx, envoy.Zipkin, []row{
		{path: "/", families: "request-id,b3,w3c", exit: 0,
			truth: map[string][]string{
				every:     {"b3: T-s-1-s"},
				unsampled: {"x-request-id: R", "b3: T-s-0-s"},
				short:     {"x-b3-parentspanid: s", "x-b3-spanid: s"},
			},
			headline: "continues the trace in B3; relays x-request-id and W3C"},
	}},
	{"nginx between sidecars, OpenTelemetry's tracer", nginx, envoy.OpenTelemetry, []row{
		{path: "/", families: "request-id,b3,w3c", exit: 0,
			truth: map[string][]string{
				every:     {"traceparent: 00-T-s-01"},
				unsampled: {"x-request-id: R", "traceparent: 00-T-s-00"},
				nothing:   {"x-request-id: r", "traceparent: 00-t-s", "tracestate: "},
			},
			headline: "continues the trace in W3C; relays x-request-id and B3"},
		{path: "/request-id", families: "request-id,w3c", exit: 1,
			truth:    map[string][]string{every: {"x-request-id: t", "traceparent: 00-T-s-01"}},
			headline: "continues the trace in W3C; drops x-request-id"},
	}},
	{"nginx between sidecars, Datadog's tracer", nginx, envoy.Datadog, []row{
		{path: "/", families: "request-id,datadog", exit: 0,
			truth:    map[string][]string{every: {"x-datadog-parent-id: d"}},
			headline: "continues the trace in Datadog; relays x-request-id"},
	}},
	{"Flask between sidecars, Zipkin's tracer", plainFlask, envoy.Zipkin, []row{
		{path: "/loop?url={upstream}", families: "request-id,b3", exit: 0,
			truth: map[string][]string{
				every:  {"b3: -", "x-b3-parentspanid: S", "x-b3-spanid: s"},
				denied: {"x-request-id: R", "x-b3-parentspanid: s", "x-b3-spanid: s", "x-b3-traceid: t"},
			},
			headline: "continues the trace in B3; relays x-request-id"},
		{path: "/?url={upstream}", families: "request-id,b3", exit: 1,
			truth:    map[string][]string{every: {"x-request-id: r", "b3: -", "x-b3-parentspanid: -", "x-b3-spanid: s", "x-b3-traceid: t"}},
			headline: "drops x-request-id and B3"},
	}},
	{"Flask between sidecars, OpenTelemetry's tracer", plainFlask, envoy.OpenTelemetry, []row{
		{path: "/loop?url={upstream}", families: "request-id,b3,w3c", exit: 1,
			truth:    map[string][]string{every: {"b3: -", "traceparent: 00-t-s", "tracestate: "}},
			headline: "whole where sidecars read B3; broken where they read W3C"},
		{path: "/?url={upstream}", families: "request-id,w3c", exit: 1,
			truth:    map[string][]string{every: {"x-request-id: r", "traceparent: 00-t-s", "tracestate: "}},
			headline: "drops x-request-id and W3C"},
	}},
}

// sidecars are those of a pod: inbound passes requests on to the service, and
// outbound its calls to the upstream.
func sidecars(t *testing.T, tracer envoy.Tracer, inbound, service, outbound, upstream string) {
	t.Helper()
	binary := envoy.Need(t)
	spans := envoy.Collect(t)
	unread, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = unread.Close() })
	envoy.Start(t, binary, envoy.Config{
		Service: "real", Zipkin: spans.Addr, OTLP: spans.Addr, Unread: unread.Addr().String(),
		Listeners: []envoy.Listener{
			{Name: "inbound", Addr: inbound, Upstream: service, Inbound: true, Operation: "in", Tracer: tracer},
			{Name: "outbound", Addr: outbound, Upstream: upstream, Operation: "out", Tracer: tracer},
		},
	})
}
