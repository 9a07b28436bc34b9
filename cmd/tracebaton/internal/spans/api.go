package spans

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tracebaton/tracebaton/internal/audit"
)

// The limits of what is asked of a server and taken from it.
const (
	page        = 1000 // traces an answer
	slice       = 5 * time.Minute
	finest      = time.Second // slices are not divided further
	maxAnswer   = 512 << 20   // bytes
	maxServices = 10_000
	patience    = 2 * time.Minute // for one answer
)

// Store is a server that has traces.
type Store struct {
	base *url.URL
	api  api
	http *http.Client

	// Service, if not empty, is the only one to ask for.
	Service string
	// Since is how far back to look.
	Since time.Duration
	// Limit is the number of traces after which it is enough: no older slice
	// of time is begun.
	Limit int
	// Progress, if not nil, is called after each answer.
	Progress func(traces int)
}

// api is one of the ways to ask.
type api struct {
	name, services, traces string
	query                  func(service string, from, to time.Time) url.Values
	link                   string // to a trace, before its ID
}

var apis = []api{
	{"Jaeger", "api/v3/services", "api/v3/traces", func(service string, from, to time.Time) url.Values {
		return url.Values{
			"query.service_name":   {service},
			"query.start_time_min": {from.UTC().Format(time.RFC3339Nano)},
			"query.start_time_max": {to.UTC().Format(time.RFC3339Nano)},
			"query.num_traces":     {strconv.Itoa(page)},
		}
	}, "trace/"},
	{"Jaeger", "api/services", "api/traces", func(service string, from, to time.Time) url.Values {
		return url.Values{
			"service": {service},
			"start":   {strconv.FormatInt(from.UnixMicro(), 10)},
			"end":     {strconv.FormatInt(to.UnixMicro(), 10)},
			"limit":   {strconv.Itoa(page)},
		}
	}, "trace/"},
	{"Zipkin", "api/v2/services", "api/v2/traces", func(service string, from, to time.Time) url.Values {
		return url.Values{
			"serviceName": {service},
			"endTs":       {strconv.FormatInt(to.UnixMilli(), 10)},
			"lookback":    {strconv.FormatInt(max(1, to.Sub(from).Milliseconds()), 10)},
			"limit":       {strconv.Itoa(page)},
		}
	}, "zipkin/traces/"},
}

// Link returns where a trace can be looked at.
func (s *Store) Link(trace string) string { return s.base.JoinPath(s.api.link, trace).String() }

// ReadAll reads the traces of the store, from the newest on. What is read
// before an error is not lost.
func (s *Store) ReadAll(ctx context.Context, base string, r *Reader) error {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is not the URL of a server, such as http://jaeger:16686", base)
	}
	s.base, s.http = u, &http.Client{Timeout: patience}
	services, err := s.discover(ctx)
	if err != nil {
		return err
	}
	if s.Service != "" {
		services = []string{s.Service}
	}

	// A trace is found by each of its services, and is whole each time.
	seen := make(map[audit.TraceID]int)
	asked := 0
	skip := r.Skip
	r.Skip = func(t audit.TraceID) bool {
		if _, ok := seen[t]; !ok {
			seen[t] = asked
		}
		return seen[t] != asked
	}
	defer func() { r.Skip = skip }()

	end := time.Now()
	start := end.Add(-s.Since)
	for to := end; to.After(start) && len(seen) < s.Limit; to = to.Add(-slice) {
		from := to.Add(-slice)
		if from.Before(start) {
			from = start
		}
		for _, service := range services {
			err := between(from, to, func(from, to time.Time) (full bool, err error) {
				asked++
				n, err := s.traces(ctx, service, from, to, r)
				if s.Progress != nil {
					s.Progress(len(seen))
				}
				return n >= page, err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// between asks for a time, and for its halves where the answer is full.
func between(from, to time.Time, ask func(from, to time.Time) (full bool, err error)) error {
	full, err := ask(from, to)
	if err != nil || !full || to.Sub(from) <= finest {
		return err
	}
	half := from.Add(to.Sub(from) / 2)
	return errors.Join(between(half, to, ask), between(from, half, ask))
}

// discover finds out which API the server has, and the services in it.
func (s *Store) discover(ctx context.Context) (services []string, err error) {
	for _, s.api = range apis {
		var body io.ReadCloser
		if body, err = s.get(ctx, s.api.services, nil); err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			continue
		}
		services, err = parseServices(body)
		_ = body.Close()
		if err == nil {
			return services, nil
		}
	}
	return nil, fmt.Errorf("%s answers neither as Jaeger nor as Zipkin does: %w", s.base, err)
}

// parseServices reads {"services": […]}, {"data": […]} or […].
func parseServices(r io.Reader) ([]string, error) {
	b, err := io.ReadAll(io.LimitReader(r, 16<<20))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Services []string `json:"services"`
		Data     []string `json:"data"`
	}
	var list []string
	if json.Unmarshal(b, &list) != nil {
		if err := json.Unmarshal(b, &answer); err != nil {
			return nil, fmt.Errorf("cannot read the list of services: %w", err)
		}
		list = slices.Concat(answer.Services, answer.Data)
	}
	return list[:min(len(list), maxServices)], nil
}

// traces reads those of a service that began in that time, and returns how
// many there are.
func (s *Store) traces(ctx context.Context, service string, from, to time.Time, r *Reader) (int, error) {
	body, err := s.get(ctx, s.api.traces, s.api.query(service, from, to))
	var status statusError
	if errors.As(err, &status) && status.code == http.StatusNotFound {
		return 0, nil // Jaeger's v3, of no traces
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = body.Close() }()
	counted := Reader{Span: r.Span, Skip: r.Skip}
	traces := make(map[audit.TraceID]bool)
	counted.Skip = func(t audit.TraceID) bool {
		traces[t] = true
		return r.Skip(t)
	}
	err = counted.Read(body)
	r.Spans += counted.Spans
	r.Unreadable += counted.Unreadable
	r.Traces += len(traces)
	if err != nil {
		return len(traces), fmt.Errorf("%s: %w", s.base.JoinPath(s.api.traces), err)
	}
	return len(traces), nil
}

// statusError is an answer that is none.
type statusError struct {
	code int
	url  string
	body string
}

func (e statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%s answers %d %s %s", e.url, e.code, http.StatusText(e.code), e.body))
}

func (s *Store) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	u := s.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	res, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // of an error, the beginning will do
		_ = res.Body.Close()
		return nil, statusError{res.StatusCode, s.base.JoinPath(path).String(), strings.TrimSpace(string(b))}
	}
	return &limited{res.Body, maxAnswer}, nil
}

// limited is a body that ends with an error where it is too large.
type limited struct {
	io.ReadCloser
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the answer has more than %d MB", maxAnswer>>20)
	}
	n, err := l.ReadCloser.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
