package send

import (
	"net/http"

	"golang.org/x/sync/errgroup"
)

func group(w http.ResponseWriter, r *http.Request) {
	g, ctx := errgroup.WithContext(r.Context())
	g.Go(func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://prices/1", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	_, _ = ctx, g.Wait()
}
