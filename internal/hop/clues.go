package hop

import (
	"net/http"
	"strings"
)

// Clues are what messages give away about a service.
type Clues struct {
	Language Language
	Spans    bool // it continued a trace: a tracer is at work
	Proxy    bool // it passes all headers on
	Sidecar  bool // a proxy of a mesh is behind it
}

// Language is what a service is written in, or the empty string if that is not
// known.
type Language string

// The languages that there is advice for.
const (
	Go     Language = "Go"
	Python Language = "Python"
	Java   Language = "Java"
	Node   Language = "Node.js"
	DotNet Language = ".NET"
	Ruby   Language = "Ruby"
	PHP    Language = "PHP"
)

// tells are words of User-Agent, Server and X-Powered-By, in lower case.
var tells = []struct {
	word string
	of   Language
}{
	{"go-http-client", Go}, {"grpc-go", Go}, {"fasthttp", Go},
	{"python", Python}, {"aiohttp", Python}, {"werkzeug", Python}, {"gunicorn", Python}, {"uvicorn", Python}, {"hypercorn", Python}, {"wsgiserver", Python},
	{"java", Java}, {"okhttp", Java}, {"reactornetty", Java}, {"jetty", Java}, {"coyote", Java}, {"undertow", Java}, {"servlet", Java}, {"apache-httpclient", Java}, {"armeria", Java},
	{"axios", Node}, {"undici", Node}, {"node", Node}, {"express", Node}, {"next.js", Node},
	{"kestrel", DotNet}, {"asp.net", DotNet}, {"grpc-dotnet", DotNet},
	{"ruby", Ruby}, {"faraday", Ruby}, {"puma", Ruby}, {"phusion", Ruby},
	{"guzzle", PHP}, {"php", PHP}, {"symfony", PHP},
}

// LanguageOf returns the language that the service's call, or else its answer,
// gives away.
func LanguageOf(call, answer http.Header) Language {
	for _, v := range []string{call.Get("User-Agent"), answer.Get("Server"), answer.Get("X-Powered-By")} {
		v = strings.ToLower(v)
		for _, tell := range tells {
			if strings.Contains(v, tell.word) {
				return tell.of
			}
		}
	}
	return ""
}

// Sidecar reports whether the headers bear the marks of a mesh's proxy.
func Sidecar(arrived http.Header) bool {
	for name := range arrived {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-envoy-") || strings.HasPrefix(name, "l5d-") || name == "x-forwarded-client-cert" {
			return true
		}
	}
	return false
}

// advice returns what a service in the language does about the topic, or "".
func (l Language) advice(about topic, spans bool) string {
	switch about {
	case passing:
		return passingIn[l]
	case deciding:
		return decidingIn[l]
	case speaking:
		if spans {
			return formatsIn[l]
		}
		return passingIn[l]
	}
	return ""
}

var passingIn = map[Language]string{
	"": "Where a tracer is to do it, see that it instruments both the server and the client.",
	Go: "In Go: wrap the handler in middleware.Relay and the client's transport in middleware.Transport, " +
		"and make the call with the request's context, http.NewRequestWithContext(r.Context(), …), not with http.NewRequest, http.Get or context.Background().",
	Python: "In Python: requests, httpx and aiohttp send only the headers that they are given: headers={n: request.headers[n] for n in NAMES if n in request.headers}. " +
		"With OpenTelemetry, instrument the framework and the client library (opentelemetry-instrument does both); a thread pool needs the context handed over.",
	Java: "In Java: a client that Spring did not build is not traced. Inject RestClient.Builder, RestTemplateBuilder or WebClient.Builder in place of RestClient.create() and new RestTemplate(); " +
		"with JAX-RS, copy the headers from HttpHeaders; @Async and executors need the context handed over.",
	Node: "In Node.js: axios, fetch and got send only the headers that they are given. " +
		"With OpenTelemetry, instrument the server as well as the client, and load it first (node --require @opentelemetry/auto-instrumentations-node/register app.js): a client that is instrumented alone begins a new trace.",
	DotNet: "In .NET: make calls with HttpClient from IHttpClientFactory; AddHeaderPropagation passes named headers on, and AddAspNetCoreInstrumentation with AddHttpClientInstrumentation continues the trace.",
	Ruby:   "In Ruby: pass the headers to Net::HTTP or Faraday, or install OpenTelemetry's instrumentation of both Rack and the client.",
	PHP:    "In PHP: pass the headers of the request ($request->headers) to Guzzle's 'headers' option.",
}

var decidingIn = map[Language]string{
	"":     "With OpenTelemetry: OTEL_TRACES_SAMPLER=parentbased_always_on, or parentbased_traceidratio with OTEL_TRACES_SAMPLER_ARG.",
	Go:     "In Go: sdktrace.ParentBased(sdktrace.AlwaysSample()), not AlwaysSample, NeverSample or TraceIDRatioBased alone.",
	Python: "In Python: OTEL_TRACES_SAMPLER=parentbased_always_on or parentbased_traceidratio, not always_on, always_off or traceidratio.",
	Java:   "In Java: the agent's otel.traces.sampler=parentbased_always_on or parentbased_traceidratio. Spring's management.tracing.sampling.probability follows the parent's decision already: look for a Sampler of your own.",
	Node:   "In Node.js: OTEL_TRACES_SAMPLER=parentbased_always_on or parentbased_traceidratio, or new ParentBasedSampler({root: …}), not AlwaysOnSampler.",
	DotNet: "In .NET: SetSampler(new ParentBasedSampler(…)), not AlwaysOnSampler or TraceIdRatioBasedSampler alone.",
}

var formatsIn = map[Language]string{
	"":     "With OpenTelemetry: OTEL_PROPAGATORS=tracecontext,baggage,b3multi; keep only the one that the mesh reads where one is enough.",
	Go:     "In Go: otel.SetTextMapPropagator(otelprop.Propagator{}), which writes B3 and W3C.",
	Python: "In Python: OTEL_PROPAGATORS=tracecontext,baggage,b3multi, with opentelemetry-propagator-b3 installed.",
	Java:   "In Java: OTEL_PROPAGATORS=tracecontext,baggage,b3multi for the agent; management.tracing.propagation.type=W3C,B3_MULTI for Spring.",
	Node:   "In Node.js: OTEL_PROPAGATORS=tracecontext,baggage,b3multi; with dd-trace, DD_TRACE_PROPAGATION_STYLE=datadog,tracecontext,b3multi.",
	DotNet: "In .NET: Sdk.SetDefaultTextMapPropagator with a CompositeTextMapPropagator of TraceContextPropagator and B3Propagator.",
}
