// Package flaskapp is the service in the middle of the walkthrough: it answers
// by calling others, with and without the trace headers that it was called
// with.
package flaskapp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/tracebaton/tracebaton/examples/internal/egress"
	"github.com/tracebaton/tracebaton/examples/internal/serve"
	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
)

// Config is what a flaskapp is made from. The zero value is the service as the
// walkthrough has it, without spans of its own.
type Config struct {
	// Tracing joins requests and calls to their traces. Nil relays.
	Tracing *telemetry.Tracing

	// Logger gets a line a request. Nil is slog.Default().
	Logger *slog.Logger

	// LookupEnv is where /env/{name} looks. Nil is os.LookupEnv: whoever can
	// reach the service can read the whole environment of the process, which
	// is what the walkthrough's service is for. Keep secrets out of it.
	LookupEnv func(name string) (value string, ok bool)

	// Dialer says what may be fetched. Nil allows private addresses.
	Dialer *egress.Dialer

	// Limits bounds each fetch.
	Limits Limits
}

// New returns the service:
//
//	GET /                        I am FINE!
//	GET /env/{name}              an environment variable
//	GET /fetch?url=              what the URL answers, fetched in a trace of its own
//	GET /fetch_with_trace?url=   the same, fetched in the request's trace
//	GET /fetch_with_header?url=  the same, below the headers of the request as JSON
//
// HEAD is answered as GET is, without the body; a fetch is made with GET.
//
// The URL needs no escaping if it starts with http:// or https://: then it is
// all of the query that follows "url=".
//
// A fetch answers with the status, the content type and the body that the URL
// answers with. Below the headers, which are text, a body that came compressed
// with gzip or deflate is decompressed. Otherwise the answer is the reason: 400 for what is no URL,
// 403 for where the policy does not let it go, 504 when time is up, and 502 for
// all else, an answer above the limit among them. What goes wrong after the
// first 64 KiB is too late for that: the answer is cut off without its end, so
// that the caller does not take it for whole.
func New(cfg Config) http.Handler {
	log := cmp.Or(cfg.Logger, slog.Default())
	lookup := cfg.LookupEnv
	if lookup == nil {
		lookup = os.LookupEnv
	}
	f := newFetcher(cfg, log)

	r := chi.NewRouter()
	r.Use(cfg.Tracing.Handler, serve.Log(log), middleware.GetHead)
	r.Get("/", func(w http.ResponseWriter, _ *http.Request) {
		text(w, http.StatusOK, "I am FINE!")
	})
	r.Get("/env/{name}", func(w http.ResponseWriter, r *http.Request) {
		name := chi.URLParam(r, "name")
		if plain, err := url.PathUnescape(name); err == nil {
			name = plain
		}
		value, ok := lookup(name)
		if !ok {
			text(w, http.StatusNotFound, fmt.Sprintf("environment variable %q is not set", name))
			return
		}
		text(w, http.StatusOK, value)
	})
	r.Get("/fetch", func(w http.ResponseWriter, r *http.Request) {
		// The broken case on purpose: a call that is not made with the
		// request's context knows nothing of its trace.
		f.serve(alone{r.Context()}, w, r, nil)
	})
	r.Get("/fetch_with_trace", func(w http.ResponseWriter, r *http.Request) {
		f.serve(r.Context(), w, r, nil)
	})
	r.Get("/fetch_with_header", func(w http.ResponseWriter, r *http.Request) {
		f.serve(r.Context(), w, r, headersOf(r))
	})
	return r
}

// alone is a context that ends when another does and has none of its values:
// no span, no headers to relay.
type alone struct{ context.Context }

func (alone) Value(any) any { return nil }

// headersOf returns a line with the headers that r came with, as a JSON
// object. Several values of one header are joined as HTTP joins them.
func headersOf(r *http.Request) []byte {
	headers := map[string]string{"Host": r.Host}
	for name, values := range r.Header {
		headers[name] = strings.Join(values, ", ")
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(headers) // a map of strings always can be
	return line.Bytes()
}

// text answers in plain text, whatever it looks like.
func text(w http.ResponseWriter, status int, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(s))) // which net/http does not count for HEAD
	w.WriteHeader(status)
	_, _ = io.WriteString(w, s) //nolint:gosec // no browser takes it for HTML
}
