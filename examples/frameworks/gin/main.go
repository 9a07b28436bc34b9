// Gin's middleware has a form of its own: Families.Incoming takes Relay's place.
package main

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func service(upstream string, client *http.Client) http.Handler {
	client.Transport = &middleware.Transport{Base: client.Transport}
	families := propagation.Istio()

	engine := gin.New()
	engine.ContextWithFallback = true // for those that pass c on as a context
	engine.Use(func(c *gin.Context) {
		c.Request = families.Incoming(c.Request)
		c.Next()
	})
	engine.GET("/", func(c *gin.Context) {
		body, err := example.Get(c.Request.Context(), client, upstream)
		example.Answer(c.Writer, body, err)
	})
	return engine
}

func main() { example.Serve(service) }
