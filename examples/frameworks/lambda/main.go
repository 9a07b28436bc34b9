// API Gateway hands the headers to a function in maps, with names in the case
// that the client wrote.
package main

import (
	"context"
	"maps"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

var families = propagation.Istio()

// received returns ctx with the headers of an event of a REST API, or of a load
// balancer's target group with multi-value headers.
func received(ctx context.Context, e events.APIGatewayProxyRequest) context.Context {
	return propagation.NewContext(ctx, families.Collect(func(yield func(name, value string) bool) {
		for name, values := range e.MultiValueHeaders {
			for _, value := range values {
				if !yield(name, value) {
					return
				}
			}
		}
	}))
}

// receivedV2 does the same for an HTTP API or a function URL, in whose events the
// lines of a header are joined with commas.
func receivedV2(ctx context.Context, e events.APIGatewayV2HTTPRequest) context.Context {
	return propagation.NewContext(ctx, families.Collect(maps.All(e.Headers)))
}

func handler(upstream string, client *http.Client) func(context.Context, events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	client.Transport = &middleware.Transport{Base: client.Transport}

	return func(ctx context.Context, e events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
		body, err := example.Get(received(ctx, e), client, upstream)
		if err != nil {
			return events.APIGatewayProxyResponse{StatusCode: http.StatusBadGateway, Body: err.Error()}, nil
		}
		return events.APIGatewayProxyResponse{StatusCode: http.StatusOK, Body: string(body)}, nil
	}
}

func main() { lambda.Start(handler(os.Getenv("UPSTREAM"), &http.Client{Timeout: 10 * time.Second})) }
