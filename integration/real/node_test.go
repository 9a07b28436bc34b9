package real_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// otelNode is OpenTelemetry's way to instrument all there is. Spans are printed:
// with no exporter at all there is no tracer either.
const otelNode = "@opentelemetry/auto-instrumentations-node/register"

func printing(env ...string) []string {
	return append([]string{"OTEL_TRACES_EXPORTER=console", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none", "OTEL_NODE_RESOURCE_DETECTORS=env"}, env...)
}

var nodeServices = []service{
	{"Express with OpenTelemetry", express(otelNode, printing()...), "", []row{
		{families: "w3c,baggage", exit: 0,
			truth: map[string][]string{
				every:     {"traceparent: 00-T-s-01"},
				unsampled: {"traceparent: 00-T-s-00"},
				several:   {"traceparent: 00-T-s-01", "tracestate: tracebaton=SpanS,rojo=S", "baggage: userId=AmelieS,serverNode=DF%2028,isProduction=false"},
			},
			headline: "continues the trace in W3C; relays baggage"},
	}},
	{"Express with OpenTelemetry, always_on", express(otelNode, printing("OTEL_TRACES_SAMPLER=always_on")...), "", []row{alwaysOn}},
	{"Express with OpenTelemetry for the client alone", express(otelNode, printing("OTEL_NODE_ENABLED_INSTRUMENTATIONS=undici")...), "", []row{
		{path: "/fetch?url={upstream}", families: "w3c", exit: 1,
			truth: map[string][]string{
				every:     {"traceparent: 00-t-s", "tracestate: -"},
				unsampled: {"traceparent: 00-t-s", "tracestate: -"},
			},
			headline: "begins a new trace in W3C"},
	}},
	{"Express with dd-trace", express("dd-trace/init", "DD_INSTRUMENTATION_TELEMETRY_ENABLED=false", "DD_REMOTE_CONFIGURATION_ENABLED=false"), "", []row{
		{families: "datadog", exit: 0,
			truth: map[string][]string{
				every:     {"x-datadog-parent-id: d"},
				unsampled: {"x-datadog-parent-id: d"},
				nothing:   {"x-datadog-parent-id: d", "x-datadog-sampling-priority: 1", "x-datadog-tags: _dd.p.tid=s,_dd.p.dm=-0", "x-datadog-trace-id: d"},
			},
			headline: "continues the trace in Datadog"},
		{families: "w3c", exit: 0,
			truth: map[string][]string{
				high:    {"traceparent: 00-T-s-01", "tracestate: dd=t.tid:s;s:1;p:s,tracebaton=SpanS,rojo=S"},
				nothing: {"traceparent: 00-t-s", "tracestate: dd=t.dm:-0;t.tid:s;s:1;p:s,ot=rv:x;th:0"},
			},
			headline: "continues the trace in W3C"},
		{families: "datadog,w3c", exit: 0,
			truth: map[string][]string{
				every:     {"x-datadog-parent-id: d", "traceparent: 00-T-s-01", "tracestate: dd=t.tid:s;o:synthetics;t.dm:-4;s:1;p:s,tracebaton=SpanS,rojo=S"},
				unsampled: {"x-datadog-parent-id: d", "traceparent: 00-T-s-00", "tracestate: dd=t.tid:s;o:synthetics;t.dm:-4;s:0;p:s,tracebaton=SpanS,rojo=S"},
			},
			headline: "continues the trace in Datadog and W3C"},
	}},
	{"Express without a tracer", express(""), "", []row{
		{families: "request-id,w3c", exit: 1,
			truth:    map[string][]string{every: {"x-request-id: -", "traceparent: -", "tracestate: -"}},
			headline: "drops x-request-id and W3C"},
	}},
}

func express(tracer string, env ...string) func(t *testing.T, addr, upstream string) {
	return func(t *testing.T, addr, _ string) {
		need(t, "node", "npm")
		_, port, _ := strings.Cut(addr, ":")
		args := []string{filepath.Join("testdata", "node", "app.js")}
		if tracer != "" {
			args = append([]string{"--require", tracer}, args...)
		}
		env := append([]string{"PORT=" + port, "NODE_PATH=" + filepath.Join(node.in(t), "node_modules")}, env...)
		run(t, addr, env, "node", args...)
	}
}
