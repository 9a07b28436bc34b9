package propagation_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/tracebaton/tracebaton/propagation"
)

// What comes in with one request goes out with another.
func Example() {
	in := http.Header{
		"X-Request-Id": {"5c1e3d0d"},
		"B3":           {"463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1"},
		"Accept":       {"*/*"},
	}
	headers := propagation.Istio().Extract(in)

	out := http.Header{}
	headers.Inject(out)
	fmt.Println(out)
	// Output: map[B3:[463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1] X-Request-Id:[5c1e3d0d]]
}

// The order is that of belief, for a service that makes spans of its own.
func ExampleOf() {
	families := propagation.Of(propagation.RequestID, propagation.W3C, propagation.Custom("end-user"))
	fmt.Println(families)
	fmt.Println(families.Names())
	// Output:
	// RequestID, W3C, Custom(end-user)
	// [x-request-id traceparent tracestate end-user]
}

// A mesh that routes by user needs the user's name on every hop.
func ExampleCustom() {
	families := propagation.Istio().With(propagation.Custom("end-user"))
	headers := families.Extract(http.Header{"X-Request-Id": {"5c1e3d0d"}, "End-User": {"jason"}})
	for name, value := range headers.All() {
		fmt.Printf("%s: %s\n", name, value)
	}
	// Output:
	// x-request-id: 5c1e3d0d
	// end-user: jason
}

// Work that goes on after the response keeps the headers, and nothing else of
// the request.
func ExampleNewContext() {
	r := httptest.NewRequest(http.MethodPost, "/orders", nil)
	r.Header.Set("x-request-id", "5c1e3d0d")
	r = propagation.Istio().Incoming(r) // done by middleware.Relay

	ctx := propagation.NewContext(context.Background(), propagation.FromContext(r.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		// A middleware.Transport sends these headers with calls made with ctx.
		fmt.Println("mailing the receipt for", propagation.FromContext(ctx).Get("x-request-id"))
	}()
	<-done
	// Output: mailing the receipt for 5c1e3d0d
}

func ExampleHeaders_LogValue() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	headers := propagation.Istio().Extract(http.Header{"X-Request-Id": {"5c1e3d0d"}, "B3": {"0"}})
	log.Info("served", "trace", headers)
	// Output: {"level":"INFO","msg":"served","trace":{"x-request-id":"5c1e3d0d","b3":"0"}}
}

// The headers of a message are written in lower case, and read in any.
func ExampleFamilies_Collect() {
	families := propagation.Istio()
	headers := families.Extract(http.Header{"X-Request-Id": {"5c1e3d0d"}, "B3": {"0"}})
	message := map[string]string{}
	for name, value := range headers.All() {
		message[name] = value
	}
	fmt.Println(message)

	ctx := propagation.NewContext(context.Background(), families.Collect(maps.All(message)))
	fmt.Println(propagation.FromContext(ctx))
	// Output:
	// map[b3:0 x-request-id:5c1e3d0d]
	// [x-request-id=5c1e3d0d b3=0]
}

// Check says why a header does not travel.
func ExampleFamilies_Check() {
	err := propagation.Istio().Check(http.Header{"X-Request-Id": {"5c1e3d0d"}, "X-B3-Traceid": {"463ac35c\x00"}})
	fmt.Println(err)
	// Output: B3 is dropped: x-b3-traceid has a control character, which no HTTP client sends
}

// A call that must not join the caller's trace keeps the request ID.
func ExampleHeaders_Only() {
	headers := propagation.Istio().Extract(http.Header{"X-Request-Id": {"5c1e3d0d"}, "B3": {"0"}})
	ctx := propagation.NewContext(context.Background(), headers.Only(propagation.Of(propagation.RequestID)))
	fmt.Println(propagation.FromContext(ctx))
	// Output: [x-request-id=5c1e3d0d]
}

// A client that takes no http.RoundTripper sends the request that Outgoing returns.
func ExampleHeaders_Outgoing() {
	ctx := propagation.NewContext(context.Background(), propagation.Istio().Extract(http.Header{"B3": {"0"}}))
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://reviews:9080/", nil)
	out := propagation.FromContext(ctx).Outgoing(req)
	fmt.Println(out.Header, req.Header)
	// Output: map[B3:[0]] map[]
}

// A framework whose middleware has another form needs one line of glue.
func ExampleFamilies_Incoming() {
	families := propagation.Istio()
	handler := func(r *http.Request) { fmt.Println(propagation.FromContext(r.Context()).Get("b3")) }
	relay := func(next func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) { next(families.Incoming(r)) }
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("b3", "0")
	relay(handler)(r)
	// Output: 0
}
