package unfollowed

import (
	"context"
	"net/http"
)

type source interface {
	price(ctx context.Context, id string) error
}

type remote struct{}

func (remote) price(ctx context.Context, id string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://prices/"+id, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

type mirror struct{}

func (mirror) price(ctx context.Context, id string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://mirror/"+id, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

type fixed struct{}

func (fixed) price(context.Context, string) error { return nil }

type shop struct{ source }

func (s shop) serve(w http.ResponseWriter, r *http.Request) {
	_ = s.price(r.Context(), "1")
	_ = s.price(r.Context(), "2")
}
