package loop

import (
	"net/http"

	"google.golang.org/grpc/metadata"
)

func copyPairs(in *http.Request) metadata.MD {
	return metadata.Pairs("sw8", in.Header.Get("sw8")) // want `metadata.Pairs sets sw8 even where`
}
