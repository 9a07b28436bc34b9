package gin

import (
	"context"
	"net/http"
)

type ResponseWriter interface{ http.ResponseWriter }

type Context struct {
	context.Context
	Request *http.Request
	Writer  ResponseWriter
}

func (c *Context) GetHeader(k string) string { return c.Request.Header.Get(k) }

type HandlerFunc func(*Context)

type Engine struct{ ContextWithFallback bool }

func New() *Engine     { return &Engine{} }
func Default() *Engine { return &Engine{} }

func (*Engine) GET(string, ...HandlerFunc) {}
