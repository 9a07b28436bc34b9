package jaeger

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/process"
)

// Trace is a trace as Jaeger's query API gives it to the UI.
type Trace struct {
	ID    string
	Spans []Span // in the order of their start
}

// Span is a span of a Trace.
type Span struct {
	ID, Parent      string // Parent is empty for a root
	Service, Name   string
	Tags            map[string]any
	Start, Duration time.Duration // Start since 1970
	Warnings        []string      // without those of spans that end after their parent
}

// Find returns the traces that a search in the UI lists: those with a span of
// the service, up to 1,500 of them.
func (s *Server) Find(service string) ([]Trace, error) {
	return s.traces("/api/traces?" + url.Values{"service": {service}, "limit": {"1500"}}.Encode())
}

// FindTagged returns the traces with a span of the service that has the tag.
func (s *Server) FindTagged(service, key, value string) ([]Trace, error) {
	tags, err := json.Marshal(map[string]string{key: value})
	if err != nil {
		return nil, err
	}
	return s.traces("/api/traces?" + url.Values{"service": {service}, "tags": {string(tags)}, "limit": {"1500"}}.Encode())
}

// Trace returns the trace with the ID; ok is false where Jaeger has none.
func (s *Server) Trace(id string) (trace Trace, ok bool, err error) {
	traces, err := s.traces("/api/traces?" + url.Values{"traceID": {id}}.Encode())
	if err != nil || len(traces) == 0 {
		return Trace{}, false, err
	}
	return traces[0], true, nil
}

// Services returns the names of all services that Jaeger has seen.
func (s *Server) Services() ([]string, error) {
	var names []string
	return names, s.get("/api/services", &names)
}

func (s *Server) traces(path string) ([]Trace, error) {
	type ref struct {
		RefType, TraceID, SpanID string
	}
	type tag struct {
		Key   string
		Value any
	}
	type span struct {
		SpanID, OperationName, ProcessID string
		References                       []ref
		StartTime, Duration              int64 // microseconds
		Tags                             []tag
		Warnings                         []string
	}
	type trace struct {
		TraceID   string
		Spans     []span
		Processes map[string]struct{ ServiceName string }
	}
	var found []trace
	if err := s.get(path, &found); err != nil {
		return nil, err
	}
	var traces []Trace
	for _, t := range found {
		tr := Trace{ID: t.TraceID}
		for _, sp := range t.Spans {
			out := Span{
				ID:       sp.SpanID,
				Service:  t.Processes[sp.ProcessID].ServiceName,
				Name:     sp.OperationName,
				Tags:     map[string]any{},
				Start:    time.Duration(sp.StartTime) * time.Microsecond,
				Duration: time.Duration(sp.Duration) * time.Microsecond,
				Warnings: sp.Warnings,
			}
			for _, r := range sp.References {
				if r.RefType == "CHILD_OF" {
					if r.TraceID != t.TraceID {
						return nil, fmt.Errorf("span %s of trace %s is a child in trace %s", sp.SpanID, t.TraceID, r.TraceID)
					}
					out.Parent = r.SpanID
				}
			}
			for _, tg := range sp.Tags {
				out.Tags[tg.Key] = tg.Value
			}
			tr.Spans = append(tr.Spans, out)
		}
		slices.SortFunc(tr.Spans, func(a, b Span) int {
			return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.ID, b.ID))
		})
		tr.forgiveLateEnds()
		traces = append(traces, tr)
	}
	return traces, nil
}

// forgiveLateEnds drops the warnings of spans that are not within the time of
// their parent for their end alone. A server's may end after its client has the
// answer: on a busy machine some do.
func (t Trace) forgiveLateEnds() {
	starts := map[string]time.Duration{}
	for _, s := range t.Spans {
		starts[s.ID] = s.Start
	}
	for i, s := range t.Spans {
		if s.Start >= starts[s.Parent] {
			t.Spans[i].Warnings = slices.DeleteFunc(s.Warnings, isClockSkew)
		}
	}
}

// isClockSkew reports whether the warning is of a span that is not within the
// time of its parent.
func isClockSkew(warning string) bool {
	return strings.HasPrefix(warning, "clock skew adjustment disabled")
}

func (s *Server) get(path string, data any) error {
	client := http.Client{Timeout: patience}
	resp, err := client.Get(s.URL + path)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound {
		return fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	}
	answer := struct{ Data any }{data}
	return json.Unmarshal(body, &answer)
}

// Settled is the service whose spans [Server.Settle] sends.
const Settled = "settle"

// Settle returns once Jaeger has stored every span it was sent before: it sends
// a span of its own after them, and Jaeger writes in the order of arrival. Only
// after it can a test say that something is not there.
func (s *Server) Settle(t process.T) {
	t.Helper()
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	traceID := hex.EncodeToString(id)
	now := time.Now()
	body, err := json.Marshal(map[string]any{"resourceSpans": []any{map[string]any{
		"resource": map[string]any{"attributes": []any{map[string]any{
			"key": "service.name", "value": map[string]any{"stringValue": Settled},
		}}},
		"scopeSpans": []any{map[string]any{"spans": []any{map[string]any{
			"traceId": traceID, "spanId": traceID[:16], "name": "settle", "kind": 1,
			"startTimeUnixNano": nanos(now), "endTimeUnixNano": nanos(now.Add(time.Millisecond)),
		}}}},
	}}})
	require.NoError(t, err)
	resp, err := http.Post("http://"+s.OTLP+"/v1/traces", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, ok, err := s.Trace(traceID)
		assert.NoError(c, err)
		assert.True(c, ok, "the last span sent is not stored yet")
	}, patience, tick)
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }
