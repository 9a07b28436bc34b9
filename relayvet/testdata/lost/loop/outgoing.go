package loop

import (
	"context"
	"net/http"

	"google.golang.org/grpc/metadata"
)

func copyOutgoing(ctx context.Context, in *http.Request) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "user", "me", "x-request-id", in.Header.Get("x-request-id")) // want `metadata.AppendToOutgoingContext sets x-request-id even where`
}
