package req

import "context"

func R() *Request { return nil }

type Request struct{}

func (*Request) SetContext(ctx context.Context) *Request { return nil }
func (*Request) Get(url string) (*Response, error)       { return nil, nil }

type Response struct{}
