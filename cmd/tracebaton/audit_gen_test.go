package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tracebaton/tracebaton/internal/audit"
	"github.com/tracebaton/tracebaton/internal/audit/meshsim"
)

// meshOf returns the spans of a mesh that is not special in any way, but for
// one service that drops the trace.
func meshOf(rate, seconds float64) ([]audit.Span, meshsim.Truth) {
	return meshsim.Run(meshsim.Config{Seed: 28, Rate: rate, Seconds: seconds})
}

func parentSpan(s *audit.Span) string {
	if s.Parent == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", s.Parent)
}

func kindOf(s *audit.Span) string {
	if s.Kind == audit.Server {
		return "server"
	}
	return "client"
}

// attributesOf returns what Envoy says in Istio, as names and values.
func attributesOf(s *audit.Span) [][2]string {
	node, cluster, url := "sidecar", "inbound|8080||", "http://"+s.Service+strings.TrimPrefix(s.Route, "GET ")+"?n=1"
	if s.Gateway {
		node = "router"
	}
	if s.Kind == audit.Client {
		cluster, url = "outbound|80||"+s.Callee, "http://"+s.Callee+"/"
	}
	return [][2]string{
		{"component", "proxy"}, {"node_id", node + "~10.0.0.1~" + s.Pod + "~default.svc.cluster.local"},
		{"guid:x-request-id", s.RequestID}, {"http.method", "GET"}, {"http.protocol", "HTTP/1.1"}, {"http.status_code", "200"},
		{"http.url", url}, {"istio.canonical_revision", s.Version}, {"istio.canonical_service", s.Service}, {"istio.mesh_id", "cluster.local"},
		{"istio.namespace", "default"}, {"peer.address", "10.0.0.2"}, {"request_size", "0"}, {"response_flags", "-"}, {"response_size", "42"},
		{"upstream_cluster", cluster}, {"upstream_cluster.name", cluster}, {"user_agent", "Go-http-client/1.1"},
	}
}

func zipkinOf(b []byte, s *audit.Span) []byte {
	b = fmt.Appendf(b, `{"traceId":%q,"id":"%016x",`, s.Trace, s.ID)
	if p := parentSpan(s); p != "" {
		b = fmt.Appendf(b, `"parentId":%q,`, p)
	}
	b = fmt.Appendf(b, `"kind":%q,"name":"%s.default.svc.cluster.local:80/*","timestamp":%d,"duration":%d,"localEndpoint":{"serviceName":%q,"ipv4":"10.0.0.1","port":0},"tags":{`,
		strings.ToUpper(kindOf(s)), s.Service, s.Start.UnixMicro(), s.Duration.Microseconds(), s.Service)
	for i, kv := range attributesOf(s) {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "%q:%q", kv[0], kv[1])
	}
	return append(b, "}}"...)
}

func jaegerOf(b []byte, s *audit.Span) []byte {
	b = fmt.Appendf(b, `{"traceID":%q,"spans":[{"traceID":%[1]q,"spanID":"%016x","operationName":"op","references":[`, s.Trace, s.ID)
	if p := parentSpan(s); p != "" {
		b = fmt.Appendf(b, `{"refType":"CHILD_OF","traceID":%q,"spanID":%q}`, s.Trace, p)
	}
	b = fmt.Appendf(b, `],"startTime":%d,"duration":%d,"tags":[{"key":"span.kind","type":"string","value":%q}`, s.Start.UnixMicro(), s.Duration.Microseconds(), kindOf(s))
	for _, kv := range attributesOf(s) {
		b = fmt.Appendf(b, `,{"key":%q,"type":"string","value":%q}`, kv[0], kv[1])
	}
	return fmt.Appendf(b, `],"logs":[],"processID":"p1","warnings":null}],"processes":{"p1":{"serviceName":%q,"tags":[{"key":"ip","type":"string","value":"10.0.0.1"}]}},"warnings":null}`, s.Service)
}

func otlpOf(b []byte, s *audit.Span) []byte {
	kind := 3
	if s.Kind == audit.Server {
		kind = 2
	}
	b = fmt.Appendf(b, `{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%q}}]},"scopeSpans":[{"scope":{},"spans":[{"traceId":%q,"spanId":"%016x","parentSpanId":%q,"name":"op","kind":%d,"startTimeUnixNano":"%d","endTimeUnixNano":"%d","attributes":[`,
		s.Service, s.Trace, s.ID, parentSpan(s), kind, s.Start.UnixNano(), s.Start.Add(s.Duration).UnixNano())
	for i, kv := range attributesOf(s) {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"key":%q,"value":{"stringValue":%q}}`, kv[0], kv[1])
	}
	return append(b, "]}]}]}"...)
}

// formats are documents of spans.
var formats = []struct {
	name, begin, between, end string
	span                      func([]byte, *audit.Span) []byte
}{
	{"zipkin", "[", ",\n", "]", zipkinOf},
	{"jaeger", `{"data":[`, ",\n", `],"total":0,"limit":0,"offset":0,"errors":null}`, jaegerOf},
	{"otlp", `{"resourceSpans":[`, "]}\n" + `{"resourceSpans":[`, "]}", otlpOf},
}

// writeSpans writes n spans in that format: those of a mesh, again and again,
// later each time, and in other traces.
func writeSpans(w io.Writer, format int, mesh []audit.Span, n int) error {
	f := formats[format]
	out := bufio.NewWriterSize(w, 1<<20)
	length := mesh[len(mesh)-1].Start.Sub(mesh[0].Start) + time.Second
	var b []byte
	for i := range n {
		s := mesh[i%len(mesh)]
		round := i / len(mesh)
		s.Start = s.Start.Add(time.Duration(round) * length)
		s.Trace.High ^= uint64(round) << 32
		s.RequestID = fmt.Sprint(s.RequestID, round)
		separator := f.between
		if i == 0 {
			separator = f.begin
		}
		b = f.span(append(b[:0], separator...), &s)
		if _, err := out.Write(b); err != nil {
			return err
		}
	}
	if _, err := out.WriteString(f.end); err != nil {
		return err
	}
	return out.Flush()
}
