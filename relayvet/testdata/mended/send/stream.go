package send

import (
	"net/http"

	"google.golang.org/grpc"
)

type server struct{}

func (server) Watch(in string, stream grpc.ServerStream) {
	req, err := http.NewRequestWithContext(stream.Context(), http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	resp.Body.Close()
}
