package real_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// quiet has the SDK of OpenTelemetry send spans nowhere.
var quiet = []string{"OTEL_TRACES_EXPORTER=none", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none"}

var pythonServices = []service{
	{"FastAPI with OpenTelemetry", fastAPI(), "", []row{
		{families: "request-id,b3,w3c", exit: 1,
			truth: map[string][]string{
				every:   {"x-request-id: -", "b3: -", "x-b3-parentspanid: -", "x-b3-sampled: -", "x-b3-spanid: -", "x-b3-traceid: -", "traceparent: 00-T-s-01"},
				nothing: {"traceparent: 00-t-s"},
			},
			headline: "continues the trace in W3C; drops x-request-id and B3"},
		{families: "w3c", exit: 0,
			truth: map[string][]string{
				every:     {"traceparent: 00-T-s-01"},
				unsampled: {"traceparent: 00-T-s-00"},
				high:      {"traceparent: 00-T-s-01"},
				several:   {"traceparent: 00-T-s-01", "tracestate: tracebaton=SpanS,rojo=S"},
			},
			headline: "continues the trace in W3C"},
		{families: "w3c,baggage", exit: 1,
			truth: map[string][]string{
				every:   {"traceparent: 00-T-s-01", "baggage: userId=AmelieS,serverNode=DF+28,isProduction=false"},
				several: {"traceparent: 00-T-s-01", "tracestate: tracebaton=SpanS,rojo=S", "baggage: userId=AmelieS"},
			},
			headline: "continues the trace in W3C; loses part of baggage"},
	}},
	{"FastAPI with OpenTelemetry, always_on", fastAPI("OTEL_TRACES_SAMPLER=always_on"), "", []row{alwaysOn}},
	{"FastAPI with OpenTelemetry, traceidratio", fastAPI("OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.5"), "", []row{ratio}},
	{"Flask with OpenTelemetry", flask(), "", []row{
		{families: "w3c", exit: 0,
			truth: map[string][]string{
				every:     {"traceparent: 00-T-s-01"},
				unsampled: {"traceparent: 00-T-s-00"},
				high:      {"traceparent: 00-T-s-01"},
			},
			headline: "continues the trace in W3C"},
	}},
	{"Flask with OpenTelemetry, always_on", flask("OTEL_TRACES_SAMPLER=always_on"), "", []row{alwaysOn}},
	{"Flask with OpenTelemetry, traceidratio", flask("OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.5"), "", []row{ratio}},
	// As Bookinfo's productpage.
	{"Flask with OpenTelemetry, b3multi", flask("OTEL_PROPAGATORS=b3multi"), "", []row{
		{families: "b3", exit: 0,
			truth: map[string][]string{
				every:     {"b3: -", "x-b3-parentspanid: -", "x-b3-spanid: s"},
				unsampled: {"b3: -", "x-b3-parentspanid: -", "x-b3-spanid: s"},
				short:     {"x-b3-parentspanid: -", "x-b3-spanid: s", "x-b3-traceid: 0000000000000000T"},
				denied:    {"x-b3-sampled: 1", "x-b3-spanid: s", "x-b3-traceid: t"},
			},
			headline: "continues the trace in B3"},
	}},
	{"Flask with OpenTelemetry, jaeger", flask("OTEL_PROPAGATORS=jaeger"), "", []row{
		{families: "jaeger", exit: 0,
			truth: map[string][]string{
				// The random bit of the SDK's flags is Jaeger's debug.
				every:     {"uber-trace-id: T:s:s:03"},
				unsampled: {"uber-trace-id: T:s:s:00"},
			},
			headline: "continues the trace in Jaeger"},
	}},
	{"Flask that copies headers", plainFlask, "", []row{
		{families: "request-id,b3,w3c", exit: 1,
			truth:    map[string][]string{every: {"x-request-id: -", "b3: -", "x-b3-parentspanid: -", "x-b3-sampled: -", "x-b3-spanid: -", "x-b3-traceid: -", "traceparent: -", "tracestate: -"}},
			headline: "drops x-request-id, B3 and W3C"},
		{path: "/loop?url={upstream}", families: "request-id,b3,w3c", exit: 1,
			truth: map[string][]string{
				every:   {"b3: -", "traceparent: -", "tracestate: -"},
				denied:  {},
				nothing: {},
			},
			headline: "whole where sidecars read B3; broken where they read W3C"},
		{path: "/loop?url={upstream}", families: "request-id,b3", exit: 0,
			truth: map[string][]string{
				every: {"b3: -"},
				short: {},
			},
			headline: "relays x-request-id and B3"},
		{path: "/empties?url={upstream}", families: "request-id,b3", exit: 1,
			truth: map[string][]string{
				every:   {"b3: -", "x-b3-flags: "},
				nothing: {"x-request-id: ", "x-b3-flags: ", "x-b3-parentspanid: ", "x-b3-sampled: ", "x-b3-spanid: ", "x-b3-traceid: "},
			},
			headline: "sends empty headers of x-request-id and B3"},
	}},
}

// alwaysOn and ratio are what two samplers do that ask no parent.
var (
	alwaysOn = row{families: "w3c", exit: 1,
		truth: map[string][]string{
			every:     {"traceparent: 00-T-s-01"},
			unsampled: {"traceparent: 00-T-s-01"},
			high:      {"traceparent: 00-T-s-01"},
		},
		headline: "overrides sampling in W3C"}
	ratio = row{families: "w3c", exit: 1,
		truth:    map[string][]string{high: {"traceparent: 00-T-s-00"}},
		headline: "overrides sampling in W3C"}
)

func fastAPI(env ...string) func(t *testing.T, addr, upstream string) {
	return func(t *testing.T, addr, _ string) {
		need(t, "python3")
		bin := filepath.Join(python.in(t), "bin")
		_, port, _ := strings.Cut(addr, ":")
		run(t, addr, append(quiet, env...), filepath.Join(bin, "opentelemetry-instrument"), filepath.Join(bin, "uvicorn"),
			"--app-dir", "testdata/python", "fastapi_app:app", "--port", port, "--no-access-log")
	}
}

func flask(env ...string) func(t *testing.T, addr, upstream string) {
	return func(t *testing.T, addr, _ string) {
		need(t, "python3")
		bin := filepath.Join(python.in(t), "bin")
		_, port, _ := strings.Cut(addr, ":")
		run(t, addr, append(quiet, env...), filepath.Join(bin, "opentelemetry-instrument"), filepath.Join(bin, "flask"),
			"--app", "testdata/python/flask_app", "run", "--port", port)
	}
}

func plainFlask(t *testing.T, addr, _ string) {
	need(t, "python3")
	bin := filepath.Join(python.in(t), "bin")
	_, port, _ := strings.Cut(addr, ":")
	run(t, addr, nil, filepath.Join(bin, "flask"), "--app", "testdata/python/flask_app", "run", "--port", port)
}
