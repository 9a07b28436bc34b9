package send

import (
	"net/http"

	"golang.org/x/sync/errgroup"
)

func group(w http.ResponseWriter, r *http.Request) {
	g, ctx := errgroup.WithContext(r.Context())
	g.Go(func() error {
		resp, err := http.Get("http://prices/1") // want `http.Get is sent without`
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	_, _ = ctx, g.Wait()
}
