// A gateway in the server's own process, RegisterXHandlerServer, calls the methods
// past the server's interceptors: Relay stands outside its mux. The service is
// OpenTelemetry's collector, whose gateway is generated and published.
package main

import (
	"context"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// traces calls the upstream for each export.
type traces struct {
	collector.UnimplementedTraceServiceServer
	client   *http.Client
	upstream string
}

func (t *traces) Export(ctx context.Context, _ *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	if _, err := example.Get(ctx, t.client, t.upstream); err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func service(upstream string, client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}

	mux := runtime.NewServeMux()
	err := collector.RegisterTraceServiceHandlerServer(context.Background(), mux, &traces{client: client, upstream: upstream})
	if err != nil {
		panic(err)
	}
	return middleware.Relay(propagation.Istio())(mux)
}

func main() { example.Serve(service) }
