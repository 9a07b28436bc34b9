package send

import (
	"net/http"

	"google.golang.org/grpc"
)

func invoke(conn *grpc.ClientConn, w http.ResponseWriter, r *http.Request) {
	_ = conn.Invoke(r.Context(), "/shop.Prices/Price", nil, nil)
}
