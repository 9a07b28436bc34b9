package sleep

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// report is what came of many calls.
type report struct {
	start    time.Time
	took     time.Duration
	done     int
	failed   int
	statuses map[int]int
	errors   map[string]int
	times    []time.Duration // of the calls that were answered
	first    *Answer         // of call 0
	slowest  *Answer
}

func newReport() *report {
	return &report{start: time.Now(), statuses: make(map[int]int), errors: make(map[string]int)}
}

// add counts the ith call.
func (r *report) add(i int, a *Answer, err error) {
	r.done++
	if err != nil {
		r.failed++
		r.errors[reason(err)]++
		return
	}
	if failed(a) {
		r.failed++
	}
	r.statuses[a.Status]++
	r.times = append(r.times, a.Took)
	kept := *a
	kept.Body, kept.Sent, kept.Received = nil, nil, nil
	if i == 0 {
		r.first = &kept
	}
	if r.slowest == nil || a.Took > r.slowest.Took {
		r.slowest = &kept
	}
}

// maxReasons is how many reasons of failure are listed.
const maxReasons = 5

// summarize writes the report on calls of which calls were asked for.
func (r *report) summarize(w io.Writer, calls int) {
	line := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(w, "%-8s "+format+"\n", append([]any{name}, args...)...)
	}
	if r.done < calls {
		line("calls", "%d of %d in %s, %d failed", r.done, calls, round(r.took), r.failed)
	} else {
		line("calls", "%d in %s, %d failed", r.done, round(r.took), r.failed)
	}
	var counts []string
	for _, status := range slices.Sorted(maps.Keys(r.statuses)) {
		counts = append(counts, strings.TrimSpace(fmt.Sprintf("%d × %d %s", r.statuses[status], status, http.StatusText(status))))
	}
	if len(counts) > 0 {
		line("status", "%s", strings.Join(counts, ", "))
	}
	reasons := slices.SortedFunc(maps.Keys(r.errors), func(a, b string) int {
		return cmp.Or(r.errors[b]-r.errors[a], strings.Compare(a, b))
	})
	for i, reason := range reasons {
		if i == maxReasons {
			line("error", "and %d other reasons", len(reasons)-i)
			break
		}
		line("error", "%d × %s", r.errors[reason], reason)
	}
	if len(r.times) == 0 {
		return
	}
	slices.Sort(r.times)
	line("latency", "p50 %s, p90 %s, p99 %s, max %s",
		round(percentile(r.times, 0.50)), round(percentile(r.times, 0.90)),
		round(percentile(r.times, 0.99)), round(percentile(r.times, 1)))
	if r.first != nil {
		line("first", "%s%s", round(r.first.Took), identity(r.first))
	}
	line("slowest", "%s%s", round(r.slowest.Took), identity(r.slowest))
}

// percentile returns the smallest of the sorted times that a share p of them
// does not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	return sorted[max(0, int(math.Ceil(p*float64(len(sorted))))-1)]
}

func failed(a *Answer) bool { return a.Status >= http.StatusBadRequest }

// identity returns what the call is found by in the traces or else in the
// logs, for the end of a line.
func identity(a *Answer) string {
	switch {
	case a.TraceID != "":
		return ", trace " + a.TraceID
	case a.RequestID != "":
		return ", request " + a.RequestID
	}
	return ""
}

// reason returns what went wrong, without the URL and the ports, so that the
// same failures look the same.
func reason(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// round leaves of d what one wants to read.
func round(d time.Duration) time.Duration {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond)
	case d < time.Second:
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(10 * time.Millisecond)
}
