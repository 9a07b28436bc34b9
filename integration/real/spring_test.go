package real_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// springServices take minutes to build, so they run with NIGHTLY=1 alone.
var springServices = []service{
	{"Spring Boot with Micrometer and OpenTelemetry", spring("otel", "w3c"), "", []row{
		{families: "w3c,baggage", exit: 1,
			truth: map[string][]string{
				every:     {"traceparent: 00-T-s-01", "baggage: isProduction=false,serverNode=DF%2028,userId=AmelieS"},
				unsampled: {"traceparent: 00-T-s-00", "baggage: isProduction=false,serverNode=DF%2028,userId=AmelieS"},
				// It reads the first of several lines, of whatever header.
				several: {"traceparent: 00-T-s-01", "tracestate: tracebaton=SpanS", "baggage: userId=AmelieS"},
			},
			headline: "loses part of W3C and baggage"},
		{path: "/unmanaged?url={upstream}", families: "w3c", exit: 1,
			truth:    map[string][]string{every: {"traceparent: -", "tracestate: -"}},
			headline: "drops W3C"},
	}},
	{"Spring Boot with Micrometer and OpenTelemetry, B3", spring("otel", "b3_multi"), "", []row{
		{families: "b3", exit: 0,
			truth: map[string][]string{
				every:  {"b3: -", "x-b3-parentspanid: -", "x-b3-spanid: s"},
				short:  {"x-b3-parentspanid: -", "x-b3-spanid: s", "x-b3-traceid: 0000000000000000T"},
				denied: {"x-b3-sampled: 1", "x-b3-spanid: s", "x-b3-traceid: t"},
			},
			headline: "continues the trace in B3"},
	}},
	{"Spring Boot with Micrometer and Brave", spring("brave", "w3c"), "", []row{
		{families: "w3c", exit: 1,
			truth: map[string][]string{
				every:     {"traceparent: 00-T-s-01", "tracestate: -"},
				unsampled: {"traceparent: 00-T-s-00", "tracestate: -"},
			},
			headline: "loses part of W3C"},
	}},
	{"Spring Boot with Micrometer and Brave, B3", spring("brave", "b3_multi"), "", []row{
		{families: "b3", exit: 0,
			truth: map[string][]string{
				every:  {"b3: -", "x-b3-parentspanid: s", "x-b3-spanid: s"},
				short:  {"x-b3-parentspanid: s", "x-b3-spanid: s"},
				denied: {"x-b3-parentspanid: s", "x-b3-spanid: s", "x-b3-traceid: t"},
				debug:  {"x-b3-parentspanid: s", "x-b3-spanid: s", "x-b3-traceid: t"},
			},
			headline: "continues the trace in B3"},
	}},
}

var maven = &packages{name: "spring", lock: []string{"spring/pom.xml", "spring/src/main/java/app/App.java"}, install: func(dir string) (commands [][]string) {
	for _, tracer := range []string{"otel", "brave"} {
		to := filepath.Join(dir, tracer)
		commands = append(commands,
			[]string{"cp", "-r", "testdata/spring", to},
			[]string{"mvn", "--batch-mode", "--quiet", "--file", to, "--activate-profiles", tracer, "package"})
	}
	return commands
}}

func spring(tracer, propagation string) func(t *testing.T, addr, upstream string) {
	return func(t *testing.T, addr, _ string) {
		if os.Getenv("NIGHTLY") == "" {
			t.Skip("NIGHTLY=1 builds it with Maven, which takes minutes the first time")
		}
		need(t, "java", "mvn")
		_, port, _ := strings.Cut(addr, ":")
		run(t, addr, []string{
			"SERVER_ADDRESS=127.0.0.1", "SERVER_PORT=" + port,
			"MANAGEMENT_TRACING_PROPAGATION_TYPE=" + propagation,
			"MANAGEMENT_TRACING_SAMPLING_PROBABILITY=1",
		}, "java", "-jar", filepath.Join(maven.in(t), tracer, "target", "app.jar"))
	}
}
