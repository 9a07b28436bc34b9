package main

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/propagation"
)

// start runs a worker, and returns a client of its queue.
func start(t *testing.T, worker asynq.Handler) *asynq.Client {
	t.Helper()
	options := asynq.RedisClientOpt{Addr: miniredis.RunT(t).Addr()}
	server := asynq.NewServer(options, asynq.Config{
		Concurrency: 64, LogLevel: asynq.FatalLevel, TaskCheckInterval: 10 * time.Millisecond, DelayedTaskCheckInterval: 10 * time.Millisecond,
	})
	require.NoError(t, server.Start(worker))
	t.Cleanup(server.Shutdown)
	queue := asynq.NewClient(options)
	t.Cleanup(func() { _ = queue.Close() })
	return queue
}

func TestATaskKeepsTheTrace(t *testing.T) {
	exampletest.ConformsLater(t, func(client *http.Client) http.Handler {
		return enqueue(start(t, worker(client)))
	})
}

// found returns the headers that a handler finds for a task that is enqueued with
// the context of a request.
func found(t *testing.T, task func(ctx context.Context, url string) *asynq.Task) http.Header {
	t.Helper()
	headers := make(chan http.Header, 1)
	queue := start(t, relay(asynq.HandlerFunc(func(ctx context.Context, _ *asynq.Task) error {
		h := http.Header{}
		propagation.FromContext(ctx).Inject(h)
		headers <- h
		return nil
	})))
	ctx := propagation.NewContext(t.Context(), families.Extract(exampletest.Trace("r")))
	_, err := queue.EnqueueContext(ctx, task(ctx, ""))
	require.NoError(t, err)
	return <-headers
}

func TestEnqueueContextTakesNothingOutOfTheContext(t *testing.T) {
	assert.Empty(t, found(t, func(_ context.Context, url string) *asynq.Task { return asynq.NewTask(kind, []byte(url)) }))

	want := exampletest.Trace("r")
	want["Tracestate"] = []string{"a=r,b=2"}
	assert.Equal(t, want, found(t, task), "the task has to carry it")
}
