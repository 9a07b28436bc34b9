package resty

import "context"

type Client struct{}

func New() *Client { return nil }

func (*Client) SetBaseURL(url string) *Client { return nil }
func (*Client) R() *Request                   { return nil }

type Request struct{}

func (*Request) SetContext(ctx context.Context) *Request       { return nil }
func (*Request) SetBody(body any) *Request                     { return nil }
func (*Request) SetHeader(header, value string) *Request       { return nil }
func (*Request) SetQueryParam(param, value string) *Request    { return nil }
func (*Request) Get(url string) (*Response, error)             { return nil, nil }
func (*Request) Post(url string) (*Response, error)            { return nil, nil }
func (*Request) Execute(method, url string) (*Response, error) { return nil, nil }

type Response struct{}
