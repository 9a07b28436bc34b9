package spans

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/tracebaton/tracebaton/internal/audit"
)

// zipkinSpan is a span of https://zipkin.io/zipkin-api/ (v2).
type zipkinSpan struct {
	TraceID   string   `json:"traceId"`
	ID        string   `json:"id"`
	ParentID  string   `json:"parentId"`
	Kind      string   `json:"kind"`
	Name      string   `json:"name"`
	Timestamp int64    `json:"timestamp"` // µs
	Duration  int64    `json:"duration"`
	Local     endpoint `json:"localEndpoint"`
	Remote    endpoint `json:"remoteEndpoint"`
	Tags      facts    `json:"tags"`
}

type endpoint struct {
	ServiceName string `json:"serviceName"`
	IPv4        string `json:"ipv4"`
	IPv6        string `json:"ipv6"`
}

func (z *zipkinSpan) span() (audit.Span, bool) {
	f := &z.Tags
	f.service, f.name = z.Local.ServiceName, z.Name
	f.address = z.Local.IPv4 + z.Local.IPv6
	f.Kind, f.peer = z.Kind, z.Remote.ServiceName
	return f.span(z.TraceID, z.ID, z.ParentID, time.UnixMicro(z.Timestamp), time.Duration(z.Duration)*time.Microsecond)
}

// jaegerSpan is a span of https://www.jaegertracing.io/docs/latest/apis/#http-json
// (internal, but stable since 2017).
type jaegerSpan struct {
	TraceID      string `json:"traceID"`
	SpanID       string `json:"spanID"`
	ParentSpanID string `json:"parentSpanID"`
	Name         string `json:"operationName"`
	References   []struct {
		TraceID string `json:"traceID"`
		SpanID  string `json:"spanID"`
	} `json:"references"`
	StartTime int64    `json:"startTime"` // µs
	Duration  int64    `json:"duration"`
	Tags      []tag    `json:"tags"`
	ProcessID string   `json:"processID"`
	Process   *process `json:"process"`
}

type tag struct {
	Key   string `json:"key"`
	Value text   `json:"value"`
}

type process struct {
	ServiceName string `json:"serviceName"`
	Tags        []tag  `json:"tags"`
}

func (j *jaegerSpan) span(processes map[string]process) (audit.Span, bool) {
	p := processes[j.ProcessID]
	if j.Process != nil {
		p = *j.Process
	}
	f := facts{service: p.ServiceName, name: j.Name}
	for _, tags := range [][]tag{p.Tags, j.Tags} {
		for i := range tags {
			f.set(tags[i].Key, string(tags[i].Value))
		}
	}
	parent := j.ParentSpanID
	for _, r := range j.References {
		if parent == "" && r.TraceID == j.TraceID {
			parent = r.SpanID
		}
	}
	return f.span(j.TraceID, j.SpanID, parent, time.UnixMicro(j.StartTime), time.Duration(j.Duration)*time.Microsecond)
}

// resourceSpans is of OTLP's JSON:
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding.
type resourceSpans struct {
	Resource struct {
		Attributes []attribute `json:"attributes"`
	} `json:"resource"`
	ScopeSpans   []scopeSpans `json:"scopeSpans"`
	LibrarySpans []scopeSpans `json:"instrumentationLibrarySpans"` // until 2022
}

type scopeSpans struct {
	Spans []otlpSpan `json:"spans"`
}

type otlpSpan struct {
	TraceID    string      `json:"traceId"`
	SpanID     string      `json:"spanId"`
	Parent     string      `json:"parentSpanId"`
	Name       string      `json:"name"`
	Kind       text        `json:"kind"`
	Start      text        `json:"startTimeUnixNano"`
	End        text        `json:"endTimeUnixNano"`
	Attributes []attribute `json:"attributes"`
}

type attribute struct {
	Key   string `json:"key"`
	Value struct {
		String string `json:"stringValue"`
	} `json:"value"`
}

var otlpKinds = map[text]string{
	"2": "server", "SPAN_KIND_SERVER": "server",
	"3": "client", "SPAN_KIND_CLIENT": "client",
	"4": "producer", "SPAN_KIND_PRODUCER": "producer",
	"5": "consumer", "SPAN_KIND_CONSUMER": "consumer",
}

func (r *resourceSpans) each(yield func(audit.Span, bool)) {
	var resource facts
	for i := range r.Resource.Attributes {
		a := &r.Resource.Attributes[i]
		resource.set(a.Key, a.Value.String)
	}
	for _, scopes := range [][]scopeSpans{r.ScopeSpans, r.LibrarySpans} {
		for i := range scopes {
			for j := range scopes[i].Spans {
				s := &scopes[i].Spans[j]
				f := resource
				f.name, f.Kind = s.Name, otlpKinds[s.Kind]
				for k := range s.Attributes {
					f.set(s.Attributes[k].Key, s.Attributes[k].Value.String)
				}
				start, errStart := strconv.ParseInt(string(s.Start), 10, 64)
				end, errEnd := strconv.ParseInt(string(s.End), 10, 64)
				span, ok := f.span(s.TraceID, s.SpanID, s.Parent, time.Unix(0, start), time.Duration(end-start))
				yield(span, ok && errStart == nil && errEnd == nil)
			}
		}
	}
}

// text is a string, or a number as it is written.
type text string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 1 && b[0] == '"' {
		for _, c := range b {
			if c == '\\' {
				return json.Unmarshal(b, (*string)(t))
			}
		}
		b = b[1 : len(b)-1]
	}
	*t = text(b)
	return nil
}

// facts is what a span's attributes say: Envoy's and Istio's, and
// OpenTelemetry's by their old names and their new ones.
type facts struct {
	service, name, address, peer string

	Kind       string `json:"span.kind"`
	Component  string `json:"component"`
	Node       string `json:"node_id"`
	Cluster    string `json:"upstream_cluster"`
	StatName   string `json:"upstream_cluster.name"`
	RequestID  string `json:"guid:x-request-id"`
	Canonical  string `json:"istio.canonical_service"`
	Revision   string `json:"istio.canonical_revision"`
	Method     string `json:"http.method"`
	NewMethod  string `json:"http.request.method"`
	URL        string `json:"http.url"`
	NewURL     string `json:"url.full"`
	Path       string `json:"url.path"`
	Target     string `json:"http.target"`
	Route      string `json:"http.route"`
	RPCService string `json:"rpc.service"`
	RPCMethod  string `json:"rpc.method"`
	GRPCPath   string `json:"grpc.path"`
	PeerName   string `json:"peer.service"`
	Server     string `json:"server.address"`
	OldServer  string `json:"net.peer.name"`
	Topic      string `json:"messaging.destination.name"`
	Database   string `json:"db.system"`
	NewDB      string `json:"db.system.name"`
	Pod        string `json:"k8s.pod.name"`
	Instance   string `json:"service.instance.id"`
	HostName   string `json:"host.name"`
	OldHost    string `json:"hostname"` // of Jaeger's clients
	IP         string `json:"ip"`
	Version    string `json:"service.version"`
	SDK        string `json:"telemetry.sdk.name"`
	Scope      string `json:"otel.scope.name"`
	OldScope   string `json:"otel.library.name"`
	Jaeger     string `json:"jaeger.version"`
}

// set takes an attribute that came by its name.
func (f *facts) set(key, value string) {
	var field *string
	switch key {
	case "service.name":
		field = &f.service
	case "span.kind":
		field = &f.Kind
	case "component":
		field = &f.Component
	case "node_id":
		field = &f.Node
	case "upstream_cluster":
		field = &f.Cluster
	case "upstream_cluster.name":
		field = &f.StatName
	case "guid:x-request-id":
		field = &f.RequestID
	case "istio.canonical_service":
		field = &f.Canonical
	case "istio.canonical_revision":
		field = &f.Revision
	case "http.method":
		field = &f.Method
	case "http.request.method":
		field = &f.NewMethod
	case "http.url":
		field = &f.URL
	case "url.full":
		field = &f.NewURL
	case "url.path":
		field = &f.Path
	case "http.target":
		field = &f.Target
	case "http.route":
		field = &f.Route
	case "rpc.service":
		field = &f.RPCService
	case "rpc.method":
		field = &f.RPCMethod
	case "grpc.path":
		field = &f.GRPCPath
	case "peer.service":
		field = &f.PeerName
	case "server.address":
		field = &f.Server
	case "net.peer.name":
		field = &f.OldServer
	case "messaging.destination.name":
		field = &f.Topic
	case "db.system":
		field = &f.Database
	case "db.system.name":
		field = &f.NewDB
	case "k8s.pod.name":
		field = &f.Pod
	case "service.instance.id":
		field = &f.Instance
	case "host.name":
		field = &f.HostName
	case "hostname":
		field = &f.OldHost
	case "ip":
		field = &f.IP
	case "service.version":
		field = &f.Version
	case "telemetry.sdk.name":
		field = &f.SDK
	case "otel.scope.name":
		field = &f.Scope
	case "otel.library.name":
		field = &f.OldScope
	case "jaeger.version":
		field = &f.Jaeger
	default:
		return
	}
	*field = value
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (f *facts) span(trace, id, parent string, start time.Time, length time.Duration) (audit.Span, bool) {
	s := audit.Span{
		Service: f.service, Version: first(f.Revision, f.Version), RequestID: f.RequestID,
		Proxy: f.Component == "proxy", Gateway: strings.HasPrefix(f.Node, "router~"), Format: f.format(),
		Start: start, Duration: length,
	}
	var ok, okID, okParent bool
	s.Trace, ok = parseTrace(trace)
	s.ID, okID = parseID(id)
	s.Parent, okParent = parseID(parent)
	if parent == "" {
		okParent = true
	}
	if s.Pod = f.Node; s.Pod == "" {
		s.Pod = first(f.Pod, f.Instance, f.Canonical+f.address, f.HostName, f.OldHost, f.IP)
	} else if parts := strings.Split(f.Node, "~"); len(parts) == 4 { // type, address, pod.namespace, domain
		s.Pod = parts[2]
	}
	switch strings.ToLower(f.Kind) {
	case "server", "consumer":
		s.Kind, s.Route = audit.Server, f.route()
	case "client", "producer":
		// A database relays nothing.
		if s.Callee = f.callee(); f.Database == "" && f.NewDB == "" {
			s.Kind = audit.Client
		}
		// A proxy's way to its own application is no call.
		if strings.HasPrefix(f.Cluster, "inbound|") {
			s.Kind = audit.Other
		}
	default:
		s.Route = f.name
	}
	return s, ok && okID && okParent && s.Service != ""
}

// format returns what the tracer speaks. Envoy's OpenTelemetry tracer names
// itself, and its Zipkin tracer does not. OpenTelemetry's SDKs speak W3C unless
// they are told otherwise.
func (f *facts) format() audit.Format {
	switch {
	case f.Component == "proxy" && f.SDK == "envoy":
		return audit.W3C
	case f.Component == "proxy" && f.SDK == "" && f.Node != "":
		return audit.B3
	case f.Component == "proxy":
		return audit.Unknown
	case f.SDK == "opentelemetry" || first(f.Scope, f.OldScope) != "":
		return audit.W3C
	case f.Jaeger != "":
		return audit.Jaeger
	}
	return audit.Unknown
}

// route returns what was asked for.
func (f *facts) route() string {
	method := first(f.Method, f.NewMethod)
	path := first(f.Route, f.Path, f.Target, f.GRPCPath)
	if path == "" && f.RPCService != "" {
		return f.RPCService + "/" + f.RPCMethod
	}
	if path == "" {
		path = first(f.URL, f.NewURL)
		if _, rest, ok := strings.Cut(path, "://"); ok {
			if i := strings.IndexAny(rest, "/?#"); i >= 0 {
				path = rest[i:]
			} else {
				path = "/"
			}
		}
	}
	path, _, _ = strings.Cut(path, "?")
	switch {
	case path == "":
		return f.name
	case method == "":
		return path
	}
	return method + " " + path
}

// callee returns the host that was called.
func (f *facts) callee() string {
	cluster := first(f.Cluster, strings.TrimSuffix(f.StatName, ";"))
	if parts := strings.Split(cluster, "|"); len(parts) == 4 && parts[3] != "" { // direction, port, subset, host
		return parts[3]
	}
	host := first(f.URL, f.NewURL)
	if _, rest, ok := strings.Cut(host, "://"); ok {
		host = rest
		if i := strings.IndexAny(host, "/?#"); i >= 0 {
			host = host[:i]
		}
		host = host[strings.LastIndexByte(host, '@')+1:]
	} else {
		host = ""
	}
	if cluster == "PassthroughCluster" || cluster == "BlackHoleCluster" {
		cluster = ""
	}
	return withoutPort(first(cluster, f.PeerName, f.Server, f.OldServer, host, f.peer, f.RPCService, f.Topic, f.name))
}

func withoutPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > 0 && strings.IndexByte(host, ':') == i {
		if _, err := strconv.ParseUint(host[i+1:], 10, 16); err == nil {
			return host[:i]
		}
	}
	return host
}

// parseTrace reads the ID of a trace: hex digits, or base64 as some gateways
// write bytes in JSON.
func parseTrace(s string) (t audit.TraceID, ok bool) {
	if len(s) == 24 && strings.HasSuffix(s, "==") {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(b) != 16 {
			return t, false
		}
		for i, c := range b {
			if i < 8 {
				t.High = t.High<<8 | uint64(c)
			} else {
				t.Low = t.Low<<8 | uint64(c)
			}
		}
		return t, t != audit.TraceID{}
	}
	if len(s) > 16 {
		if len(s) > 32 {
			return t, false
		}
		if t.High, ok = hex(s[:len(s)-16]); !ok {
			return t, false
		}
		s = s[len(s)-16:]
	}
	t.Low, ok = hex(s)
	return t, ok && t != audit.TraceID{}
}

func parseID(s string) (uint64, bool) {
	if len(s) == 12 && s[11] == '=' {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(b) != 8 {
			return 0, false
		}
		id := uint64(0)
		for _, c := range b {
			id = id<<8 | uint64(c)
		}
		return id, true
	}
	return hex(s)
}

// hex reads up to 16 hex digits.
func hex(s string) (uint64, bool) {
	v := uint64(0)
	for i := range len(s) {
		d := uint64(0)
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			d = uint64(c - '0')
		case c >= 'a' && c <= 'f':
			d = uint64(c-'a') + 10
		case c >= 'A' && c <= 'F':
			d = uint64(c-'A') + 10
		default:
			return 0, false
		}
		v = v<<4 | d
	}
	return v, len(s) > 0 && len(s) <= 16
}
