package tracestore

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// What Jaeger's query API answers, field by field.
type (
	uiTrace struct {
		TraceID   string               `json:"traceID"`
		Spans     []uiSpan             `json:"spans"`
		Processes map[string]uiProcess `json:"processes"`
		Warnings  []string             `json:"warnings"`
	}

	uiSpan struct {
		TraceID       string        `json:"traceID"`
		SpanID        string        `json:"spanID"`
		OperationName string        `json:"operationName"`
		References    []uiReference `json:"references"`
		StartTime     int64         `json:"startTime"` // microseconds since 1970
		Duration      int64         `json:"duration"`  // microseconds
		Tags          []uiTag       `json:"tags"`
		Logs          []uiLog       `json:"logs"`
		ProcessID     string        `json:"processID"`
		Warnings      []string      `json:"warnings"`
	}

	uiReference struct {
		RefType string `json:"refType"`
		TraceID string `json:"traceID"`
		SpanID  string `json:"spanID"`
	}

	uiProcess struct {
		ServiceName string  `json:"serviceName"`
		Tags        []uiTag `json:"tags"`
	}

	uiLog struct {
		Timestamp int64   `json:"timestamp"`
		Fields    []uiTag `json:"fields"`
	}

	uiTag struct {
		Key   string `json:"key"`
		Type  string `json:"type"`
		Value any    `json:"value"`
	}

	uiOperation struct {
		Name     string `json:"name"`
		SpanKind string `json:"spanKind"`
	}

	uiDependency struct {
		Parent    string `json:"parent"`
		Child     string `json:"child"`
		CallCount int    `json:"callCount"`
	}
)

const (
	childOf     = "CHILD_OF"
	followsFrom = "FOLLOWS_FROM"

	// The largest integer that JavaScript does not round.
	maxSafeInteger = 1<<53 - 1
)

// uiTraceOf returns a trace as Jaeger makes it of OTLP's spans. Raw leaves out
// what Jaeger does to make it easier to read.
func uiTraceOf(spans []sdktrace.ReadOnlySpan, raw bool) uiTrace {
	t := uiTrace{Spans: []uiSpan{}, Processes: map[string]uiProcess{}}
	processes := map[attribute.Distinct]string{}
	for _, span := range sorted(spans) {
		res := span.Resource()
		process, ok := processes[res.Equivalent()]
		if !ok {
			process = "p" + strconv.Itoa(len(processes)+1)
			processes[res.Equivalent()] = process
			attrs := slices.DeleteFunc(res.Attributes(), func(kv attribute.KeyValue) bool {
				return kv.Key == semconv.ServiceNameKey
			})
			t.Processes[process] = uiProcess{ServiceName: Service(span), Tags: uiTags(attrs)}
		}
		t.TraceID = traceID(span.SpanContext().TraceID())
		t.Spans = append(t.Spans, uiSpanOf(span, process))
	}
	if !raw {
		t.adjust()
	}
	return t
}

func uiSpanOf(span sdktrace.ReadOnlySpan, process string) uiSpan {
	logs := []uiLog{}
	for _, event := range span.Events() {
		var fields []uiTag
		if !slices.ContainsFunc(event.Attributes, func(kv attribute.KeyValue) bool { return kv.Key == "event" }) {
			fields = append(fields, uiTag{"event", "string", event.Name})
		}
		fields = append(fields, uiTags(event.Attributes)...)
		logs = append(logs, uiLog{Timestamp: event.Time.UnixMicro(), Fields: fields})
	}
	return uiSpan{
		TraceID:       traceID(span.SpanContext().TraceID()),
		SpanID:        span.SpanContext().SpanID().String(),
		OperationName: span.Name(),
		References:    uiReferencesOf(span),
		StartTime:     span.StartTime().UnixMicro(),
		Duration:      max(0, duration(span).Microseconds()),
		Tags:          uiTagsOf(span),
		Logs:          logs,
		ProcessID:     process,
	}
}

// adjust sorts tags and the fields of logs, puts the parent before other
// references, and warns of one that has not arrived.
func (t *uiTrace) adjust() {
	arrived := map[string]bool{}
	for _, span := range t.Spans {
		arrived[span.SpanID] = true
	}
	for i := range t.Spans {
		span := &t.Spans[i]
		sortTags(span.Tags)
		for _, log := range span.Logs {
			sortTags(log.Fields)
		}
		parent := slices.IndexFunc(span.References, func(r uiReference) bool {
			return r.RefType == childOf && r.TraceID == span.TraceID
		})
		if parent < 0 {
			continue
		}
		refs := span.References
		refs[0], refs[parent] = refs[parent], refs[0]
		if !arrived[refs[0].SpanID] {
			span.Warnings = append(span.Warnings, "invalid parent span IDs="+refs[0].SpanID+"; skipping clock skew adjustment")
		}
	}
}

// sortTags sorts by key; "event", what a log is about, comes first.
func sortTags(tags []uiTag) {
	rank := func(t uiTag) int {
		if t.Key == "event" {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(tags, func(a, b uiTag) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Key, b.Key))
	})
}

// uiTagsOf returns the attributes of a span and what OpenTelemetry keeps beside
// them.
func uiTagsOf(span sdktrace.ReadOnlySpan) []uiTag {
	tags := []uiTag{}
	add := func(key, value string) {
		if value != "" {
			tags = append(tags, uiTag{key, "string", value})
		}
	}
	add("otel.scope.name", span.InstrumentationScope().Name)
	add("otel.scope.version", span.InstrumentationScope().Version)
	tags = append(tags, uiTags(span.Attributes())...)
	add("span.kind", kind(span))
	switch span.Status().Code {
	case codes.Ok:
		add("otel.status_code", "OK")
	case codes.Error:
		add("otel.status_code", "ERROR")
		tags = append(tags, uiTag{"error", "bool", true})
	}
	add("otel.status_description", span.Status().Description)
	add("w3c.tracestate", span.SpanContext().TraceState().String())
	return tags
}

// uiReferencesOf returns the span's parent, which comes first, and its links. A
// link to the parent says what kind of parent it is.
func uiReferencesOf(span sdktrace.ReadOnlySpan) []uiReference {
	refs := []uiReference{}
	parent := span.Parent()
	if parent.SpanID().IsValid() {
		refs = append(refs, uiReference{childOf, traceID(span.SpanContext().TraceID()), parent.SpanID().String()})
	}
	for _, link := range span.Links() {
		ref := uiReference{followsFrom, traceID(link.SpanContext.TraceID()), link.SpanContext.SpanID().String()}
		for _, kv := range link.Attributes {
			if kv.Key == semconv.OpenTracingRefTypeKey && kv.Value.String() == semconv.OpenTracingRefTypeChildOf.Value.String() {
				ref.RefType = childOf
			}
		}
		if len(refs) > 0 && parent.SpanID().IsValid() && ref.TraceID == refs[0].TraceID && ref.SpanID == refs[0].SpanID {
			refs[0] = ref
			continue
		}
		refs = append(refs, ref)
	}
	return refs
}

func uiTags(attrs []attribute.KeyValue) []uiTag {
	tags := make([]uiTag, 0, len(attrs))
	for _, kv := range attrs {
		tags = append(tags, uiTagOf(kv))
	}
	return tags
}

func uiTagOf(kv attribute.KeyValue) uiTag {
	tag := uiTag{Key: string(kv.Key)}
	switch v := kv.Value; v.Type() {
	case attribute.BOOL:
		tag.Type, tag.Value = "bool", v.AsBool()
	case attribute.INT64:
		tag.Type, tag.Value = "int64", v.AsInt64()
		if n := v.AsInt64(); n > maxSafeInteger || n < -maxSafeInteger {
			tag.Value = strconv.FormatInt(n, 10)
		}
	case attribute.FLOAT64:
		tag.Type, tag.Value = "float64", v.AsFloat64()
		if f := v.AsFloat64(); math.IsNaN(f) || math.IsInf(f, 0) {
			tag.Value = fmt.Sprint(f) // JSON has no such number
		}
	case attribute.BYTESLICE:
		tag.Type, tag.Value = "binary", v.AsByteSlice()
	default:
		tag.Type, tag.Value = "string", v.String()
	}
	return tag
}

// text returns the tag's value as one writes it in a search.
func (t uiTag) text() string {
	if b, ok := t.Value.([]byte); ok {
		return base64.StdEncoding.EncodeToString(b)
	}
	return fmt.Sprint(t.Value)
}

// traceID returns the ID as Jaeger writes it: one of 64 bits in 16 digits.
func traceID(id trace.TraceID) string {
	if [8]byte(id[:8]) == [8]byte{} {
		return fmt.Sprintf("%x", id[8:])
	}
	return id.String()
}

// Service returns the name of the service that the span is of.
func Service(span sdktrace.ReadOnlySpan) string {
	if name, ok := span.Resource().Set().Value(semconv.ServiceNameKey); ok && name.String() != "" {
		return name.String()
	}
	return "missing-service-name"
}

func kind(span sdktrace.ReadOnlySpan) string {
	if span.SpanKind() == trace.SpanKindUnspecified {
		return ""
	}
	return span.SpanKind().String()
}

func duration(span sdktrace.ReadOnlySpan) time.Duration {
	return span.EndTime().Sub(span.StartTime())
}
