// A job begins when its request is long over: the task carries the headers, and
// the worker's context is the job's.
package main

import (
	"context"
	"log"
	"maps"
	"net/http"

	"github.com/hibiken/asynq"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

const kind = "call"

var families = propagation.Istio()

// task returns a task with the headers that ctx carries.
func task(ctx context.Context, url string) *asynq.Task {
	headers := make(map[string]string)
	for name, value := range propagation.FromContext(ctx).All() {
		if before, ok := headers[name]; ok {
			value = before + "," + value // the lines of a list
		}
		headers[name] = value
	}
	return asynq.NewTaskWithHeaders(kind, []byte(url), headers)
}

// relay is what middleware.Relay is to net/http.
func relay(next asynq.Handler) asynq.Handler {
	return asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		return next.ProcessTask(propagation.NewContext(ctx, families.Collect(maps.All(t.Headers()))), t)
	})
}

// enqueue puts the URL in the query into a task.
func enqueue(queue *asynq.Client) http.Handler {
	return middleware.Relay(families)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := queue.EnqueueContext(r.Context(), task(r.Context(), r.FormValue("url")))
		example.Answer(w, []byte("enqueued\n"), err)
	}))
}

// worker returns a handler that calls the URL in each task.
func worker(client *http.Client) asynq.Handler {
	mux := asynq.NewServeMux()
	mux.Use(relay)
	mux.HandleFunc(kind, func(ctx context.Context, t *asynq.Task) error {
		_, err := example.Get(ctx, client, string(t.Payload()))
		return err
	})
	return mux
}

func main() {
	example.Serve(func(redis string, client *http.Client) http.Handler { // UPSTREAM=127.0.0.1:6379
		client.Transport = &middleware.Transport{Base: client.Transport}
		options := asynq.RedisClientOpt{Addr: redis}
		if err := asynq.NewServer(options, asynq.Config{}).Start(worker(client)); err != nil {
			log.Fatal(err)
		}
		return enqueue(asynq.NewClient(options))
	})
}
