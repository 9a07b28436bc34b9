// Fasthttp's RequestCtx is a context.Context that is used again: the headers go
// into a context of their own, which is kept in a user value.
package main

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// incoming returns a context with the headers that came in.
func incoming(families propagation.Families, c *fasthttp.RequestCtx) context.Context {
	return propagation.NewContext(context.Background(), families.Collect(func(yield func(name, value string) bool) {
		for name, value := range c.Request.Header.All() {
			if !yield(string(name), string(value)) { // copies: fasthttp uses the memory again
				return
			}
		}
	}))
}

func handler(client *http.Client) fasthttp.RequestHandler {
	client.Transport = &middleware.Transport{Base: client.Transport}

	return func(c *fasthttp.RequestCtx) {
		ctx := incoming(propagation.Istio(), c)
		body, err := example.Get(ctx, client, string(c.QueryArgs().Peek("url")))
		if err != nil {
			c.Error(err.Error(), fasthttp.StatusBadGateway)
			return
		}
		c.SetBody(body)
	}
}

func main() {
	client := &http.Client{Timeout: 10 * time.Second}
	log.Fatal(fasthttp.ListenAndServe("127.0.0.1:8080", handler(client)))
}
