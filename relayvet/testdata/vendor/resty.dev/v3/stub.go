package resty

import "context"

type Client struct{}

func New() *Client { return nil }

func (*Client) R() *Request { return nil }

type Request struct{ Method, URL string }

func (*Request) SetContext(ctx context.Context) *Request { return nil }
func (*Request) SetBody(body any) *Request               { return nil }
func (*Request) Send() (*Response, error)                { return nil, nil }
func (*Request) Put(url string) (*Response, error)       { return nil, nil }

type Response struct{}
