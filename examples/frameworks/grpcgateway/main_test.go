package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc/metadata"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// posted has the service called with a POST of nothing to its method, for a GET.
func posted(service example.Service) example.Service {
	return func(upstream string, client *http.Client) http.Handler {
		h := service(upstream, client)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.Clone(r.Context())
			r.Method, r.URL.Path, r.RequestURI = http.MethodPost, "/v1/traces", "/v1/traces"
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("{}")), 2
			h.ServeHTTP(w, r)
		})
	}
}

func TestAGatewayKeepsTheTrace(t *testing.T) { exampletest.Conforms(t, posted(service)) }

// noting is a service that notes the metadata of its calls.
type noting struct {
	traces
	incoming metadata.MD
}

func (n *noting) Export(ctx context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	n.incoming, _ = metadata.FromIncomingContext(ctx)
	return n.traces.Export(ctx, req)
}

func TestAGatewayWithoutRelayLosesEverythingWhateverItsMatcher(t *testing.T) {
	all := func(name string) (string, bool) { return strings.ToLower(name), true }
	for name, options := range map[string][]runtime.ServeMuxOption{
		"as it is":                             nil,
		"with a matcher that lets all through": {runtime.WithIncomingHeaderMatcher(all)},
	} {
		t.Run(name, func(t *testing.T) {
			served := new(noting)
			gateway := func(upstream string, client *http.Client) http.Handler {
				client.Transport = &middleware.Transport{Base: client.Transport}
				served.client, served.upstream = client, upstream
				mux := runtime.NewServeMux(options...)
				require.NoError(t, collector.RegisterTraceServiceHandlerServer(t.Context(), mux, served))
				return mux
			}
			assert.Empty(t, exampletest.Arrived(t, posted(gateway), exampletest.Trace("r")))
			assert.Equal(t, len(options) > 0, served.incoming.Get("traceparent") != nil, "they are in the metadata, where nobody reads them")

			relayed := func(upstream string, client *http.Client) http.Handler {
				return middleware.Relay(propagation.Istio())(gateway(upstream, client))
			}
			assert.Equal(t, exampletest.Trace("r"), exampletest.Arrived(t, posted(relayed), exampletest.Trace("r")))
		})
	}
}
