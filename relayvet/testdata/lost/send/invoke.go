package send

import (
	"context"
	"net/http"

	"google.golang.org/grpc"
)

func invoke(conn *grpc.ClientConn, w http.ResponseWriter, r *http.Request) {
	_ = conn.Invoke(context.Background(), "/shop.Prices/Price", nil, nil) // want `conn.Invoke is sent with context.Background`
}
