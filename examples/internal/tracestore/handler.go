package tracestore

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// answer is what Jaeger's query API puts around every answer.
type answer struct {
	Data   any           `json:"data"`
	Total  int           `json:"total"`
	Limit  int           `json:"limit"`
	Offset int           `json:"offset"`
	Errors []answerError `json:"errors"`
}

type answerError struct {
	Code    int    `json:"code,omitempty"`
	Msg     string `json:"msg"`
	TraceID string `json:"traceID,omitempty"`
}

var errTraceNotFound = errors.New("trace not found")

// Handler returns the Jaeger UI and, below /api/, as much of Jaeger's query API
// as the UI asks for. It is for the user of this machine only: it asks for no
// password, and answers only requests for an IP address or localhost, which a
// web page that rebinds a DNS name of its own cannot make.
func (s *Store) Handler() http.Handler {
	mux := http.NewServeMux()
	api := func(pattern string, f func(*http.Request, url.Values) (answer, int, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { serveJSON(w, r, f) })
	}
	api("GET /api/services", s.serveServices)
	api("GET /api/services/{service}/operations", s.serveServiceOperations)
	api("GET /api/operations", s.serveOperations)
	api("GET /api/traces", s.serveSearch)
	api("GET /api/traces/{id}", s.serveTrace)
	api("GET /api/dependencies", s.serveDependencies)
	api("GET /api/metrics/", refuse(http.StatusNotImplemented, "metrics querying is currently disabled"))
	api("POST /api/archive/{id}", refuse(http.StatusInternalServerError, "archive span storage was not configured"))
	api("POST /api/transform", refuse(http.StatusNotImplemented, "OTLP files need a Jaeger server: this one shows only its own traces"))
	api("/api/", refuse(http.StatusNotFound, "no such endpoint"))
	mux.Handle("/", newUI())
	return secure(mux)
}

func (s *Store) serveServices(*http.Request, url.Values) (answer, int, error) {
	services := s.services()
	return answer{Data: services, Total: len(services)}, 0, nil
}

func (s *Store) serveServiceOperations(r *http.Request, _ url.Values) (answer, int, error) {
	var names []string
	for _, op := range s.operations(r.PathValue("service"), "") {
		names = append(names, op.Name)
	}
	names = slices.Compact(names)
	return answer{Data: names, Total: len(names)}, 0, nil
}

func (s *Store) serveOperations(_ *http.Request, form url.Values) (answer, int, error) {
	service := form.Get("service")
	if service == "" {
		return answer{}, http.StatusBadRequest, errors.New("parameter 'service' is required")
	}
	operations := s.operations(service, form.Get("spanKind"))
	return answer{Data: operations, Total: len(operations)}, 0, nil
}

func (s *Store) serveSearch(_ *http.Request, form url.Values) (answer, int, error) {
	q, err := parseSearch(form, time.Now())
	if err != nil {
		return answer{}, http.StatusBadRequest, err
	}
	traces := []uiTrace{}
	if len(q.ids) == 0 {
		for _, spans := range s.find(q) {
			traces = append(traces, uiTraceOf(spans, q.raw))
		}
		return answer{Data: traces}, 0, nil
	}
	var missing []answerError
	for _, id := range q.ids {
		spans := s.Trace(id)
		if len(spans) == 0 {
			missing = append(missing, answerError{Msg: errTraceNotFound.Error(), TraceID: traceID(id)})
			continue
		}
		traces = append(traces, uiTraceOf(spans, q.raw))
	}
	return answer{Data: traces, Errors: missing}, 0, nil
}

func (s *Store) serveTrace(r *http.Request, form url.Values) (answer, int, error) {
	id, err := parseTraceID(r.PathValue("id"))
	if err != nil {
		return answer{}, http.StatusBadRequest, err
	}
	raw, err := parseBool(form, "raw")
	if err != nil {
		return answer{}, http.StatusBadRequest, err
	}
	spans := s.Trace(id)
	if len(spans) == 0 {
		return answer{}, http.StatusNotFound, errTraceNotFound
	}
	return answer{Data: []uiTrace{uiTraceOf(spans, raw)}}, 0, nil
}

func (s *Store) serveDependencies(_ *http.Request, form url.Values) (answer, int, error) {
	from, to, err := parseDependencies(form, time.Now())
	if err != nil {
		return answer{}, http.StatusBadRequest, err
	}
	links := s.dependencies(from, to)
	if service := form.Get("service"); service != "" {
		links = slices.DeleteFunc(links, func(l uiDependency) bool { return l.Parent != service && l.Child != service })
	}
	return answer{Data: links}, 0, nil
}

func refuse(status int, reason string) func(*http.Request, url.Values) (answer, int, error) {
	return func(*http.Request, url.Values) (answer, int, error) { return answer{}, status, errors.New(reason) }
}

func serveJSON(w http.ResponseWriter, r *http.Request, f func(*http.Request, url.Values) (answer, int, error)) {
	form, err := url.ParseQuery(r.URL.RawQuery)
	var a answer
	status := http.StatusBadRequest
	if err != nil {
		err = fmt.Errorf("malformed query: %w", err)
	} else {
		a, status, err = f(r, form)
	}
	if err != nil {
		a = answer{Errors: []answerError{{Code: status, Msg: err.Error()}}}
	}
	marshal := json.Marshal
	if pretty := form.Get("prettyPrint"); pretty != "" && pretty != "false" {
		marshal = func(v any) ([]byte, error) { return json.MarshalIndent(v, "", "    ") }
	}
	body, err := marshal(a)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(cmp.Or(status, http.StatusOK))
	_, _ = w.Write(body) // the client has gone: there is nobody to tell
}
