package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/propagation"
)

// event makes what a REST API makes of a request whose names are in lower case,
// as over HTTP/2: the last value in one map, and all in the other.
func event(h http.Header) events.APIGatewayProxyRequest {
	e := events.APIGatewayProxyRequest{Headers: map[string]string{}, MultiValueHeaders: map[string][]string{}}
	for name, values := range h {
		name = strings.ToLower(name)
		e.Headers[name], e.MultiValueHeaders[name] = values[len(values)-1], values
	}
	return e
}

func TestAFunctionKeepsTheTrace(t *testing.T) {
	exampletest.Conforms(t, func(upstream string, client *http.Client) http.Handler {
		function := handler(upstream, client)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			res, err := function(r.Context(), event(r.Header))
			example.Answer(w, []byte(res.Body), err)
		})
	})
}

func headers(h propagation.Headers) http.Header {
	dst := http.Header{}
	h.Inject(dst)
	return dst
}

func TestExtractFindsNoneOfTheNamesInLowerCase(t *testing.T) {
	e := event(exampletest.Trace("r"))
	assert.Empty(t, headers(families.Extract(http.Header(e.MultiValueHeaders))))
	assert.Equal(t, exampletest.Trace("r"), headers(propagation.FromContext(received(t.Context(), e))), "Collect finds them in any case")
}

func TestTheMapOfSingleValuesHasTheLastOnly(t *testing.T) {
	e := event(exampletest.Trace("r"))
	assert.Equal(t, "b=2", e.Headers["tracestate"])
	assert.Equal(t, []string{"a=r", "b=2"}, propagation.FromContext(received(t.Context(), e)).Values("tracestate"))

	v2 := events.APIGatewayV2HTTPRequest{Headers: map[string]string{"tracestate": "a=r,b=2"}}
	assert.Equal(t, []string{"a=r,b=2"}, propagation.FromContext(receivedV2(t.Context(), v2)).Values("tracestate"), "an HTTP API joins them")
}
