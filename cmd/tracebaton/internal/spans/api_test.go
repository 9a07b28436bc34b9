package spans_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/cmd/tracebaton/internal/spans"
	"github.com/tracebaton/tracebaton/internal/audit"
)

// store answers as Jaeger does, with so many traces a second.
func store(t *testing.T, perSecond int64) (url string, asked *int) {
	t.Helper()
	asked = new(int)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/services", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":["a","b"]}`) })
	mux.HandleFunc("GET /api/traces", func(w http.ResponseWriter, r *http.Request) {
		*asked++
		number := func(name string) int64 {
			n, err := strconv.ParseInt(r.FormValue(name), 10, 64)
			assert.NoError(t, err)
			return n
		}
		every := int64(time.Second/time.Microsecond) / perSecond
		var b strings.Builder
		n := int64(0)
		for at := number("end") / every * every; at >= number("start") && n < number("limit"); at -= every {
			if n++; n > 1 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"traceID":"%x","spans":[{"traceID":"%[1]x","spanID":"1","startTime":%[1]d,"processID":"p"}],"processes":{"p":{"serviceName":"a"}}}`, at)
		}
		fmt.Fprintf(w, `{"data":[%s]}`, b.String())
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestStoreIsAskedForHalvesWhereAnAnswerIsFull(t *testing.T) {
	url, asked := store(t, 50) // of which an answer holds 20 seconds
	seen := map[audit.TraceID]int{}
	s := spans.Store{Since: time.Minute, Limit: 1_000_000}
	require.NoError(t, s.ReadAll(t.Context(), url, &spans.Reader{Span: func(s audit.Span) { seen[s.Trace]++ }}))
	assert.InDelta(t, 3000, len(seen), 2)
	for trace, n := range seen {
		assert.Equal(t, 1, n, trace)
	}
	assert.Equal(t, 2*7, *asked, "for each service: a minute, its halves, their halves")
	assert.Equal(t, url+"/trace/1", s.Link("1"))
}

func TestStoreIsNotAskedForMoreThanIsEnough(t *testing.T) {
	url, asked := store(t, 1)
	newest := time.Now()
	oldest := newest
	s := spans.Store{Since: time.Hour, Limit: 100}
	require.NoError(t, s.ReadAll(t.Context(), url, &spans.Reader{Span: func(s audit.Span) {
		if s.Start.Before(oldest) {
			oldest = s.Start
		}
	}}))
	assert.Equal(t, 2, *asked, "one slice of five minutes, for each service")
	assert.InDelta(t, 300, newest.Sub(oldest).Seconds(), 2)
}

func TestStoreThatIsNone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	defer server.Close()
	for url, says := range map[string]string{
		server.URL: "answers neither as Jaeger nor as Zipkin does",
		"http://":  "is not the URL of a server",
	} {
		s := spans.Store{Since: time.Minute, Limit: 1}
		assert.ErrorContains(t, s.ReadAll(t.Context(), url, &spans.Reader{}), says)
	}
}
