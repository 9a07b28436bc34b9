package httpclient

import (
	"io"
	"net/http"
)

type Client struct{}

func NewClient() *Client { return nil }

func (*Client) Get(url string, headers http.Header) (*http.Response, error) { return nil, nil }
func (*Client) Post(url string, body io.Reader, headers http.Header) (*http.Response, error) {
	return nil, nil
}
func (*Client) Do(request *http.Request) (*http.Response, error) { return nil, nil }
