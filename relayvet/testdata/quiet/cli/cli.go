// Command cli serves nobody.
package main

import (
	"context"
	"net/http"
)

func main() { _ = run(context.Background()) }

func fetch(ctx context.Context) error {
	_, err := http.Get("http://prices/1")
	return err
}

func run(ctx context.Context) error { return fetch(ctx) }
