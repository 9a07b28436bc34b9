package serve

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/felixge/httpsnoop"
	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
	"golang.org/x/term"
)

// NewLogger returns a logger that writes to w: text where w is a terminal,
// which somebody reads, and JSON elsewhere, where a machine does. Lines about
// a request have its request ID and its trace ID.
func NewLogger(w io.Writer) *slog.Logger {
	var h slog.Handler = slog.NewJSONHandler(w, nil)
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		h = slog.NewTextHandler(w, nil)
	}
	return slog.New(telemetry.Log(h))
}

// Log is middleware that writes one line a request to log. It goes inside
// [telemetry.Tracing.Handler], which knows what trace the request belongs to,
// and outside or in the router. The query is left out: it is the caller's, and
// may hold what no log should.
func Log(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start, finished := time.Now(), false
			m := httpsnoop.Metrics{Code: http.StatusOK}
			defer func() {
				level := slog.LevelInfo
				if m.Code >= http.StatusInternalServerError || !finished {
					level = slog.LevelWarn
				}
				attrs := []slog.Attr{
					slog.String("method", r.Method),
					slog.String("path", r.URL.Path),
					slog.Int("status", m.Code),
					slog.Int64("bytes", m.Written),
					slog.Float64("duration_ms", float64(time.Since(start).Microseconds())/1000),
				}
				if !finished {
					attrs = append(attrs, slog.Bool("cut_off", true))
				}
				log.LogAttrs(r.Context(), level, "request", attrs...)
			}()
			m.CaptureMetrics(w, func(w http.ResponseWriter) { next.ServeHTTP(w, r) })
			finished = true
		})
	}
}
