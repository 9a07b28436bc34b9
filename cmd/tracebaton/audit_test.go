package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/internal/audit"
)

var many = flag.Int("spans", 0, "spans to read in the test of memory (10000000), which is left out otherwise, and in the benchmark (default 100000)")

func audited(t *testing.T, stdin io.Reader, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), append([]string{"audit"}, args...), env{stdin: stdin, stdout: &out, stderr: &errs})
	return out.String(), progress.ReplaceAllString(errs.String(), ""), status
}

// progress is what is told of every few seconds, on a slow machine.
var progress = regexp.MustCompile(`(?m)^tracebaton audit: [0-9,]+ spans so far\n`)

// recorded is what Envoys 1.40.0 recorded beside sleep, flaskapp and httpbin in
// 45 seconds: /fetch, /fetch_with_header and /fetch_with_trace at random, and a
// poller beside flaskapp that calls httpbin every other second.
const recorded = "testdata/audit/envoy.json.gz"

func TestAuditNamesFlaskappByEnvoysSpans(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file                    string
		spans, traces, calls, orphans int
		onFetch                       int
	}{
		{"of Envoy's Zipkin tracer", recorded, 1028, 356, 248, 90, 69},
		{"of its OpenTelemetry tracer", "testdata/audit/envoy-otel.jsonl.gz", 942, 325, 230, 84, 63},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr, status := audited(t, nil, "-json", tt.file)
			assert.Empty(t, stderr)
			assert.Equal(t, statusBroken, status)
			var r struct {
				Spans, Traces int
				From, To      time.Time
				Services      []struct {
					Service, Verdict string
					Callees          []struct {
						Service, Verdict, Kind string
						Calls, Begun           int
						Confidence             float64
						Routes                 []audit.Route
						Examples               []map[string]map[string]string
					}
				}
				Problems []audit.Problem
			}
			dec := json.NewDecoder(strings.NewReader(stdout))
			dec.DisallowUnknownFields()
			require.NoError(t, dec.Decode(&r))
			assert.Equal(t, tt.spans, r.Spans)
			assert.Equal(t, tt.traces, r.Traces)
			assert.InDelta(t, 45, r.To.Sub(r.From).Seconds(), 2)
			assert.Empty(t, r.Problems)
			require.Len(t, r.Services, 2)
			assert.Equal(t, "flaskapp", r.Services[0].Service)
			assert.Equal(t, "drops", r.Services[0].Verdict)
			require.Len(t, r.Services[0].Callees, 1)
			c := r.Services[0].Callees[0]
			assert.Equal(t, "httpbin", c.Service)
			assert.Equal(t, "drops", c.Verdict)
			assert.Equal(t, "drops", c.Kind)
			assert.Equal(t, tt.calls, c.Calls)
			assert.Equal(t, tt.orphans, c.Begun)
			assert.Greater(t, c.Confidence, 0.999)
			// Not for /fetch_with_trace, nor the poller.
			assert.Equal(t, []audit.Route{{Route: "GET /fetch", Calls: tt.onFetch, Begun: tt.onFetch}}, c.Routes)
			require.Len(t, c.Examples, 2)
			assert.Len(t, c.Examples[0]["orphan"]["trace"], 32)
			assert.Len(t, c.Examples[0]["parent"]["span"], 16)
			assert.Equal(t, "sleep", r.Services[1].Service)
			assert.Equal(t, "origin", r.Services[1].Verdict)
		})
	}
}

// bookinfo is what Envoys 1.40.0 recorded of 260 requests in 55 seconds to
// Istio's Bookinfo (of commit 86c9f01fd735): a gateway, productpage in Python,
// details in Ruby, ratings in Node and reviews in Java, whose endpoint is the
// original one in Jersey, where the original server is Liberty. In productpage,
// getProductReviews was changed to send none of the headers.
const bookinfo = "testdata/audit/bookinfo.json.gz"

func TestAuditNamesTheBreakerInBookinfo(t *testing.T) {
	t.Parallel()
	stdout, stderr, status := audited(t, nil, "-json", bookinfo)
	assert.Empty(t, stderr)
	assert.Equal(t, statusBroken, status)
	var r audit.Report
	decodeReport(t, stdout, &r)
	assert.Empty(t, r.Problems)
	verdicts := map[string]audit.Verdict{}
	for _, s := range r.Services {
		for _, c := range s.Callees {
			verdicts[s.Service+" to "+c.Service] = c.Verdict
		}
	}
	assert.Equal(t, map[string]audit.Verdict{
		"productpage.default to reviews.default":                   audit.Drops,
		"productpage.default to details.default":                   audit.Relays,
		"productpage.default to ratings.default":                   audit.Relays,
		"reviews.default to ratings.default":                       audit.Relays,
		"istio-ingressgateway.istio-system to productpage.default": audit.Origin,
	}, verdicts)
	// Neither /api/v1/products/{id} nor …/ratings, which call others.
	var routes []string
	for _, route := range r.Dropping()[0].Callees[0].Routes {
		routes = append(routes, route.Route)
	}
	assert.Equal(t, []string{"GET /productpage", "GET /api/v1/products/{id}/reviews"}, routes)
}

// formatsRecorded is what Envoys with Zipkin's tracer recorded of 60 requests to
// a service in Python that calls Bookinfo's ratings, and what OpenTelemetry's
// SDK (1.45.2, for Flask and requests, with its default propagators) sent to the
// same store.
const formatsRecorded = "testdata/audit/formats.json.gz"

func TestAuditSaysWhoSpeaksWhichFormat(t *testing.T) {
	t.Parallel()
	stdout, _, status := audited(t, nil, "-json", formatsRecorded)
	assert.Equal(t, statusBroken, status)
	var r audit.Report
	decodeReport(t, stdout, &r)
	require.Len(t, r.Problems, 1)
	assert.Equal(t, "two-formats", r.Problems[0].Kind)
	assert.Equal(t, "front.default", r.Problems[0].Service)
	assert.Equal(t, 60, r.Problems[0].Count)
	assert.Contains(t, r.Problems[0].Text, "speaks W3C, its sidecars B3")

	stdout, _, _ = audited(t, nil, "-format", "github", formatsRecorded)
	assert.Contains(t, stdout, "::warning title=front.default speaks W3C%2C its sidecars B3::speaks W3C, its sidecars B3. 60 of its")
}

func TestAuditWritesATable(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{"envoy": recorded, "bookinfo": bookinfo, "formats": formatsRecorded} {
		t.Run(name, func(t *testing.T) {
			stdout, _, status := audited(t, nil, file)
			assert.Equal(t, statusBroken, status)
			golden(t, "audit/"+name, stdout)
		})
	}
}

func TestAuditWritesAnnotations(t *testing.T) {
	stdout, _, status := audited(t, nil, "-format", "github", recorded)
	assert.Equal(t, statusBroken, status)
	assert.Equal(t, "::error title=flaskapp loses the trace::90 of 248 calls to httpbin on GET /fetch begin a new trace: they lie inside a request: 70 of 90, where chance would give 1.2\n", stdout)
}

func TestAuditSaysWhatToDoAboutEachKindOfLoss(t *testing.T) {
	tests := map[string]struct {
		kind, route string
		want, never string
	}{
		"a GET":           {audit.KindDrops, "GET /cart", "tracebaton check 'http://cart.shop/cart' sees it happen, with check in the place of prices.shop;", "-X"},
		"a POST":          {audit.KindDrops, "POST /order", "tracebaton check -X POST 'http://cart.shop/order' sees it happen", "'http://cart.shop/'"},
		"a job":           {audit.KindDrops, "nightly report", "tracebaton check sees it happen", "http:"},
		"no route":        {audit.KindRequestID, "", "tracebaton check sees it happen", "http:"},
		"made-up parents": {audit.KindMadeUp, "GET /cart", "cart.shop to prices.shop: 20 of 30 calls name a parent that nobody stores", "begin a new"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := audit.Callee{Service: "prices.shop", Verdict: audit.Drops, Kind: tt.kind, Calls: 30, Begun: 20, Why: "they do"}
			if tt.route != "" {
				c.Routes = []audit.Route{{Route: tt.route, Calls: 20, Begun: 20}}
			}
			r := &audit.Report{
				Services: []audit.Service{{Service: "cart.shop", Verdict: audit.Drops, Callees: []audit.Callee{c}}},
				Problems: []audit.Problem{{Kind: "missing-parent", Text: "does it export them?", Count: 1}, {Kind: "clock", Text: "a clock is wrong", Count: 1}},
			}
			var b bytes.Buffer
			(&auditor{}).writeText(&b, r)
			_, below, _ := strings.Cut(b.String(), "\n\n")
			assert.Contains(t, flat(below), tt.want)
			assert.NotContains(t, below, tt.never)
			assert.Contains(t, below, "Note: does it export them?\n")
			assert.Contains(t, below, "Note: a clock is wrong.\n")

			b.Reset()
			writeAnnotations(&b, r)
			assert.Equal(t, tt.kind == audit.KindMadeUp, strings.Contains(b.String(), "name a parent that nobody stores: they do"), b.String())
		})
	}
}

func TestAuditTableFits(t *testing.T) {
	t.Parallel()
	var in bytes.Buffer
	mesh, _ := meshOf(4, 30)
	for i := range mesh {
		mesh[i].Service = "a-service-with-a-very-long-name-" + mesh[i].Service + ".and-a-namespace"
		mesh[i].Callee = "a-service-with-a-very-long-name-" + strings.Replace(mesh[i].Callee, ".default", ".and-a-namespace", 1)
		mesh[i].Route = strings.Replace(mesh[i].Route, "/", "/a/path/that/goes/on/", 1)
	}
	require.NoError(t, writeSpans(&in, 0, mesh, len(mesh)))
	stdout, _, status := audited(t, &in, "-")
	assert.Equal(t, statusBroken, status)
	for line := range strings.Lines(stdout) {
		if strings.Contains(line, "'http://") {
			continue // a command is not broken
		}
		assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), 80, line)
	}
}

func TestAuditFindsTheSameInEachFormat(t *testing.T) {
	t.Parallel()
	mesh, truth := meshOf(2, 15)
	services := truth.Services()
	require.NotEmpty(t, services)
	for i, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			var in bytes.Buffer
			require.NoError(t, writeSpans(&in, i, mesh, len(mesh)))
			stdout, stderr, status := audited(t, &in, "-json", "-sampling", "100", "-")
			assert.Empty(t, stderr)
			assert.Equal(t, statusBroken, status)
			var r audit.Report
			decodeReport(t, stdout, &r)
			for _, s := range r.Dropping() {
				assert.Positive(t, services[s.Service], s.Service)
				for _, c := range s.Callees {
					for _, route := range c.Routes {
						found := false
						for e := range truth.Lost {
							found = found || e.Service == s.Service && e.Callee == c.Service && e.Route == route.Route
						}
						assert.True(t, found, "%s %s to %s", s.Service, route.Route, c.Service)
					}
				}
			}
			assert.Len(t, r.Dropping(), len(services))
		})
	}
}

// decodeReport reads all but the examples, which are written only.
func decodeReport(t *testing.T, in string, r *audit.Report) {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(in), &v))
	for _, s := range v["services"].([]any) {
		for _, c := range s.(map[string]any)["callees"].([]any) {
			delete(c.(map[string]any), "examples")
		}
	}
	b, err := json.Marshal(v)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, r))
}

func TestAuditExitStatus(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole.json")
	require.NoError(t, os.WriteFile(whole, []byte(`[{"traceId":"1","id":"1","kind":"SERVER","timestamp":1,"duration":9,"localEndpoint":{"serviceName":"a"}},
		{"traceId":"1","id":"2","parentId":"1","kind":"CLIENT","timestamp":2,"duration":3,"localEndpoint":{"serviceName":"a"},"tags":{"upstream_cluster":"b"}}]`), 0o600))
	tests := []struct {
		name, stdin string
		args        []string
		status      int
		says        string
	}{
		{"nothing is lost", "", []string{whole}, statusWhole, ""},
		{"no source", "", nil, statusUnknown, "nothing to read"},
		{"no such file", "", []string{"nowhere.json"}, statusUnknown, "nowhere.json: no such file"},
		{"one of two files", "", []string{"nowhere.json", whole}, statusWhole, "nowhere.json: no such file"},
		{"a directory", "", []string{"."}, statusUnknown, "is a directory"},
		{"no spans", "[]", []string{"-"}, statusUnknown, "no spans"},
		{"no JSON", "<html>", []string{"-"}, statusUnknown, "standard input: read JSON"},
		{"a cut off file", strings.Repeat(`{"traceId":"1","id":"1","localEndpoint":{"serviceName":"a"}}`, 2) + "{", []string{"-"}, statusWhole, "unexpected EOF"},
		{"IDs that are none", `{"traceId":"1","id":"?","localEndpoint":{"serviceName":"a"}}`, []string{"-"}, statusUnknown, "left out 1 spans"},
		{"a format of no name", "", []string{"-format", "xml", whole}, statusUnknown, "text, json or github"},
		{"a share beyond all", "", []string{"-sampling", "101", whole}, statusUnknown, "percent"},
		{"no time to look back", "", []string{"-since", "0s", whole}, statusUnknown, "15m"},
		{"no traces to read", "", []string{"-limit", "0", whole}, statusUnknown, "-limit"},
		{"a time to look back in a file", "", []string{"-since", "15m", whole}, statusUnknown, "files are read whole"},
		{"a URL of nobody", "", []string{"http://127.0.0.1:1"}, statusUnknown, "neither as Jaeger nor as Zipkin"},
		{"a flag that there is not", "", []string{"-x", whole}, statusUnknown, "-x"},
		{"help", "", []string{"-h"}, statusWhole, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, stderr, status := audited(t, strings.NewReader(tt.stdin), tt.args...)
			assert.Equal(t, tt.status, status, stderr)
			if tt.says == "" {
				assert.Empty(t, stderr)
			}
			assert.Contains(t, stderr, tt.says)
		})
	}
}

// endless is spans, and then nothing, for good.
type endless struct {
	io.Reader
	read func()
}

func (e endless) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		e.read()
		select {}
	}
	return n, err
}

func TestInterruptWritesWhatIsKnown(t *testing.T) {
	f, err := os.Open(recorded)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	all, err := io.ReadAll(z)
	require.NoError(t, err)
	ctx, interrupt := context.WithCancel(t.Context())
	var out, errs bytes.Buffer
	in := endless{bytes.NewReader(bytes.TrimRight(all, "]\n")), interrupt}
	status := run(ctx, []string{"audit", "-"}, env{stdin: in, stdout: &out, stderr: &errs})
	assert.Equal(t, statusBroken, status)
	assert.Contains(t, errs.String(), "interrupted")
	assert.Contains(t, out.String(), "drops the trace")
}

// jaegerWith answers as Jaeger's query API does, of either version, or as
// Zipkin's, with those spans.
func storeWith(t *testing.T, mesh []audit.Span, api string) *httptest.Server {
	t.Helper()
	byTrace := map[audit.TraceID][]audit.Span{}
	services := map[string]bool{}
	for _, s := range mesh {
		byTrace[s.Trace] = append(byTrace[s.Trace], s)
		services[s.Service] = true
	}
	var names []string
	for s := range services {
		names = append(names, s)
	}
	var mu sync.Mutex
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) { assert.NoError(t, json.NewEncoder(w).Encode(v)) }
	// find writes the traces of a service that began in a time, newest first.
	find := func(w http.ResponseWriter, service string, from, to time.Time, limit, format int, begin, between, end string) {
		mu.Lock()
		defer mu.Unlock()
		var found [][]audit.Span
		for _, spans := range byTrace {
			start := spans[0].Start
			for _, s := range spans {
				if s.Start.Before(start) {
					start = s.Start
				}
			}
			if slices.ContainsFunc(spans, func(s audit.Span) bool { return s.Service == service }) && !start.Before(from) && !start.After(to) {
				found = append(found, spans)
			}
		}
		slices.SortFunc(found, func(x, y []audit.Span) int { return y[0].Start.Compare(x[0].Start) })
		b := []byte(begin)
		n := 0
		for _, spans := range found[:min(limit, len(found))] {
			for i := range spans {
				if n++; n > 1 {
					b = append(b, between...)
				}
				b = formats[format].span(b, &spans[i])
			}
		}
		w.Write(append(b, end...))
	}
	number := func(r *http.Request, name string) int64 {
		n, err := strconv.ParseInt(r.FormValue(name), 10, 64)
		assert.NoError(t, err)
		return n
	}
	switch api {
	case "jaeger v3":
		mux.HandleFunc("GET /jaeger/api/v3/services", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"services": names}) })
		mux.HandleFunc("GET /jaeger/api/v3/traces", func(w http.ResponseWriter, r *http.Request) {
			from, err := time.Parse(time.RFC3339Nano, r.FormValue("query.start_time_min"))
			assert.NoError(t, err)
			to, err := time.Parse(time.RFC3339Nano, r.FormValue("query.start_time_max"))
			assert.NoError(t, err)
			find(w, r.FormValue("query.service_name"), from, to, int(number(r, "query.num_traces")), 2, `{"result":{"resourceSpans":[`, ",", "]}}")
		})
	case "jaeger":
		mux.HandleFunc("GET /jaeger/api/services", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"data": names}) })
		mux.HandleFunc("GET /jaeger/api/traces", func(w http.ResponseWriter, r *http.Request) {
			find(w, r.FormValue("service"), time.UnixMicro(number(r, "start")), time.UnixMicro(number(r, "end")), int(number(r, "limit")), 1, `{"data":[`, ",", `],"errors":null}`)
		})
		mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>the UI</html>") })
	case "zipkin":
		mux.HandleFunc("GET /jaeger/api/v2/services", func(w http.ResponseWriter, _ *http.Request) { answer(w, names) })
		mux.HandleFunc("GET /jaeger/api/v2/traces", func(w http.ResponseWriter, r *http.Request) {
			to := time.UnixMilli(number(r, "endTs"))
			find(w, r.FormValue("serviceName"), to.Add(-time.Duration(number(r, "lookback"))*time.Millisecond), to, int(number(r, "limit")), 0, "[[", ",", "]]")
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestAuditAsksTheStore(t *testing.T) {
	t.Parallel()
	for _, api := range []string{"jaeger v3", "jaeger", "zipkin"} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			mesh, truth := meshOf(2, 5)
			shift := time.Since(mesh[len(mesh)-1].Start) - time.Minute
			for i := range mesh {
				mesh[i].Start = mesh[i].Start.Add(shift)
			}
			server := storeWith(t, mesh, api)
			stdout, stderr, status := audited(t, nil, "-json", server.URL+"/jaeger")
			assert.Empty(t, stderr)
			assert.Equal(t, statusBroken, status)
			var r audit.Report
			decodeReport(t, stdout, &r)
			assert.Equal(t, len(mesh), r.Spans, "each span once")
			assert.NotEmpty(t, r.Dropping())
			for _, s := range r.Dropping() {
				assert.Positive(t, truth.Services()[s.Service], s.Service)
			}

			stdout, _, _ = audited(t, nil, "-service", "mid1", server.URL+"/jaeger")
			assert.Contains(t, stdout, server.URL+"/jaeger/")
			assert.Contains(t, stdout, "came in")
		})
	}
}

func TestStoreThatFailsInBetweenLosesNothing(t *testing.T) {
	t.Parallel()
	mesh, _ := meshOf(2, 5)
	shift := time.Since(mesh[len(mesh)-1].Start) - time.Minute
	for i := range mesh {
		mesh[i].Start = mesh[i].Start.Add(shift)
	}
	good := storeWith(t, mesh, "jaeger")
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/traces") {
			if n++; n > 2 {
				http.Error(w, "the database is away", http.StatusInternalServerError)
				return
			}
		}
		good.Config.Handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	stdout, stderr, status := audited(t, nil, server.URL+"/jaeger")
	assert.Contains(t, stderr, "answers 500 Internal Server Error the database is away")
	assert.NotEqual(t, statusUnknown, status)
	assert.Contains(t, stdout, "SERVICE")
}

func TestManySpansTakeBoundedMemory(t *testing.T) {
	if *many == 0 {
		t.Skip("takes minutes: run with -spans 10000000")
	}
	mesh, _ := meshOf(60, 60)
	read, write := io.Pipe()
	go func() { _ = write.CloseWithError(writeSpans(write, 0, mesh, *many)) }()
	most, done := uint64(0), make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		for {
			metrics.Read(sample)
			most = max(most, sample[0].Value.Uint64()-sample[1].Value.Uint64())
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	start, before := time.Now(), cpuTime()
	stdout, stderr, status := audited(t, read, "-")
	close(done)
	wait.Wait()
	t.Logf("%d spans in %v, of which %v of CPU, %d MB\n%s", *many, time.Since(start).Round(time.Second), (cpuTime() - before).Round(time.Second), most>>20, stderr)
	assert.Equal(t, statusBroken, status, stdout)
	assert.Less(t, most, uint64(1<<30))
}

// BenchmarkAudit reads the same spans in each format, and only decodes them,
// with encoding/json, into what one would write down first.
func BenchmarkAudit(b *testing.B) {
	n := *many
	if n == 0 {
		n = 100_000
	}
	mesh, _ := meshOf(60, 60)
	for i, f := range formats {
		var in bytes.Buffer
		require.NoError(b, writeSpans(&in, i, mesh, n))
		perSpan := func(b *testing.B, before time.Duration) {
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/float64(n), "cpu-ns/span")
		}
		b.Run(f.name+"/audit", func(b *testing.B) {
			before := cpuTime()
			for b.Loop() {
				status := run(b.Context(), []string{"audit", "-"}, env{stdin: bytes.NewReader(in.Bytes()), stdout: io.Discard, stderr: io.Discard})
				require.Equal(b, statusBroken, status)
			}
			perSpan(b, before)
		})
		b.Run(f.name+"/decode", func(b *testing.B) {
			before := cpuTime()
			for b.Loop() {
				require.Equal(b, n, decodeOnly(b, i, in.Bytes()))
			}
			perSpan(b, before)
		})
	}
}

func decodeOnly(b *testing.B, format int, in []byte) (spans int) {
	b.Helper()
	type value struct {
		StringValue string
	}
	type attribute struct {
		Key   string
		Value value
	}
	type resource struct {
		Resource   struct{ Attributes []attribute }
		ScopeSpans []struct {
			Spans []struct {
				TraceID, SpanID, ParentSpanID, Name string
				Kind                                int
				StartTimeUnixNano, EndTimeUnixNano  string
				Attributes                          []attribute
			}
		}
	}
	type jaeger struct {
		Data []struct {
			TraceID string
			Spans   []struct {
				TraceID, SpanID, OperationName, ProcessID string
				References                                []struct{ RefType, TraceID, SpanID string }
				StartTime, Duration                       int64
				Tags                                      []struct {
					Key, Type string
					Value     any
				}
			}
			Processes map[string]struct {
				ServiceName string
				Tags        []struct {
					Key, Type string
					Value     any
				}
			}
		}
	}
	type zipkin []struct {
		TraceID, ID, ParentID, Kind, Name string
		Timestamp, Duration               int64
		LocalEndpoint                     struct{ ServiceName, IPv4 string }
		Tags                              map[string]string
	}
	dec := json.NewDecoder(bytes.NewReader(in))
	for {
		var err error
		switch format {
		case 0:
			var v zipkin
			err = dec.Decode(&v)
			spans += len(v)
		case 1:
			var v jaeger
			err = dec.Decode(&v)
			for _, t := range v.Data {
				spans += len(t.Spans)
			}
		case 2:
			var v struct{ ResourceSpans []resource }
			err = dec.Decode(&v)
			for _, r := range v.ResourceSpans {
				for _, s := range r.ScopeSpans {
					spans += len(s.Spans)
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return spans
		}
		require.NoError(b, err)
	}
}
