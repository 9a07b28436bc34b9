package jaeger_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/jaeger"
)

func TestWarningsOfClockSkew(t *testing.T) {
	const (
		skew   = "clock skew adjustment disabled; not applying calculated delta of 1µs"
		orphan = "invalid parent span IDs=0000000000000003; skipping clock skew adjustment"
	)
	for _, tt := range []struct {
		name            string
		start, duration int // the parent's are 1000 and 100
		want            []string
	}{
		{"are kept where a span starts before its parent", 999, 50, []string{skew, orphan}},
		{"are dropped where it starts with its parent and ends later", 1000, 200, []string{orphan}},
		{"are dropped where it starts within its parent and ends later", 1050, 60, []string{orphan}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprintf(w, `{"data": [{"traceID": "a", "spans": [
					{"spanID": "1", "startTime": 1000, "duration": 100},
					{"spanID": "2", "startTime": %d, "duration": %d, "warnings": [%q, %q],
						"references": [{"refType": "CHILD_OF", "traceID": "a", "spanID": "1"}]}
				]}]}`, tt.start, tt.duration, skew, orphan)
			}))
			defer server.Close()
			trace, ok, err := (&jaeger.Server{URL: server.URL}).Trace("a")
			require.NoError(t, err)
			require.True(t, ok)
			for _, span := range trace.Spans {
				if span.ID == "2" {
					require.Equal(t, tt.want, span.Warnings)
				}
			}
		})
	}
}
