package fasthttp

import "context"

type RequestCtx struct{ context.Context }
