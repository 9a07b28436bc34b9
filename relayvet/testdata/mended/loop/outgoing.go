package loop

import (
	"context"
	"net/http"

	"google.golang.org/grpc/metadata"
)

func copyOutgoing(ctx context.Context, in *http.Request) context.Context {
	for _, v := range in.Header.Values("x-request-id") {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", v)
	}
	return ctx
}
