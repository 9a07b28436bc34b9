package tracestore_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
)

// What Jaeger answers was recorded from v1.76.0 (v2.13.0), started with
// deploy/jaeger's configuration and nothing in it, by
//
//	go test ./internal/tracestore -run Jaeger -jaeger http://127.0.0.1:16686 -otlp http://127.0.0.1:4318
var (
	jaegerURL = flag.String("jaeger", "", "record the answers of the Jaeger at this address")
	otlpURL   = flag.String("otlp", "", "the same Jaeger's address for OTLP over HTTP")
)

func TestAnswersAreJaegers(t *testing.T) {
	start, end := noon.Add(-time.Hour).UnixMicro(), noon.Add(time.Hour).UnixMicro()
	during := fmt.Sprintf("&start=%d&end=%d", start, end)
	dependencies := fmt.Sprintf("endTs=%d&lookback=%d", end/1000, 2*time.Hour.Milliseconds())

	tests := []struct {
		name string
		path string
		post bool
	}{
		{name: "services", path: "/api/services"},
		{name: "operations of a service", path: "/api/services/flaskapp/operations"},
		{name: "operations of a service whose name has a slash", path: "/api/services/a%2Fb/operations"},
		{name: "operations with kinds", path: "/api/operations?service=flaskapp"},
		{name: "operations of one kind", path: "/api/operations?service=flaskapp&spanKind=server"},
		{name: "operations of nobody", path: "/api/operations"},
		{name: "a trace", path: "/api/traces/" + longID},
		{name: "a trace, raw", path: "/api/traces/" + longID + "?raw=true"},
		{name: "a trace with an ID of 64 bits", path: "/api/traces/" + shortID},
		{name: "a trace by 16 digits", path: "/api/traces/" + shortID[16:]},
		{name: "a trace in capitals", path: "/api/traces/" + strings.ToUpper(longID)},
		{name: "a trace that is not there", path: "/api/traces/1"},
		{name: "a trace ID that is too long", path: "/api/traces/0" + longID},
		{name: "a trace ID that is no number", path: "/api/traces/xyz"},
		{name: "a trace, raw or what", path: "/api/traces/" + longID + "?raw=perhaps"},
		{name: "traces by ID, one of them not there", path: "/api/traces?traceID=" + longID + "&traceID=1&traceID=" + shortID[16:]},
		{name: "traces by an ID that is no number", path: "/api/traces?traceID=xyz"},
		{name: "search by service", path: "/api/traces?service=sleep" + during},
		{name: "search by service, one", path: "/api/traces?service=sleep&limit=1" + during},
		{name: "search by a service that is not there", path: "/api/traces?service=nobody" + during},
		{name: "search by operation", path: "/api/traces?service=sleep&operation=work" + during},
		{name: "search by another service's operation", path: "/api/traces?service=sleep&operation=GET+/ip" + during},
		{name: "search by a tag", path: "/api/traces?service=sleep&tag=http.response.status_code:200" + during},
		{name: "search by tags", path: `/api/traces?service=sleep&tags={"cached":"false","ratio":"0.25","huge":"1e%2B21"}` + during},
		{name: "search by a tag that another span has", path: `/api/traces?service=sleep&tags={"cached":"false","ratio":"0.5"}` + during},
		{name: "search by a tag of bytes", path: `/api/traces?service=sleep&tags={"bytes":"AAH%2B"}` + during},
		{name: "search by a tag of the process", path: `/api/traces?service=flaskapp&tags={"service.version":"v2"}` + during},
		{name: "search by a tag of an event", path: `/api/traces?service=flaskapp&tags={"zone":"a"}` + during},
		{name: "search by least duration", path: "/api/traces?service=sleep&minDuration=39ms&maxDuration=" + during},
		{name: "search by greatest duration", path: "/api/traces?service=sleep&minDuration=1us&maxDuration=2.5ms" + during},
		{name: "search in the last two days", path: "/api/traces?service=sleep"},
		{name: "search by nothing", path: "/api/traces"},
		{name: "search with a limit that is no number", path: "/api/traces?service=sleep&limit=many"},
		{name: "search with tags that are no JSON", path: "/api/traces?service=sleep&tags={"},
		{name: "search with a tag that has no value", path: "/api/traces?service=sleep&tag=error"},
		{name: "search with a duration that has no unit", path: "/api/traces?service=sleep&minDuration=1"},
		{name: "search with durations that exclude each other", path: "/api/traces?service=sleep&minDuration=2s&maxDuration=1s"},
		{name: "search with a start that is no number", path: "/api/traces?service=sleep&start=today"},
		{name: "dependencies", path: "/api/dependencies?" + dependencies},
		{name: "dependencies of a service", path: "/api/dependencies?service=httpbin&" + dependencies},
		{name: "dependencies of the last day", path: "/api/dependencies"},
		{name: "dependencies until no number", path: "/api/dependencies?endTs=now"},
		{name: "dependencies for no number", path: "/api/dependencies?lookback=1h"},
		{name: "metrics", path: "/api/metrics/calls?service=sleep"},
		{name: "metrics' least step", path: "/api/metrics/minstep"},
		{name: "archive", path: "/api/archive/" + longID, post: true},
	}

	handler := stored(t).Handler()
	recorded := map[string]answered{}
	if *jaegerURL != "" {
		send(t)
	} else {
		text, err := os.ReadFile(recording)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &recorded))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			method := http.MethodGet
			if tt.post {
				method = http.MethodPost
			}
			path := strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22").Replace(tt.path)

			r := httptest.NewRequest(method, path, nil)
			r.Host = "localhost"
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if *jaegerURL != "" {
				r, err := http.NewRequestWithContext(t.Context(), method, *jaegerURL+path, nil)
				require.NoError(t, err)
				resp, err := http.DefaultClient.Do(r)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				recorded[tt.path] = answered{Status: resp.StatusCode, Answer: body}
			}
			theirs, ok := recorded[tt.path]
			require.True(t, ok, "not recorded")
			assert.Equal(t, theirs.Status, w.Code)
			assert.Equal(t, inOrder(t, theirs.Answer), inOrder(t, w.Body.Bytes()))
		})
	}
	if *jaegerURL != "" {
		text, err := json.MarshalIndent(recorded, "", " ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(recording, append(text, '\n'), 0o600))
	}
}

const recording = "testdata/jaeger.json"

type answered struct {
	Status int
	Answer json.RawMessage
}

// inOrder returns an answer without what Jaeger leaves to chance: the order of
// spans, traces and processes, and of everything that it keeps in a map.
func inOrder(t *testing.T, body []byte) string {
	t.Helper()
	var answer map[string]any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&answer), "%s", body)

	errs, _ := answer["errors"].([]any)
	for _, e := range errs {
		if e := e.(map[string]any); fmt.Sprint(e["code"]) == "400" {
			e["msg"] = "" // ours says more
		}
	}
	data, _ := answer["data"].([]any)
	data = slices.DeleteFunc(data, func(d any) bool {
		link, ok := d.(map[string]any)
		return ok && link["parent"] != nil && link["parent"] == link["child"] // see dependencies
	})
	if data != nil {
		answer["data"] = data
	}
	for _, d := range data {
		trace, ok := d.(map[string]any)
		if !ok || trace["spans"] == nil {
			continue
		}
		for _, s := range trace["spans"].([]any) {
			span := s.(map[string]any)
			span["process"] = trace["processes"].(map[string]any)[span["processID"].(string)]
			delete(span, "processID")
		}
		delete(trace, "processes")
		sort(trace["spans"].([]any))
	}
	sort(data)
	text, _ := json.MarshalIndent(answer, "", "  ")
	return string(text)
}

func sort(list []any) {
	text := func(v any) string { b, _ := json.Marshal(v); return string(b) }
	slices.SortFunc(list, func(a, b any) int { return cmp.Compare(text(a), text(b)) })
}

// send sends the spans to Jaeger and waits until it has them.
func send(t *testing.T) {
	t.Helper()
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(*otlpURL+"/v1/traces"))
	require.NoError(t, err)
	require.NoError(t, exporter.ExportSpans(t.Context(), twoTraces(t)))
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		resp, err := http.Get(*jaegerURL + "/api/traces/" + shortID)
		if assert.NoError(c, err) {
			assert.Equal(c, http.StatusOK, resp.StatusCode)
			assert.NoError(c, resp.Body.Close())
		}
	}, 10*time.Second, 50*time.Millisecond)
}
