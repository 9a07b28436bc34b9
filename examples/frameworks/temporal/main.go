// A workflow begins, and begins again, when its request is long over. Temporal
// takes headers along where a context propagator says how.
package main

import (
	"context"
	"log"
	"net/http"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

// propagator is a workflow.ContextPropagator. It goes into the options of the
// client, which the worker is made with as well.
type propagator struct{ families propagation.Families }

const headerKey = "trace-headers"

type contextKey struct{}

func (p propagator) Inject(ctx context.Context, w workflow.HeaderWriter) error {
	return write(w, propagation.FromContext(ctx))
}

func (p propagator) Extract(ctx context.Context, r workflow.HeaderReader) (context.Context, error) {
	headers, err := p.read(r)
	return propagation.NewContext(ctx, headers), err
}

func (p propagator) InjectFromWorkflow(ctx workflow.Context, w workflow.HeaderWriter) error {
	headers, _ := ctx.Value(contextKey{}).(propagation.Headers)
	return write(w, headers)
}

func (p propagator) ExtractToWorkflow(ctx workflow.Context, r workflow.HeaderReader) (workflow.Context, error) {
	headers, err := p.read(r)
	return workflow.WithValue(ctx, contextKey{}, headers), err
}

func write(w workflow.HeaderWriter, headers propagation.Headers) error {
	h := http.Header{}
	headers.Inject(h)
	payload, err := converter.GetDefaultDataConverter().ToPayload(h)
	if err == nil {
		w.Set(headerKey, payload)
	}
	return err
}

func (p propagator) read(r workflow.HeaderReader) (propagation.Headers, error) {
	payload, ok := r.Get(headerKey)
	if !ok {
		return propagation.Headers{}, nil // of a caller without the propagator
	}
	h := http.Header{}
	err := converter.GetDefaultDataConverter().FromPayload(payload, &h)
	return p.families.Extract(h), err
}

// activities make the calls.
type activities struct{ client *http.Client }

func (a *activities) Call(ctx context.Context, url string) (string, error) {
	body, err := example.Get(ctx, a.client, url)
	return string(body), err
}

func callOnce(ctx workflow.Context, url string) (string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
	var body string
	err := workflow.ExecuteActivity(ctx, new(activities).Call, url).Get(ctx, &body)
	return body, err
}

// service starts a workflow for the URL in the query, by start.
func service(start func(ctx context.Context, url string) (string, error)) http.Handler {
	return middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := start(r.Context(), r.FormValue("url"))
		example.Answer(w, []byte(body), err)
	}))
}

func main() {
	example.Serve(func(server string, calls *http.Client) http.Handler { // UPSTREAM=127.0.0.1:7233
		calls.Transport = &middleware.Transport{Base: calls.Transport}
		temporal, err := client.Dial(client.Options{
			HostPort:           server,
			ContextPropagators: []workflow.ContextPropagator{propagator{propagation.Istio()}},
		})
		if err != nil {
			log.Fatal(err)
		}
		w := worker.New(temporal, "calls", worker.Options{})
		w.RegisterWorkflow(callOnce)
		w.RegisterActivity(&activities{calls})
		if err := w.Start(); err != nil {
			log.Fatal(err)
		}
		return service(func(ctx context.Context, url string) (body string, err error) {
			run, err := temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: "calls"}, callOnce, url)
			if err == nil {
				err = run.Get(ctx, &body)
			}
			return body, err
		})
	})
}
