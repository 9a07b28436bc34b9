// Httpbin is go-httpbin, traced: the service at the end of the walkthrough.
package main

import (
	"os"
	_ "time/tzdata" // the image has no time zones

	"github.com/tracebaton/tracebaton/examples/internal/httpbin"
	"github.com/tracebaton/tracebaton/examples/internal/serve"
)

func main() {
	os.Exit(serve.Program{
		Name: "httpbin",
		Addr: ":8000",
		Service: func(env serve.Env) (*serve.Service, error) {
			return &serve.Service{
				Handler: httpbin.New(httpbin.Config{Tracing: env.Tracing, Logger: env.Logger}),
			}, nil
		},
	}.Main())
}
