package retryablehttp

import (
	"context"
	"net/http"
)

type Request struct{ *http.Request }

func NewRequest(method, url string, body any) (*Request, error) { return nil, nil }

func NewRequestWithContext(ctx context.Context, method, url string, body any) (*Request, error) {
	return nil, nil
}

type Client struct{}

func (*Client) Get(url string) (*http.Response, error)  { return nil, nil }
func (*Client) Do(req *Request) (*http.Response, error) { return nil, nil }
