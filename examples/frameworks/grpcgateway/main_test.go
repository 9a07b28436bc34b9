package main

import (
	"context"
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

func TestAGatewayKeepsTheTrace(t *testing.T) {
	exampletest.ConformsPosted(t, "/v1/traces", "{}", service)
}

// noting is a service that notes the metadata of its calls.
type noting struct {
	traces
	incoming metadata.MD
}

func (n *noting) Export(ctx context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	n.incoming, _ = metadata.FromIncomingContext(ctx)
	return n.traces.Export(ctx, req)
}

// posted returns the trace headers of the call that the service makes for a POST.
func posted(t *testing.T, service example.Service) http.Header {
	t.Helper()
	upstream := exampletest.NewUpstream(t)
	url := exampletest.Serve(t, service(upstream.URL, &http.Client{}))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/traces", strings.NewReader("{}"))
	require.NoError(t, err)
	req.Header = exampletest.Trace("r")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
	calls := upstream.Calls()
	require.Len(t, calls, 1)
	return calls[0]
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
			assert.Empty(t, posted(t, gateway))
			assert.Equal(t, len(options) > 0, served.incoming.Get("traceparent") != nil, "they are in the metadata, where nobody reads them")

			relayed := func(upstream string, client *http.Client) http.Handler {
				return middleware.Relay(propagation.Istio())(gateway(upstream, client))
			}
			assert.Equal(t, exampletest.Trace("r"), posted(t, relayed))
		})
	}
}
