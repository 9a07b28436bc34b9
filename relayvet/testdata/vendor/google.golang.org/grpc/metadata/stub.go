package metadata

import "context"

type MD map[string][]string

func (MD) Set(k string, vals ...string) {}

func Pairs(kv ...string) MD { return nil }

func NewOutgoingContext(ctx context.Context, md MD) context.Context { return ctx }

func AppendToOutgoingContext(ctx context.Context, kv ...string) context.Context { return ctx }
