package tracestore

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
)

const (
	defaultLimit = 100
	maxLimit     = 1_500 // what the UI lets one ask for
	maxTags      = 32

	defaultLookback           = 48 * time.Hour
	defaultDependencyLookback = 24 * time.Hour
	maxLookback               = 100 * 365 * 24 * time.Hour
)

// parseSearch reads the parameters of /api/traces:
//
//	service                   required, unless there is a traceID
//	operation
//	start, end                microseconds since 1970; the last 48 hours
//	minDuration, maxDuration  as in 1.2s, 100ms, 500us
//	tag                       key:value, repeated
//	tags                      a JSON object of strings, repeated
//	limit                     1 to 1,500; 100
//	traceID                   repeated; the rest does not matter then
//	raw
//
// The UI's lookback is there for its own use: it sends the start as well.
func parseSearch(form url.Values, now time.Time) (search, error) {
	q := search{service: form.Get("service"), operation: form.Get("operation"), limit: defaultLimit}
	for _, text := range form["traceID"] {
		id, err := parseTraceID(text)
		if err != nil {
			return search{}, paramError("traceID", err)
		}
		if !slices.Contains(q.ids, id) {
			q.ids = append(q.ids, id)
		}
		if len(q.ids) > maxLimit {
			return search{}, paramError("traceID", fmt.Errorf("more than %d traces", maxLimit))
		}
	}
	if q.service == "" && len(q.ids) == 0 {
		return search{}, errors.New("parameter 'service' is required")
	}

	var err error
	if q.tags, err = parseTags(form["tag"], form["tags"]); err != nil {
		return search{}, err
	}
	if text := form.Get("limit"); text != "" {
		if q.limit, err = strconv.Atoi(text); err != nil {
			return search{}, paramError("limit", err)
		}
		if q.limit < 1 || q.limit > maxLimit {
			return search{}, paramError("limit", fmt.Errorf("%d is not between 1 and %d", q.limit, maxLimit))
		}
	}
	if q.start, err = parseTime(form, "start", time.UnixMicro, now.Add(-defaultLookback)); err != nil {
		return search{}, err
	}
	if q.end, err = parseTime(form, "end", time.UnixMicro, now); err != nil {
		return search{}, err
	}
	if q.minDuration, err = parseDuration(form, "minDuration"); err != nil {
		return search{}, err
	}
	if q.maxDuration, err = parseDuration(form, "maxDuration"); err != nil {
		return search{}, err
	}
	if q.maxDuration != 0 && q.maxDuration < q.minDuration {
		return search{}, errors.New("'maxDuration' should be greater than 'minDuration'")
	}
	q.raw, err = parseBool(form, "raw")
	return q, err
}

// parseDependencies reads the parameters of /api/dependencies, both in
// milliseconds: endTs, since 1970 (now), and lookback (24 hours).
func parseDependencies(form url.Values, now time.Time) (from, to time.Time, err error) {
	to, err = parseTime(form, "endTs", time.UnixMilli, now)
	if err != nil {
		return from, to, err
	}
	lookback := defaultDependencyLookback
	if text := form.Get("lookback"); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return from, to, paramError("lookback", err)
		}
		if ms < 0 || ms > maxLookback.Milliseconds() {
			return from, to, paramError("lookback", fmt.Errorf("%d ms is not between 0 and a hundred years", ms))
		}
		lookback = time.Duration(ms) * time.Millisecond
	}
	return to.Add(-lookback), to, nil
}

// parseTraceID reads a trace ID, whose leading zeros may be missing.
func parseTraceID(text string) (trace.TraceID, error) {
	var id trace.TraceID
	if text == "" || len(text) > 32 {
		return id, fmt.Errorf("a trace ID has 1 to 32 hexadecimal digits, not %d", len(text))
	}
	b, err := hex.DecodeString(strings.Repeat("0", 32-len(text)) + text)
	if err != nil {
		return id, fmt.Errorf("trace ID %q: %w", text, err)
	}
	return trace.TraceID(b), nil
}

func parseTags(simple, objects []string) (map[string]string, error) {
	tags := map[string]string{}
	for _, text := range simple {
		key, value, ok := strings.Cut(text, ":")
		if !ok {
			return nil, fmt.Errorf("malformed 'tag' parameter, expecting key:value, received: %s", text)
		}
		tags[key] = value
	}
	for _, text := range objects {
		var object map[string]string
		if err := json.Unmarshal([]byte(text), &object); err != nil {
			return nil, fmt.Errorf("malformed 'tags' parameter, cannot unmarshal JSON: %w", err)
		}
		maps.Copy(tags, object)
	}
	if len(tags) > maxTags {
		return nil, fmt.Errorf("'tag' and 'tags' parameters name more than %d tags", maxTags)
	}
	return tags, nil
}

func parseTime(form url.Values, name string, unit func(int64) time.Time, otherwise time.Time) (time.Time, error) {
	text := form.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, paramError(name, err)
	}
	return unit(n), nil
}

func parseDuration(form url.Values, name string) (time.Duration, error) {
	text := form.Get(name)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, paramError(name, err)
	}
	if d < 0 {
		return 0, paramError(name, fmt.Errorf("%s is negative", text))
	}
	return d, nil
}

func parseBool(form url.Values, name string) (bool, error) {
	text := form.Get(name)
	if text == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return false, paramError(name, err)
	}
	return b, nil
}

func paramError(name string, err error) error {
	return fmt.Errorf("unable to parse param '%s': %w", name, err)
}
