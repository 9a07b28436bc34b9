package integration_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/envoy"
	"github.com/tracebaton/tracebaton/integration/process"
)

var update = flag.Bool("update", false, "write what the tests say of Envoy into docs/headers.md")

const headersPage = "../docs/headers.md"

// group is a table of docs/headers.md: what Envoy does with some headers.
type group struct {
	id     string   // of the marks between which the table stands
	names  []string // headers that go out only where a statement says so
	tracer envoy.Tracer
	says   []statement
}

// statement is a row of it: a request to a sidecar, what goes out, and the
// spans that the sidecar made.
//
// T, S and P stand for a trace ID, a span ID and its parent's that came in, R4
// for a request ID with 4 at index 14, R9 for the same with 9. T′, S′ and R′9
// are new ones.
type statement struct {
	says     string
	in       []string // header lines
	sampling string   // percentage; empty: 100
	out      []string // header lines; what came in and is not here goes out as it came
	spans    string   // as traced writes them

	since, until string // minor versions; empty: the oldest, the newest
	hops         int    // how many such sidecars are passed; 0 is 1
	headersOnly  bool   // its tracer's spans are not read here

	edge, alwaysOn bool
	internal       string
	tracer         envoy.Tracer // empty: the group's
}

const gone = "removed"

// symbols are what stands for what in statements.
var symbols = map[string]string{
	"T":   "463ac35c9f6413ad48485a3953bb6124",
	"S":   "a2fb4a1d1a96d312",
	"P":   "0020000000000001",
	"U":   "1d3ef7e9c2b4a5968798a9bacbdcedfe", // another trace's
	"V":   "5f1c64b74143596f",                 // a span of it
	"t":   "463ac35c9f6413ad",                 // 64 bits
	"t64": "0000000000000000463ac35c9f6413ad",
	"R4":  "254b0a8b-89aa-4864-83ee-9c06f412bcd4",
	"R9":  "254b0a8b-89aa-9864-83ee-9c06f412bcd4",
	"Ra":  "254b0a8b-89aa-a864-83ee-9c06f412bcd4",
	"Rb":  "254b0a8b-89aa-b864-83ee-9c06f412bcd4",
	"W":   "1-NDYzYWMzNWMtOWY2NC0xM2Fk-NWYxYzY0YjctNDE0My01OTZm-1-c2xlZXA=-c2xlZXAtMQ==-L2ZldGNo-MTI3LjAuMC4xOjgw", // SkyWalking's
}

func TestEnvoyDoesWithHeadersWhatTheirPageSays(t *testing.T) {
	for _, binary := range envoy.NeedAll(t) {
		t.Run(binary.Version, func(t *testing.T) {
			lab := newLab(t, binary)
			for _, g := range groups {
				t.Run(g.id, func(t *testing.T) {
					for _, s := range g.says {
						if s.tracer == "" {
							s.tracer = g.tracer
						}
						if s.appliesTo(binary) {
							t.Run(s.says, func(t *testing.T) { lab.check(t, s, g.names) })
						}
					}
				})
			}
		})
	}
}

func (s statement) appliesTo(b envoy.Binary) bool {
	return (s.since == "" || b.AtLeast(s.since)) && (s.until == "" || !b.AtLeast(next(s.until)))
}

// next is the minor version after the one: 1.40 after 1.39.
func next(minor string) string {
	var n int
	_, _ = fmt.Sscanf(minor, "1.%d", &n)
	return fmt.Sprintf("1.%d", n+1)
}

// lab is an Envoy with a listener for each kind of sidecar in the statements, in
// front of a service that answers with the headers that it gets.
type lab struct {
	envoy *envoy.Proxy
	spans *envoy.Collector
}

func newLab(t *testing.T, binary envoy.Binary) *lab {
	t.Helper()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(r.Header)
	}))
	t.Cleanup(service.Close)
	l := &lab{spans: envoy.Collect(t)}
	config := envoy.Config{Service: "sidecar", Zipkin: l.spans.Addr, OTLP: l.spans.Addr, Unread: process.FreeAddr(t)}
	known := map[string]bool{}
	for _, g := range groups {
		for _, s := range g.says {
			if s.tracer == "" {
				s.tracer = g.tracer
			}
			// The last of the sidecars first.
			for upstream, hop := service.Listener.Addr().String(), 1; hop <= max(s.hops, 1); hop++ {
				listener := s.listener(hop)
				if known[listener.Name] {
					continue
				}
				known[listener.Name] = true
				if hop > 1 {
					upstream = config.Listeners[len(config.Listeners)-1].Addr
				}
				listener.Addr, listener.Upstream = process.FreeAddr(t), upstream
				config.Listeners = append(config.Listeners, listener)
			}
		}
	}
	l.envoy = envoy.Start(t, binary, config)
	return l
}

// listener is the sidecar of the statement from which there are so many hops to
// the service.
func (s statement) listener(hops int) envoy.Listener {
	l := envoy.Listener{
		Inbound:           hops == 1,
		Operation:         "lab",
		Tracer:            s.tracer,
		Sampling:          s.sampling,
		Edge:              s.edge,
		Internal:          s.internal,
		AlwaysOn:          s.alwaysOn,
		SpawnUpstreamSpan: s.tracer == envoy.SkyWalking, // which writes nothing without
	}
	if s.hops > 1 {
		l.Name = fmt.Sprintf("%d-of-%d-", hops, s.hops)
	}
	l.Name += fmt.Sprintf("%s-%s-%t-%s-%t", s.tracer, s.sampling, s.edge, strings.ReplaceAll(s.internal, ".", "-"), s.alwaysOn)
	return l
}

// check sends the statement's request and compares what it says with what
// became of it.
func (l *lab) check(t *testing.T, s statement, names []string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.envoy.Addr(s.listener(max(s.hops, 1)).Name), nil)
	require.NoError(t, err)
	want := map[string][]string{}
	for _, line := range s.in {
		name, value := split(line)
		req.Header.Add(name, expand(value))
		want[name] = append(want[name], value)
	}
	for _, line := range s.out {
		name, _ := split(line)
		delete(want, name)
	}
	for _, line := range s.out {
		name, value := split(line)
		want[name] = append(want[name], value)
	}
	resp, err := (&http.Client{Timeout: patience}).Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	var arrived http.Header
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&arrived))

	got := map[string][]string{}
	read := reader(s.in)
	for name, values := range arrived {
		name = strings.ToLower(name)
		if _, ok := want[name]; ok || slices.Contains(names, name) {
			for i, value := range values {
				if w := want[name]; i < len(w) && w[i] == "another" && value != "" && !slices.Contains(req.Header.Values(name), value) {
					value = "another"
				}
				got[name] = append(got[name], read(value))
			}
		}
	}
	for name, values := range want {
		if slices.Equal(values, []string{gone}) && len(got[name]) == 0 {
			got[name] = values
		}
	}
	assert.Equal(t, want, got, "the headers that go out")

	l.envoy.Settle(t)
	spans, err := l.spans.Take()
	require.NoError(t, err)
	if !s.headersOnly {
		assert.Equal(t, s.spans, traced(spans, read), "the spans")
	}
}

// traced writes spans as statements do: the trace of each, and its parent.
func traced(spans []envoy.Span, read func(string) string) string {
	if len(spans) == 0 {
		return "none"
	}
	var all []string
	for _, trace := range envoy.Traces(spans) {
		for _, span := range trace {
			text := read(span.Trace)
			if span.Parent != "" {
				text += " below " + read(span.Parent)
			}
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func split(line string) (name, value string) {
	name, value, _ = strings.Cut(line, ":")
	return name, strings.TrimPrefix(value, " ")
}

var symbol = regexp.MustCompile(`\b(?:T|S|P|U|V|W|t|t64|R[49ab])\b`)

// expand puts IDs in the place of symbols.
func expand(value string) string {
	return symbol.ReplaceAllStringFunc(value, func(s string) string { return symbols[s] })
}

var id = regexp.MustCompile(`\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{16})\b`)

// reader returns what puts symbols back in the place of IDs. IDs that did not
// come in are new ones.
func reader(in []string) func(string) string {
	known := map[string]string{}
	for s, v := range symbols {
		known[v] = s
	}
	var came strings.Builder
	for _, line := range in {
		came.WriteString(expand(line) + "\n")
	}
	count := map[string]int{}
	fresh := func(kind string) string {
		count[kind]++
		return kind + strings.Repeat("′", count[kind])
	}
	return func(value string) string {
		return id.ReplaceAllStringFunc(value, func(id string) string {
			switch s, ok := known[id]; {
			case ok:
				return s
			case strings.Contains(came.String(), id):
				return id
			case len(id) == 36 && strings.Contains(came.String(), id[:14]):
				return id
			case len(id) == 36:
				known[id] = "R′" + id[14:15]
			case len(id) == 32:
				known[id] = fresh("T")
			default:
				known[id] = fresh("S")
			}
			return known[id]
		})
	}
}

func TestPageOfHeadersSaysWhatIsTested(t *testing.T) {
	page, err := os.ReadFile(headersPage)
	require.NoError(t, err)
	want := put(t, string(page), "relays", relaysTable())
	for _, g := range groups {
		want = put(t, want, g.id, g.table())
	}
	if *update {
		require.NoError(t, os.WriteFile(headersPage, []byte(want), 0o600))
		return
	}
	require.Equal(t, want, string(page), "run go test -run TestPageOfHeaders -update . in integration")
	for _, version := range envoy.Versions() {
		require.Contains(t, string(page), version)
	}
}

// put writes the table between its marks in the page.
func put(t *testing.T, page, id, table string) string {
	t.Helper()
	begin, end := "<!-- "+id+": written by integration/headers_test.go -->\n", "<!-- end -->\n"
	before, rest, ok := strings.Cut(page, begin)
	require.True(t, ok, "the page has no %q", begin)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "the page has no %q after %q", end, begin)
	return before + begin + table + end + after
}

func (g group) table() string {
	var b strings.Builder
	b.WriteString("\n| | % | comes in | goes out | spans | Envoy |\n|---|---|---|---|---|---|\n")
	for _, s := range g.says {
		spans := s.spans
		if s.headersOnly {
			spans = "not read"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", s.says, orElse(s.sampling, "100"), lines(s.in, "nothing"), lines(s.out, "as it came"), spans, s.versions())
	}
	return b.String() + "\n"
}

func (s statement) versions() string {
	switch {
	case s.since != "" && s.until != "":
		return s.since + " to " + s.until
	case s.since != "":
		return "from " + s.since
	case s.until != "":
		return "to " + s.until
	}
	return ""
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// lines writes header lines into a cell.
func lines(headers []string, none string) string {
	if len(headers) == 0 {
		return none
	}
	var cells []string
	for _, h := range headers {
		cells = append(cells, "`"+h+"`")
	}
	return strings.Join(cells, "<br>")
}
