// Package example is what the examples have in common, and what is not about
// their frameworks: a call, and a listener.
package example

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

// Service returns a service that calls the upstream with the client for every
// request that it gets.
type Service func(upstream string, client *http.Client) http.Handler

// Get calls the URL and returns the body of the answer.
func Get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot call %q: %w", url, err)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	return Read(res)
}

// Read returns the body of an answer, of 1 MiB at most.
func Read(res *http.Response) ([]byte, error) {
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("cannot read the answer of %s: %w", res.Request.URL, err)
	}
	return body, nil
}

// Answer writes the body, or the error as a bad gateway's.
func Answer(w http.ResponseWriter, body []byte, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(body)
}

// Serve serves the service on ADDR, and has it call UPSTREAM.
func Serve(service Service) {
	addr, upstream := env("ADDR", "127.0.0.1:8080"), env("UPSTREAM", "http://127.0.0.1:8000")
	client := &http.Client{Timeout: 10 * time.Second}
	server := &http.Server{Addr: addr, Handler: service(upstream, client), ReadHeaderTimeout: 10 * time.Second}
	log.Printf("on http://%s, calling %s", addr, upstream)
	log.Fatal(server.ListenAndServe())
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
