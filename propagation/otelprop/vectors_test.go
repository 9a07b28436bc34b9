package otelprop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	otelpropagation "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

// vector is a row of testdata: headers, and what they mean.
type vector struct {
	Headers     map[string]values
	Kind        string
	State       string
	Trace, Span string
	Why         string
	First       string
	ParentTrace string `json:"parent_trace"`
	ParentSpan  string `json:"parent_span"`
}

// values are written as a string, or as a list where there are several.
type values []string

func (v *values) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(v))
	}
	*v = make(values, 1)
	return json.Unmarshal(b, &(*v)[0])
}

func (v vector) families() propagation.Families {
	if v.First == "w3c" {
		return propagation.Of(propagation.W3C, propagation.B3)
	}
	return propagation.Of(propagation.B3, propagation.W3C)
}

func (v vector) header() http.Header {
	h := http.Header{}
	for name, values := range v.Headers {
		for _, value := range values {
			h.Add(name, value)
		}
	}
	return h
}

// sendable is the header without the values that net/http would send empty.
func sendable(h http.Header) http.Header {
	out := http.Header{}
	for name, values := range h {
		for _, value := range values {
			if strings.Trim(value, " \t") != "" {
				out.Add(name, value)
			}
		}
	}
	return out
}

func vectors(t *testing.T) map[string]vector {
	t.Helper()
	all := map[string]vector{}
	for file, least := range map[string]int{"b3.json": 43, "more.json": 47} {
		b, err := os.ReadFile("testdata/" + file)
		require.NoError(t, err)
		var doc struct{ Vectors []vector }
		require.NoError(t, json.Unmarshal(b, &doc))
		require.GreaterOrEqual(t, len(doc.Vectors), least, file)
		for i, v := range doc.Vectors {
			if v.ParentTrace == "" && v.Kind == "ids" {
				v.ParentTrace, v.ParentSpan = v.Trace, v.Span
			}
			if len(v.ParentTrace) == 16 {
				v.ParentTrace = "0000000000000000" + v.ParentTrace
			}
			all[fmt.Sprintf("%s %d %v %s", file, i, v.Headers, v.Why)] = v
		}
	}
	return all
}

func TestVectorsAreRelayedAsTheyCame(t *testing.T) {
	for name, v := range vectors(t) {
		t.Run(name, func(t *testing.T) {
			out := http.Header{}
			v.families().Extract(v.header()).Inject(out)
			assert.Equal(t, sendable(v.header()), out)
		})
	}
}

func TestVectorsMeanWhatTheySay(t *testing.T) {
	for name, v := range vectors(t) {
		t.Run(name, func(t *testing.T) {
			p := otelprop.Propagator{Families: v.families()}
			ctx := p.Extract(context.Background(), otelpropagation.HeaderCarrier(v.header()))

			parent := trace.SpanContextFromContext(ctx)
			if v.ParentTrace == "" {
				require.False(t, parent.IsValid(), "parent %v", parent)
			} else {
				require.Equal(t, v.ParentTrace, parent.TraceID().String())
				require.Equal(t, v.ParentSpan, parent.SpanID().String())
				require.True(t, parent.IsRemote())
				if v.ParentTrace != v.Trace && len(v.Trace) == 32 || v.Kind != "ids" {
					v.State = "" // of another family's parent
				} else {
					require.Equal(t, v.State == "accept" || v.State == "debug", parent.IsSampled())
				}
			}

			t.Run("without a span of its own, a service passes it on as it came or not at all", func(t *testing.T) {
				out := http.Header{}
				p.Inject(ctx, otelpropagation.HeaderCarrier(out))
				if v.Kind == "none" && v.ParentTrace == "" {
					assert.Empty(t, out)
				} else {
					assert.Equal(t, sendable(v.header()), out)
				}
			})

			if v.State != "debug" || v.Kind != "ids" {
				return
			}
			t.Run("debug survives a sampled span of the same trace", func(t *testing.T) {
				out := http.Header{}
				p.Inject(withSpan(ctx, parent.TraceID(), true), otelpropagation.HeaderCarrier(out))
				if out.Get("b3") == "" {
					assert.Equal(t, "1", out.Get("x-b3-flags"))
				} else {
					assert.Equal(t, v.Trace+"-"+spanID.String()+"-d", out.Get("b3"))
				}
				assert.Empty(t, out.Get("x-b3-sampled"))
			})
		})
	}
}

var spanID = trace.SpanID{0x0b, 0xad, 0xc0, 0xff, 0xee, 0, 0, 1}

// withSpan returns ctx with a span that was started here.
func withSpan(ctx context.Context, traceID trace.TraceID, sampled bool) context.Context {
	span := trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.TraceFlags(0).WithSampled(sampled)}
	if parent := trace.SpanContextFromContext(ctx); parent.TraceID() == traceID {
		span.TraceState = parent.TraceState()
	}
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(span))
}
