package send

import (
	"net/http"

	"google.golang.org/grpc"
)

type server struct{}

func (server) Watch(in string, stream grpc.ServerStream) {
	resp, err := http.Get("http://prices/1") // want `http.Get is sent without .*NewRequestWithContext\(stream\.Context\(\),`
	if err != nil {
		return
	}
	resp.Body.Close()
}
