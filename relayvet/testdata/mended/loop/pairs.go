package loop

import (
	"net/http"

	"google.golang.org/grpc/metadata"
)

func copyPairs(in *http.Request) metadata.MD {
	if v := in.Header.Get("sw8"); v != "" {
		return metadata.Pairs("sw8", v)
	}
	return nil
}
