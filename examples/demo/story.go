package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/examples/internal/sleep"
	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
	"github.com/tracebaton/tracebaton/examples/internal/tracestore"
	"github.com/tracebaton/tracebaton/internal/paper"
)

// story is what the demo tells. Each of its chapters is an error if what it
// tells is not what happened.
type story struct {
	paper.Paper
	mesh      *mesh
	store     *tracestore.Store
	ui        string     // address of the Jaeger UI, or empty
	once      bool       // it ends with the story: nobody can look at the UI or call
	collector *collector // or nil
	patience  time.Duration
	pause     time.Duration

	broken, whole []sdktrace.ReadOnlySpan // the traces of /fetch and of /fetch_with_trace
	rest          []sdktrace.ReadOnlySpan // what broke off the first
}

func (s *story) tell(ctx context.Context) error {
	s.prologue()
	for _, chapter := range []func(context.Context) error{s.breaks, s.holds, s.turns, s.nests, s.shows, s.audits} {
		if err := chapter(ctx); err != nil {
			return err
		}
		if s.collector == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, s.patience)
		err := s.collector.flush(ctx)
		cancel()
		if err != nil {
			return err
		}
	}
	s.epilogue()
	return nil
}

func (s *story) prologue() {
	s.Line("")
	s.Line("sleep calls flaskapp, and flaskapp calls httpbin, as in the Istio walkthrough.")
	s.Line("")
	s.Line("%s  http://%s", s.Paint(paper.ColourOf("httpbin"), "httpbin    "), s.mesh.hosts["httpbin:8000"].addrs[0])
	for i, addr := range s.mesh.hosts["flaskapp:80"].addrs {
		s.Line("%s  http://%s", s.Paint(paper.ColourOf("flaskapp"), "flaskapp "+versions[i]), addr)
	}
	switch {
	case s.collector != nil:
		s.Line("traces       go to the collector")
	case !s.once:
		s.Line("Jaeger UI    %s", s.Paint(paper.Bold, s.ui))
	}
	if !s.once {
		s.Line("")
		s.Line("The commands are for another terminal, at the root of the repository.")
	}
}

func (s *story) breaks(ctx context.Context) error {
	s.Title("1  A service that does not relay the trace headers")
	answer, err := s.call(ctx, "http://flaskapp/fetch?url=http://httpbin:8000/headers")
	if err != nil {
		return err
	}
	seen, err := seenByHTTPBin(answer)
	if err != nil {
		return err
	}
	if id := telemetry.HeaderTraceID(seen.Get); id == answer.TraceID {
		return fmt.Errorf("/fetch was to break the trace, but httpbin saw that of sleep, %s", id)
	}
	if id := seen.Get("X-Request-Id"); id == answer.RequestID {
		return fmt.Errorf("/fetch was to lose the request ID, but httpbin saw that of sleep, %s", id)
	}
	if s.broken, err = s.await(ctx, answer.TraceID, "sleep GET", "  flaskapp GET /fetch"); err != nil {
		return err
	}
	if s.rest, err = s.await(ctx, telemetry.HeaderTraceID(seen.Get), "flaskapp GET", "  httpbin GET /headers"); err != nil {
		return err
	}
	s.Line("/fetch calls httpbin without the headers that it was called with. One request,")
	s.Line("two traces, and nothing that joins them:")
	s.Line("")
	s.waterfall(s.broken, s.rest)
	s.Line("")
	s.link(s.broken)
	s.link(s.rest)
	s.Line("request ID  %s, of which httpbin saw nothing", answer.RequestID)
	return nil
}

func (s *story) holds(ctx context.Context) error {
	s.Title("2  The same call, with the headers relayed")
	answer, err := s.call(ctx, "http://flaskapp/fetch_with_trace?url=http://httpbin:8000/headers")
	if err != nil {
		return err
	}
	seen, err := seenByHTTPBin(answer)
	if err != nil {
		return err
	}
	if id := telemetry.HeaderTraceID(seen.Get); id != answer.TraceID {
		return fmt.Errorf("the trace breaks: sleep sent trace ID %q, and httpbin saw %q", answer.TraceID, id)
	}
	if id := seen.Get("X-Request-Id"); id != answer.RequestID || id == "" {
		return fmt.Errorf("the request ID is not relayed: sleep sent %q, and httpbin saw %q", answer.RequestID, id)
	}
	s.whole, err = s.await(ctx, answer.TraceID,
		"sleep GET", "  flaskapp GET /fetch_with_trace", "    flaskapp GET", "      httpbin GET /headers")
	if err != nil {
		return err
	}
	s.Line("/fetch_with_trace relays them. One request, one trace:")
	s.Line("")
	s.waterfall(s.whole)
	s.Line("")
	s.link(s.whole)
	s.Line("request ID  %s, which httpbin saw as well", answer.RequestID)
	return nil
}

func (s *story) turns(ctx context.Context) error {
	s.Title("3  Two versions of flaskapp, in turn")
	var before string
	for i := range 2 * len(versions) {
		const url = "http://flaskapp/env/version"
		answer, err := s.fetch(ctx, url)
		if err != nil {
			return err
		}
		version := string(answer.Body)
		if !slices.Contains(versions, version) || version == before {
			return fmt.Errorf("the versions do not take turns: %q answered after %q", version, before)
		}
		before = version
		spans, err := s.await(ctx, answer.TraceID, "sleep GET", "  flaskapp GET /env/{name}")
		if err != nil {
			return err
		}
		if traced := versionOf(spans[1]); traced != version {
			return fmt.Errorf("the answer is that of %s, the trace says %q", version, traced)
		}
		if i == 0 {
			s.invite(url, s.mesh.hosts["flaskapp:80"].addrs...)
		}
		s.Line("%s  in %s, trace %s", s.Paint(paper.ColourOf("flaskapp"), version), paper.Milliseconds(answer.Took), answer.TraceID)
	}
	return nil
}

func (s *story) nests(ctx context.Context) error {
	s.Title("4  The walkthrough's URL in a URL in a URL")
	const inner = "http://flaskapp/fetch_with_trace?url=http://httpbin:8000/ip"
	answer, err := s.call(ctx, "http://flaskapp/fetch?url="+inner)
	if err != nil {
		return err
	}
	first, err := s.await(ctx, answer.TraceID, "sleep GET", "  flaskapp GET /fetch")
	if err != nil {
		return err
	}
	second, err := s.awaitThat(ctx, func(spans []sdktrace.ReadOnlySpan) bool {
		url, ok := attributeOf(spans[0], "url.full")
		return ok && url == inner
	}, "flaskapp GET", "  flaskapp GET /fetch_with_trace", "    flaskapp GET", "      httpbin GET /ip")
	if err != nil {
		return err
	}
	if from, to := versionOf(second[0]), versionOf(second[1]); from == to {
		return fmt.Errorf("flaskapp %s was to call the other flaskapp, and called itself", from)
	}
	s.Line("It breaks at /fetch, and from there on /fetch_with_trace keeps it together:")
	s.Line("")
	s.waterfall(first, second)
	s.Line("")
	s.link(first)
	s.link(second)
	return nil
}

// shows asks the query API, as the UI does, for what the story has told.
func (s *story) shows(ctx context.Context) error {
	if s.ui == "" {
		return nil
	}
	var services []string
	if err := s.ask(ctx, "/api/services", &services); err != nil {
		return err
	}
	if want := []string{"flaskapp", "httpbin", "sleep"}; !slices.Equal(services, want) {
		return fmt.Errorf("the UI knows the services %q, not %q", services, want)
	}
	var traces []struct{ Spans []struct{} }
	if err := s.ask(ctx, "/api/traces/"+traceID(s.whole), &traces); err != nil {
		return err
	}
	if len(traces) != 1 || len(traces[0].Spans) != len(s.whole) {
		return fmt.Errorf("the UI does not have the %d spans of trace %s", len(s.whole), traceID(s.whole))
	}
	var calls []struct{ Parent, Child string }
	if err := s.ask(ctx, "/api/dependencies", &calls); err != nil {
		return err
	}
	var graph []string
	for _, c := range calls {
		graph = append(graph, c.Parent+" -> "+c.Child)
	}
	if want := []string{"flaskapp -> httpbin", "sleep -> flaskapp"}; !slices.Equal(graph, want) {
		return fmt.Errorf("the UI's system architecture is %q, not %q", graph, want)
	}
	return nil
}

func (s *story) epilogue() {
	s.Title("All of it was as it should be.")
	if s.once {
		return
	}
	if s.ui != "" {
		s.Line("all traces         %s/search?service=sleep", s.ui)
		s.Line("/fetch's, compared %s/trace/%s...%s", s.ui, traceID(s.broken), traceID(s.rest))
		s.Line("who calls whom     %s/dependencies", s.ui)
	}
	s.Line("more               curl 'http://%s/fetch_with_trace?url=http://httpbin:8000/anything'", s.mesh.hosts["flaskapp:80"].addrs[0])
	s.Line("")
	s.Line("Ctrl-C ends it.")
}

// call tells of a call and makes it.
func (s *story) call(ctx context.Context, url string) (*sleep.Answer, error) {
	s.invite(url, s.mesh.hosts["flaskapp:80"].addrs[0])
	return s.fetch(ctx, url)
}

// invite says which URL sleep calls or, while the demo waits for Ctrl-C, how to
// have sleep fetch it in another terminal. There it needs an address, since only
// the demo knows the name flaskapp. It makes no span, since the demo would not
// get it.
func (s *story) invite(url string, addrs ...string) {
	defer s.Line("")
	if s.once {
		s.Line("sleep calls %s", url)
		return
	}
	for _, addr := range addrs {
		s.Command("OTEL_TRACES_EXPORTER=none go run ./examples/sleep fetch -body '" + strings.Replace(url, "flaskapp", addr, 1) + "'")
	}
}

func (s *story) fetch(ctx context.Context, url string) (*sleep.Answer, error) {
	answer, err := s.mesh.sleep.Get(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	if answer.Status != http.StatusOK {
		return nil, fmt.Errorf("%s answered with status %d: %.200q", url, answer.Status, answer.Body)
	}
	return answer, nil
}

// await waits until the trace with the ID has this outline.
func (s *story) await(ctx context.Context, id string, want ...string) ([]sdktrace.ReadOnlySpan, error) {
	parsed, err := trace.TraceIDFromHex(id)
	if err != nil {
		return nil, fmt.Errorf("a trace was to be of %q: %w", want, err)
	}
	return s.awaitThat(ctx, func(spans []sdktrace.ReadOnlySpan) bool {
		return spans[0].SpanContext().TraceID() == parsed
	}, want...)
}

// awaitThat waits until the trace that is the one has this outline.
func (s *story) awaitThat(ctx context.Context, is func([]sdktrace.ReadOnlySpan) bool, want ...string) ([]sdktrace.ReadOnlySpan, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	got := "none"
	spans, err := s.store.Wait(ctx, func(spans []sdktrace.ReadOnlySpan) bool {
		if !is(spans) {
			return false
		}
		got = outline(spans)
		return got == strings.Join(want, "\n")
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("a trace is not what it should be\n  expected\n    %s\n  but it is\n    %s",
			strings.Join(want, "\n    "), strings.ReplaceAll(got, "\n", "\n    "))
	}
	return spans, err
}

// link says where the trace is to be found.
func (s *story) link(spans []sdktrace.ReadOnlySpan) {
	if s.ui == "" || s.once {
		s.Line("trace       %s", traceID(spans))
		return
	}
	s.Line("trace       %s/trace/%s", s.ui, traceID(spans))
}

// direct is the client for what is in this very process: no proxy that the
// environment has would find it.
var direct = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask gets data from the query API.
func (s *story) ask(ctx context.Context, path string, data any) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.ui+path, nil)
	if err != nil {
		return err
	}
	res, err := direct.Do(req)
	if err != nil {
		return fmt.Errorf("ask the UI's server: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("ask the UI's server: %w", err)
	}
	answer := struct{ Data any }{data}
	if err := json.Unmarshal(body, &answer); err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("the UI's server answers %s with status %d: %.200q", path, res.StatusCode, body)
	}
	return nil
}

// seenByHTTPBin returns the headers that httpbin says it got.
func seenByHTTPBin(a *sleep.Answer) (http.Header, error) {
	var body struct{ Headers http.Header }
	if err := json.Unmarshal(a.Body, &body); err != nil || body.Headers == nil {
		return nil, fmt.Errorf("httpbin was to answer with the headers it got, not with %.200q", a.Body)
	}
	return body.Headers, nil
}

func traceID(spans []sdktrace.ReadOnlySpan) string {
	return spans[0].SpanContext().TraceID().String()
}

func attributeOf(span sdktrace.ReadOnlySpan, key string) (string, bool) {
	for _, kv := range span.Attributes() {
		if string(kv.Key) == key {
			return kv.Value.String(), true
		}
	}
	return "", false
}
