package propagationtest_test

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/propagationtest"
)

// fetch is a service that answers with what the upstream answers.
func fetch(upstream string, client *http.Client) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, cmp.Or(r.FormValue("url"), upstream), nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		pass(w, client, req)
	})
}

func pass(w http.ResponseWriter, client *http.Client, req *http.Request) {
	res, err := client.Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = res.Body.Close() }()
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body)
}

// everyFamily is more than a mesh has.
var everyFamily = propagation.Istio().With(propagation.Baggage, propagation.Datadog, propagation.SkyWalking,
	propagation.GoogleCloud, propagation.GRPCTraceBin, propagation.XRay, propagation.Jaeger,
	propagation.Custom("end-user"), propagation.Custom("x-tenant", "x-tenant-region"))

func plain(f propagation.Families, match func(*http.Request) bool) propagationtest.Service {
	return propagationtest.Service{
		Families: f,
		Match:    match,
		Handler: func(upstream string, client *http.Client) http.Handler {
			client.Transport = &middleware.Transport{Base: client.Transport, Match: match}
			return middleware.Relay(f)(fetch(upstream, client))
		},
	}
}

func TestThePlainMiddlewarePasses(t *testing.T) {
	t.Parallel()
	t.Run("with the families of a mesh", func(t *testing.T) {
		propagationtest.Run(t, propagationtest.Hasten(plain(propagation.Families{}, nil)))
	})
	t.Run("with every family", func(t *testing.T) {
		propagationtest.Run(t, propagationtest.Hasten(plain(everyFamily, nil)))
	})
	t.Run("with one family", func(t *testing.T) {
		propagationtest.Run(t, propagationtest.Hasten(plain(propagation.Of(propagation.RequestID), nil)))
	})
	t.Run("with headers that stay inside", func(t *testing.T) {
		propagationtest.Run(t, propagationtest.Hasten(plain(everyFamily, middleware.Internal())))
	})
}

func TestAServiceThatCopiesByHandPassesWhereItCopiesEverything(t *testing.T) {
	t.Parallel()
	assert.NoError(t, propagationtest.Test(loop(all)))
}

func TestAServiceMayMakeARequestIDWhereNoneCameIn(t *testing.T) {
	t.Parallel()
	assert.NoError(t, propagationtest.Test(loop(func(out, in http.Header) {
		if all(out, in); out.Get("x-request-id") == "" {
			out.Set("x-request-id", "5c1e3d0d-5a1e-4c4b-8a59-"+newID(12))
		}
	})))
}

func TestAServiceThatRunsAlreadyIsTestedOverTheNetwork(t *testing.T) {
	t.Parallel()
	client := &http.Client{Transport: &middleware.Transport{}}
	server := httptest.NewServer(middleware.Relay(propagation.Istio())(fetch("", client)))
	defer server.Close()
	defer client.CloseIdleConnections()
	propagationtest.Run(t, propagationtest.Service{URL: server.URL + "/", Path: "/fetch?url={upstream}"})

	broken := httptest.NewServer(fetch("", http.DefaultClient))
	defer broken.Close()
	err := propagationtest.Test(propagationtest.Service{URL: broken.URL, Path: "/fetch?url={upstream}"})
	assert.ErrorContains(t, err, "headers of all families arrive together: none of the headers arrived")
}

func TestWhatCannotBeTestedIsSaid(t *testing.T) {
	t.Parallel()
	handler := func(string, *http.Client) http.Handler { return http.NotFoundHandler() }
	tests := map[string]struct {
		service propagationtest.Service
		want    string
	}{
		"no service":                       {propagationtest.Service{}, "set either Service.Handler or Service.URL"},
		"two services":                     {propagationtest.Service{Handler: handler, URL: "http://127.0.0.1:1"}, "set either Service.Handler or Service.URL"},
		"a URL whose upstream is unknown":  {propagationtest.Service{URL: "http://127.0.0.1:1"}, "put {upstream} into Service.Path, Body or Header"},
		"a path that is none":              {propagationtest.Service{Handler: handler, Path: "fetch"}, `Service.Path "fetch" does not begin with a slash`},
		"parents of spans that it has not": {propagationtest.Service{Handler: handler, Parent: func(string) (string, bool) { return "", false }}, "Service.Parent is for a service with OwnSpans"},
		"a match that matches nothing":     {propagationtest.Service{Handler: handler, Match: middleware.Hosts()}, "Service.Match does not match the upstream"},
		"a match that matches everything":  {propagationtest.Service{Handler: handler, Match: func(*http.Request) bool { return true }}, "Service.Match matches outside.example"},
		"nobody there":                     {propagationtest.Service{URL: "http://127.0.0.1:1", Path: "/{upstream}"}, "cannot test the service: the service did not answer GET /{upstream}"},
		"a service that panics": {propagationtest.Service{Handler: func(string, *http.Client) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}}, "cannot test the service: the service did not answer GET /"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.ErrorContains(t, propagationtest.Test(test.service), test.want)
		})
	}
}

func ExampleTest() {
	// A service that knows some headers by name, and not all of them.
	service := propagationtest.Service{
		Handler: func(upstream string, client *http.Client) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, upstream, nil)
				for _, name := range []string{"x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags", "b3"} {
					if v := r.Header.Get(name); v != "" {
						req.Header.Set(name, v)
					}
				}
				if res, err := client.Do(req); err == nil {
					_ = res.Body.Close()
				}
				w.WriteHeader(http.StatusNoContent)
			})
		},
		Families: propagation.Of(propagation.RequestID, propagation.B3),
	}
	err := propagationtest.Test(service)
	for line := range strings.Lines(err.Error()) {
		if !strings.HasPrefix(line, " ") {
			fmt.Print(line)
		}
	}
	// Output:
	// headers of all families arrive together: the span's parent was lost from x-b3-*
	// B3 in several headers alone arrives: the span's parent was lost from x-b3-*
	// a debug request stays one: the span's parent was lost from x-b3-*
	// a trace that is not sampled stays so: the span's parent was lost from x-b3-*
	// a trace keeps its decision, whatever its ID is: the span's parent was lost from x-b3-* (2 times)
	// IDs without a decision get none: the span's parent was lost from x-b3-*
	// a trace ID of 64 bits keeps its 16 digits: the span's parent was lost from x-b3-*
}

// A service that makes spans of its own says so, and can say which it made.
func ExampleService() {
	var parentOf func(spanID string) (parentID string, ok bool) // from the service's exporter
	_ = propagationtest.Service{
		Handler: func(upstream string, client *http.Client) http.Handler {
			// client.Transport = otelhttp.NewTransport(client.Transport)
			// return otelhttp.NewHandler(fetch(upstream, client), "")
			return fetch(upstream, client)
		},
		Path:   "/productpage",
		Spans:  propagationtest.OwnSpans,
		Parent: parentOf,
	}
}
