// Sleep is the client of the walkthrough: it waits, to be told to fetch.
package main

import (
	"net/http"
	"os"
	_ "time/tzdata" // the image has no time zones

	"github.com/tracebaton/tracebaton/examples/internal/serve"
	"github.com/tracebaton/tracebaton/examples/internal/sleep"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "fetch" {
		os.Exit(sleep.Fetch(os.Args[2:]))
	}
	os.Exit(serve.Program{
		Name: "sleep",
		Addr: ":8080",
		Also: "       sleep fetch [flags] URL   (see sleep fetch -h)\n",
		Service: func(serve.Env) (*serve.Service, error) {
			return &serve.Service{Handler: http.NotFoundHandler()}, nil
		},
	}.Main())
}
