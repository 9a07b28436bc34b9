package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

func TestAReverseProxyKeepsTheTrace(t *testing.T) { exampletest.Conforms(t, service) }

// proxied returns the trace headers that arrive behind a proxy with the transport.
func proxied(t *testing.T, transport http.RoundTripper, in http.Header) http.Header {
	t.Helper()
	upstream := exampletest.NewUpstream(t)
	target, err := url.Parse(upstream.URL)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: transport}
	exampletest.Get(t, exampletest.Serve(t, middleware.Relay(propagation.Istio())(proxy)), in)
	calls := upstream.Calls()
	require.Len(t, calls, 1)
	return calls[0]
}

func TestAProxySendsTheTraceOfTheMeshToThirdParties(t *testing.T) {
	thirdParty := middleware.Hosts() // of the upstream: not one of ours
	in := exampletest.Trace("r")

	assert.Equal(t, in, proxied(t, nil, in))
	assert.Empty(t, proxied(t, &middleware.Transport{Match: thirdParty}, in), "Match takes out what the proxy has copied")
	assert.Equal(t, in, proxied(t, &middleware.Transport{Match: middleware.Internal()}, in), "and leaves it where it may go")
}

func TestAProxySendsEmptyHeadersThatAnEnvoyReadsAsDoNotTrace(t *testing.T) {
	in := http.Header{"X-B3-Sampled": {""}, "X-Request-Id": {"r"}}

	assert.Equal(t, in, proxied(t, nil, in))
	assert.Equal(t, http.Header{"X-Request-Id": {"r"}}, proxied(t, &middleware.Transport{}, in), "Transport takes them out")
}
