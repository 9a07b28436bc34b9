package main

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// issuer gives out tokens that last for so many seconds, and notes the trace
// headers of those who ask.
type issuer struct {
	lifetime string

	mu    sync.Mutex
	asked []http.Header
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.asked = append(i.asked, exampletest.Relayed(r.Header))
	i.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"access_token": "secret", "token_type": "bearer", "expires_in": `+i.lifetime+`}`)
}

func TestAnAuthorizedClientKeepsTheTrace(t *testing.T) {
	tokens := exampletest.Serve(t, &issuer{lifetime: "3600"})
	exampletest.Conforms(t, func(upstream string, client *http.Client) http.Handler {
		// The kit's client reaches its own upstream only, whatever the host.
		kit := client.Transport
		client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if "http://"+r.URL.Host == tokens {
				return http.DefaultTransport.RoundTrip(r)
			}
			return kit.RoundTrip(r)
		})
		return service(tokens)(upstream, client)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// refreshed makes two requests, each of which finds the token expired, and
// returns the trace headers with which tokens were asked for.
func refreshed(t *testing.T, start func(tokens string) example.Service) []http.Header {
	t.Helper()
	i := &issuer{lifetime: "1"} // less than oauth2 waits before it expires
	upstream := exampletest.NewUpstream(t)
	url := exampletest.Serve(t, start(exampletest.Serve(t, i))(upstream.URL, &http.Client{}))
	exampletest.Get(t, url, exampletest.Trace("first"))
	exampletest.Get(t, url, exampletest.Trace("second"))
	require.Equal(t, []http.Header{exampletest.Trace("first"), exampletest.Trace("second")}, upstream.Calls())
	return i.asked
}

func TestAClientThatIsMadeInARequestRefreshesWithItsHeadersForEver(t *testing.T) {
	kept := func(tokens string) example.Service {
		return func(upstream string, client *http.Client) http.Handler {
			client.Transport = &middleware.Transport{Base: client.Transport}
			config := &clientcredentials.Config{ClientID: "example", TokenURL: tokens}
			var once sync.Once
			var authorized *http.Client
			return middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				once.Do(func() {
					ctx := context.WithValue(context.WithoutCancel(r.Context()), oauth2.HTTPClient, client)
					authorized = config.Client(ctx)
				})
				body, err := example.Get(r.Context(), authorized, upstream)
				example.Answer(w, body, err)
			}))
		}
	}
	assert.Equal(t, []http.Header{exampletest.Trace("first"), exampletest.Trace("first")}, refreshed(t, kept))
	assert.Equal(t, []http.Header{{}, {}}, refreshed(t, service), "one of the program's with none")
}
