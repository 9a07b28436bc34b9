package middleware_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// upstream is a service that answers with those of the named headers that
// arrive.
func upstream(names ...string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range names {
			if values, ok := r.Header[http.CanonicalHeaderKey(name)]; ok {
				fmt.Fprintf(w, "%s: %s\n", name, strings.Join(values, ", "))
			}
		}
	}))
}

// call makes the request that the sidecar would bring to h.
func call(h http.Handler, header ...string) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Print(w.Body)
}

// answer makes the call and passes its answer on.
func answer(w http.ResponseWriter, client *http.Client, req *http.Request) {
	res, err := client.Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	_, _ = io.Copy(w, res.Body)
}

// A server and its client: what comes in goes out.
func Example() {
	ratings := upstream("x-request-id", "x-b3-traceid", "x-b3-sampled")
	defer ratings.Close()

	client := &http.Client{Transport: &middleware.Transport{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, ratings.URL, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, client, req)
	})
	server := middleware.Relay(propagation.Istio())(mux)

	call(server, "x-request-id: 5c1e3d0d", "x-b3-traceid: 463ac35c9f6413ad", "x-b3-sampled: 1")
	// Output:
	// x-request-id: 5c1e3d0d
	// x-b3-traceid: 463ac35c9f6413ad
	// x-b3-sampled: 1
}

// Every log line of a request names it, so that it can be found from the
// sidecar's access log and from the trace.
func ExampleRelay_log() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	h := middleware.Relay(propagation.Istio())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		log.InfoContext(r.Context(), "served", "trace", propagation.FromContext(r.Context()))
	}))

	call(h, "x-request-id: 5c1e3d0d", "x-b3-traceid: 463ac35c9f6413ad")
	// Output: level=INFO msg=served trace.x-request-id=5c1e3d0d trace.x-b3-traceid=463ac35c9f6413ad
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// A gateway written in Go: it passes the trace headers of the office's network
// on, and drops those of everybody else.
func ExampleEdge() {
	shop := upstream("accept", "x-request-id", "x-b3-sampled", "baggage")
	defer shop.Close()
	target, _ := url.Parse(shop.URL)
	gateway := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}

	office := netip.MustParsePrefix("192.0.2.0/24")
	fromOffice := func(r *http.Request) bool {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		return err == nil && office.Contains(from.Addr())
	}
	h := middleware.Edge(propagation.Istio(), fromOffice)(gateway)

	for _, from := range []string{"192.0.2.7:40312", "203.0.113.66:40312"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = from
		r.Header = http.Header{"Accept": {"text/html"}, "X-Request-Id": {"5c1e3d0d"}, "X-B3-Sampled": {"1"}, "Baggage": {"vip=yes"}}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Print("from ", from, "\n", w.Body)
	}
	// Output:
	// from 192.0.2.7:40312
	// accept: text/html
	// x-request-id: 5c1e3d0d
	// x-b3-sampled: 1
	// baggage: vip=yes
	// from 203.0.113.66:40312
	// accept: text/html
}

// A loop that copies headers by hand, and what takes its place.
func ExampleTransport_copyLoop() {
	ratings := upstream("x-request-id", "x-b3-sampled")
	defer ratings.Close()

	before := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, _ := http.NewRequest(http.MethodGet, ratings.URL, nil)
		for _, name := range []string{"x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"} {
			req.Header.Set(name, r.Header.Get(name)) // sends "x-b3-sampled:" where none came: do not trace
		}
		answer(w, http.DefaultClient, req)
	})

	client := &http.Client{Transport: &middleware.Transport{}}
	after := middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, ratings.URL, nil)
		answer(w, client, req)
	}))

	call(before, "x-request-id: 5c1e3d0d", "x-b3-sampled: 1")
	call(after, "x-request-id: 5c1e3d0d", "x-b3-sampled: 1")
	// Output:
	// x-request-id: 5c1e3d0d
	// x-b3-sampled: 1
	// x-request-id: 5c1e3d0d
	// x-b3-sampled: 1
}

// Headers stay inside: third parties, and redirects that lead to them, get none.
func ExampleTransport_insideOnly() {
	client := &http.Client{Transport: &middleware.Transport{
		Base:  roundTripFunc(printRequestID),
		Match: middleware.Internal(),
	}}
	h := middleware.Relay(propagation.Istio())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, to := range []string{"http://ratings:9080/", "http://10.0.0.7/", "https://api.example.com/"} {
			req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, to, nil)
			answer(httptest.NewRecorder(), client, req)
		}
	}))

	call(h, "x-request-id: 5c1e3d0d")
	// Output:
	// ratings:9080 gets "5c1e3d0d"
	// 10.0.0.7 gets "5c1e3d0d"
	// api.example.com gets ""
}

func printRequestID(r *http.Request) (*http.Response, error) {
	fmt.Printf("%s gets %q\n", r.URL.Host, r.Header.Get("x-request-id"))
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func ExampleHosts() {
	corp := middleware.Hosts("reviews.prod", "*.corp.example.com")
	match := func(r *http.Request) bool { return middleware.Internal()(r) || corp(r) }
	for _, to := range []string{"http://ratings/", "http://reviews.prod/", "http://pay.corp.example.com/", "http://example.com/"} {
		r, _ := http.NewRequest(http.MethodGet, to, nil)
		fmt.Println(to, match(r))
	}
	// Output:
	// http://ratings/ true
	// http://reviews.prod/ true
	// http://pay.corp.example.com/ true
	// http://example.com/ false
}
