package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// header is what a client sends of a context.
type header map[string]*commonpb.Payload

func (h header) Set(key string, value *commonpb.Payload) { h[key] = value }

// start runs the workflow in Temporal's test environment, which has the header
// that a client would send.
func start(client *http.Client, propagators ...workflow.ContextPropagator) func(ctx context.Context, url string) (string, error) {
	return func(ctx context.Context, url string) (body string, err error) {
		sent := make(header)
		for _, p := range propagators {
			if err := p.Inject(ctx, sent); err != nil {
				return "", err
			}
		}
		var suite testsuite.WorkflowTestSuite
		suite.SetLogger(log.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
		suite.SetContextPropagators(propagators)
		suite.SetHeader(&commonpb.Header{Fields: sent})
		env := suite.NewTestWorkflowEnvironment()
		env.SetTestTimeout(time.Minute)
		env.RegisterWorkflow(callOnce)
		env.RegisterActivity(&activities{client})
		env.ExecuteWorkflow(callOnce, url)
		if err := env.GetWorkflowError(); err != nil {
			return "", err
		}
		err = env.GetWorkflowResult(&body)
		return body, err
	}
}

func TestAnActivityKeepsTheTrace(t *testing.T) {
	exampletest.ConformsLater(t, func(client *http.Client) http.Handler {
		return service(start(client, propagator{propagation.Istio()}))
	})
}

func TestAWorkflowWithoutAPropagatorLosesEverything(t *testing.T) {
	upstream := exampletest.NewUpstream(t)
	client := &http.Client{Transport: &middleware.Transport{}}
	ctx := propagation.NewContext(t.Context(), propagation.Istio().Extract(exampletest.Trace("r")))

	_, err := start(client)(ctx, upstream.URL)
	require.NoError(t, err)
	assert.Equal(t, []http.Header{{}}, upstream.Calls())

	_, err = start(client, propagator{propagation.Istio()})(ctx, upstream.URL)
	require.NoError(t, err)
	assert.Equal(t, []http.Header{exampletest.Trace("r")}, upstream.Calls())
}
