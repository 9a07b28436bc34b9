package envoy

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"text/template"
)

// Tracer is what a listener's spans are sent with, and so which trace headers
// it reads and writes. Empty is [Zipkin].
type Tracer string

// The tracers of Envoy, with the headers that they read and write.
const (
	Zipkin        Tracer = "zipkin"     // B3
	ZipkinW3C     Tracer = "zipkin-w3c" // B3 and W3C: USE_B3_WITH_W3C_PROPAGATION
	OpenTelemetry Tracer = "otel"       // W3C
	Datadog       Tracer = "datadog"    // x-datadog-*, and W3C
	SkyWalking    Tracer = "skywalking" // sw8
	XRay          Tracer = "xray"       // x-amzn-trace-id
)

// Config is the static configuration of one Envoy.
type Config struct {
	Service   string // whose spans they are: flaskapp.tracebaton
	Admin     string // host:port; empty: any port of 127.0.0.1
	Listeners []Listener

	// Zipkin and OTLP are where spans go, host:port over HTTP. One that no
	// listener's tracer needs may be empty. Unread is where those of the
	// tracers of Datadog and SkyWalking go, whose protocols nobody speaks here.
	Zipkin, OTLP, Unread string

	// Batches is whether spans are sent every five seconds, or five at a time,
	// as Envoy does by default. Otherwise each is sent when it ends.
	Batches bool
}

// Listener is one way into or out of a pod: a sidecar's inbound or outbound
// listener.
type Listener struct {
	Name      string // in access logs and counters
	Addr      string // host:port; empty: any port of 127.0.0.1
	Upstream  string // host:port of where all requests go
	Inbound   bool   // its spans are a server's; otherwise a client's
	Operation string // the spans' name: flaskapp:80/*

	Tracer   Tracer
	Sampling string // percentage of the traces that begin here that are kept; empty: 100

	// Edge is whether requests come from outside the mesh, as to a gateway.
	Edge bool

	// Patch are fields of the HTTP connection manager, as an EnvoyFilter
	// merges them. LateRemove are the names of headers that a route removes,
	// as a VirtualService has it.
	Patch      map[string]any
	LateRemove []string

	// Filters are HTTP filters before the router, as an AuthorizationPolicy or a
	// VirtualService's fault makes them.
	Filters []map[string]any

	GRPC bool // the upstream speaks HTTP/2, as gRPC does

	Timeout string // of a request, 60s for a minute; empty: a minute
	Retries int    // of one that fails

	Internal             string // address whose requests count as internal; empty: none
	AlwaysOn             bool   // the sampler of the OpenTelemetry tracer
	SpawnUpstreamSpan    bool   // a span of the call on, too
	NoContextPropagation bool   // Istio's disableContextPropagation
}

//go:embed sidecar.yaml.tmpl
var sidecar string

var sidecarTemplate = template.Must(template.New("sidecar").Funcs(template.FuncMap{
	"address": func(hostport string) (string, error) {
		host, port, err := net.SplitHostPort(hostport)
		return fmt.Sprintf("{socket_address: {address: %s, port_value: %s}}", host, port), err
	},
	"json": func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	},
	"dict": func(pairs ...string) map[string]string {
		d := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			d[pairs[i]] = pairs[i+1]
		}
		return d
	},
}).Parse(sidecar))

// YAML is the configuration as Envoy reads it.
func (c Config) YAML() ([]byte, error) {
	var b bytes.Buffer
	if err := sidecarTemplate.Execute(&b, c); err != nil {
		return nil, fmt.Errorf("write Envoy's configuration of %s: %w", c.Service, err)
	}
	return b.Bytes(), nil
}
