// Flaskapp is the service in the middle of the walkthrough: it answers by
// calling others, with and without relaying the trace headers.
package main

import (
	"os"
	"time"
	_ "time/tzdata" // the image has no time zones

	"github.com/tracebaton/tracebaton/examples/internal/flaskapp"
	"github.com/tracebaton/tracebaton/examples/internal/serve"
)

func main() {
	os.Exit(serve.Program{
		Name: "flaskapp",
		Addr: ":8080",
		Help: flaskapp.Help,
		Service: func(env serve.Env) (*serve.Service, error) {
			cfg, err := flaskapp.FromEnv(env.Getenv)
			if err != nil {
				return nil, err
			}
			cfg.Tracing, cfg.Logger = env.Tracing, env.Logger
			return &serve.Service{
				Handler:      flaskapp.New(cfg),
				WriteTimeout: cfg.Limits.Time + time.Minute,
			}, nil
		},
	}.Main())
}
