package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/examples/internal/tracestore"
	"github.com/tracebaton/tracebaton/internal/audit"
	"github.com/tracebaton/tracebaton/internal/paper"
)

// The calls of a round, half of which break the trace, and the rounds after
// which there should be a verdict.
const (
	callsARound = 16
	maxRounds   = 10
)

// audits finds out who breaks the trace from what the store has, as tracebaton
// audit does in a mesh.
func (s *story) audits(ctx context.Context) error {
	s.Title("5  Who loses the trace, by the spans alone")
	const httpbin = "?url=http://httpbin:8000/headers"
	var report audit.Report
	calls := 0
	for range maxRounds {
		for i := range callsARound {
			path, want := "/fetch", []string{"sleep GET", "  flaskapp GET /fetch"}
			if i%2 == 1 {
				path = "/fetch_with_trace"
				want = []string{"sleep GET", "  flaskapp GET /fetch_with_trace", "    flaskapp GET", "      httpbin GET /headers"}
			}
			answer, err := s.fetch(ctx, "http://flaskapp"+path+httpbin)
			if err != nil {
				return err
			}
			if _, err := s.await(ctx, answer.TraceID, want...); err != nil {
				return err
			}
			calls++
			// Calls that come all at once would count as one, and so would
			// those that go by a clock.
			select {
			case <-time.After(s.pause + rand.N(2*s.pause)): // #nosec G404 -- no secret
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		report = auditOf(s.store.Spans())
		if len(report.Dropping()) > 0 {
			break
		}
	}
	if s.ui != "" && !s.once {
		s.Command("go run ./cmd/tracebaton audit " + s.ui)
		s.Line("")
	}
	return s.accuses(report, calls)
}

// accuses prints the verdict, which is to be that /fetch of flaskapp loses the
// trace of its calls to httpbin, and that nothing else does.
func (s *story) accuses(report audit.Report, calls int) error {
	dropping := report.Dropping()
	if len(dropping) != 1 || dropping[0].Service != "flaskapp" {
		return fmt.Errorf("of %d calls, half through /fetch, audit was to say that flaskapp alone loses traces, not %+v", calls, dropping)
	}
	for _, c := range dropping[0].Callees {
		if c.Service != "httpbin" || c.Verdict != audit.Drops {
			continue
		}
		if len(c.Routes) != 1 || c.Routes[0].Route != "GET /fetch" {
			return fmt.Errorf("audit was to name GET /fetch of flaskapp, not %+v", c.Routes)
		}
		r := c.Routes[0]
		s.Line("%s drops the trace on %s, to %s:", s.Paint(paper.ColourOf("flaskapp"), "flaskapp"), r.Route, s.Paint(paper.ColourOf("httpbin"), "httpbin"))
		s.Line("%d of %d calls begin a new one. /fetch_with_trace passes it on.", r.Begun, r.Calls)
		return nil
	}
	return fmt.Errorf("audit was to name flaskapp's calls to httpbin, not %+v", dropping[0].Callees)
}

// auditOf returns what those spans tell of who loses traces.
func auditOf(spans []sdktrace.ReadOnlySpan) audit.Report {
	a := audit.Auditor{Sampling: 1}
	kinds := map[trace.SpanKind]audit.Kind{
		trace.SpanKindServer: audit.Server, trace.SpanKindConsumer: audit.Server,
		trace.SpanKindClient: audit.Client, trace.SpanKindProducer: audit.Client,
	}
	for _, s := range spans {
		host, _ := attributeOf(s, "server.address")
		a.Add(audit.Span{
			Service: tracestore.Service(s), Pod: versionOf(s), Version: versionOf(s), Kind: kinds[s.SpanKind()],
			Trace: audit.TraceIDOf(s.SpanContext().TraceID()), ID: number(s.SpanContext().SpanID()), Parent: number(s.Parent().SpanID()),
			Start: s.StartTime(), Duration: s.EndTime().Sub(s.StartTime()),
			Route: s.Name(), Callee: host,
		})
	}
	return a.Report()
}

func number(id trace.SpanID) uint64 { return binary.BigEndian.Uint64(id[:]) }
