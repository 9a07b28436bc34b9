package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

var update = flag.Bool("update", false, "write the golden files anew")

// tracebaton runs a command and returns what it printed. What is made up is
// always the same, and calls that come after the answer are not waited for.
func tracebaton(t *testing.T, stdin string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, env{
		stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs, random: rand.NewChaCha8([32]byte{1}),
		background: time.Millisecond, together: 20 * time.Millisecond,
	})
	return out.String(), errs.String(), status
}

var (
	ports = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	took  = regexp.MustCompile(`in [0-9.]+m?s`)
)

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = took.ReplaceAllString(ports.ReplaceAllString(got, "127.0.0.1:PORT"), "in TIME")
	file := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "%s is not what was printed; write it with -update and read the difference", file)
}

// flat is the text in one line.
func flat(s string) string { return strings.Join(strings.Fields(s), " ") }

// serve runs a service that fetches its query's URL with the headers that the
// function writes.
func serve(t *testing.T, write func(out, in http.Header)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call(w, r, http.DefaultClient, write)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/fetch?url={upstream}"
}

func call(w http.ResponseWriter, r *http.Request, client *http.Client, write func(out, in http.Header)) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, r.URL.Query().Get("url"), nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if write != nil {
		write(req.Header, r.Header)
	}
	res, err := client.Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(w, res.Body)
}

// relaying runs a service on this repository's middleware.
func relaying(t *testing.T) string {
	t.Helper()
	client := &http.Client{Transport: &middleware.Transport{}}
	s := httptest.NewServer(middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call(w, r, client, nil)
	})))
	t.Cleanup(s.Close)
	return s.URL + "/fetch?url={upstream}"
}

// istio copies the headers of an Istio mesh.
func istio(out, in http.Header) { propagation.Istio().Extract(in).Inject(out) }

// fromB3 is a tracer that reads b3 and writes x-b3-*, beside a copy loop: a
// trace that comes in x-b3-* alone ends at it.
func fromB3(out, in http.Header) {
	istio(out, in)
	if v := strings.Split(in.Get("B3"), "-"); len(v) > 1 {
		out.Set("X-B3-Traceid", v[0])
	} else if in.Get("X-B3-Traceid") != "" {
		out.Set("X-B3-Traceid", "0af7651916cd43dd8448eb211c80319c")
	}
	if out.Get("X-B3-Spanid") != "" {
		out.Set("X-B3-Spanid", "0123456789abcdef")
		out.Del("X-B3-Parentspanid")
	}
}

// twoSpans are those of two tracers.
func twoSpans(out, in http.Header) {
	child(out, in)
	if v := strings.Split(out.Get("B3"), "-"); len(v) > 2 {
		out.Set("B3", v[0]+"-00000000000000b3-"+v[2])
	}
}

// child writes a span of the service's own over the caller's.
func child(out, in http.Header) {
	const span = "0123456789abcdef"
	if istio(out, in); out.Get("X-B3-Spanid") != "" {
		out.Set("X-B3-Spanid", span)
		out.Del("X-B3-Parentspanid")
	}
	if v := strings.Split(out.Get("B3"), "-"); len(v) > 1 {
		out.Set("B3", strings.Join([]string{v[0], span, v[2]}, "-"))
	}
	if v := strings.Split(out.Get("Traceparent"), "-"); len(v) > 1 {
		out.Set("Traceparent", strings.Join([]string{v[0], v[1], span, v[3]}, "-"))
	}
}

func TestCheckSaysWhatBecameOfTheHeaders(t *testing.T) {
	t.Parallel()
	usual := "X-Request-Id X-B3-Traceid X-B3-Spanid X-B3-Parentspanid X-B3-Sampled X-B3-Flags"
	tests := map[string]struct {
		write   func(out, in http.Header) // nil is the library's middleware
		flags   []string
		status  int
		verdict string
		faults  string
	}{
		"whole, relayed":              {nil, nil, 0, "whole", ""},
		"whole, as a child span":      {child, nil, 0, "whole", ""},
		"whole, of other families":    {func(out, in http.Header) { propagation.Of(propagation.Custom("end-user")).Extract(in).Inject(out) }, []string{"-families", "end-user", "-H", "end-user: Jason"}, 0, "whole", ""},
		"everything lost":             {func(_, _ http.Header) {}, nil, 1, "broken", "all-lost"},
		"all but x-request-id lost":   {func(out, in http.Header) { out["X-Request-Id"] = in["X-Request-Id"] }, nil, 1, "broken", "only-request-id"},
		"a trace of its own":          {otherTrace, nil, 1, "broken", "new-trace trace-lost request-id-lost"},
		"a trace ID of 64 bits grew":  {padded, nil, 0, "whole", ""},
		"the parent is missing":       {func(out, in http.Header) { istio(out, in); out.Del("X-B3-Parentspanid") }, nil, 0, "whole", ""},
		"sampled 0 invented":          {func(out, in http.Header) { istio(out, in); invent(out) }, nil, 1, "broken", "decision-invented decision-changed"},
		"a sampler that asks nobody":  {alwaysOn, nil, 1, "overridden", "decision-changed"},
		"a sampler of a ratio":        {ratio, nil, 1, "overridden", "decision-changed"},
		"b3 and x-b3 disagree":        {twoSpans, nil, 0, "whole", ""},
		"b3 left as it came":          {func(out, in http.Header) { child(out, in); out["B3"] = in["B3"] }, nil, 0, "whole", ""},
		"renewed from another format": {fromB3, nil, 1, "broken", "new-trace"},
		"a request ID of its own":     {func(out, in http.Header) { istio(out, in); out.Set("X-Request-Id", "req-0001") }, nil, 1, "lost", "request-id-changed request-id-not-a-uuid"},
		"a second request ID":         {func(out, in http.Header) { istio(out, in); out.Add("X-Request-Id", "req-0001") }, nil, 1, "lost", "request-id-twice"},
		"a request ID made of letters where none came in": {func(out, in http.Header) {
			if istio(out, in); out.Get("X-Request-Id") == "" {
				out.Set("X-Request-Id", "01JD5Y8Q2VZC4R6T")
			}
		}, nil, 0, "whole", ""},
		"x-b3 without b3": {func(out, in http.Header) { istio(out, in); out.Del("B3") }, []string{"-families", "request-id,b3"}, 0, "whole", ""},
		"b3 without x-b3": {func(out, in http.Header) { istio(out, in); keep(out, "B3 X-Request-Id") }, []string{"-families", "request-id,b3"}, 1, "broken", "only-request-id"},
		"headers arrive empty": {func(out, in http.Header) {
			for _, name := range []string{"X-Request-Id", "X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags", "B3", "Traceparent", "Tracestate", "X-Ot-Span-Context"} {
				out.Set(name, in.Get(name))
			}
		}, nil, 1, "broken", "empty state-lost"},
		"W3C only":                                {func(out, in http.Header) { child(out, in); keep(out, "Traceparent Tracestate X-Request-Id") }, nil, 1, "broken", "trace-lost"},
		"W3C only, as asked":                      {func(out, in http.Header) { child(out, in); keep(out, "Traceparent Tracestate X-Request-Id") }, []string{"-families", "request-id,w3c"}, 0, "whole", ""},
		"B3 only":                                 {func(out, in http.Header) { child(out, in); keep(out, usual) }, nil, 1, "broken", "trace-lost"},
		"a decision without IDs is lost":          {func(out, in http.Header) { istio(out, in); dropAlone(out) }, nil, 1, "overridden", "decision-lost decision-lost"},
		"x-b3-flags are lost":                     {func(out, in http.Header) { istio(out, in); out.Del("X-B3-Flags") }, nil, 1, "overridden", "decision-lost"},
		"one line of several":                     {firstOnly, []string{"-families", "request-id,w3c,baggage,ot,end-user"}, 1, "lost", "state-lost state-lost header-changed"},
		"a request ID that the user sets":         {nil, []string{"-H", "X-Request-Id: my-request", "-H", "b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-d"}, 0, "whole", ""},
		"a tracestate that the user sets, turned": {turned, []string{"-families", "w3c", "-H", "tracestate: a=1,b=2"}, 1, "lost", "state-lost"},
		"values that would control the terminal":  {func(out, in http.Header) { istio(out, in); out.Set("X-Ot-Span-Context", "a\tb\u009b31m\u202ec") }, []string{"-families", "ot"}, 1, "lost", "header-changed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := ""
			if test.write == nil {
				url = relaying(t)
			} else {
				url = serve(t, test.write)
			}
			args := append([]string{"check"}, test.flags...)
			stdout, stderr, status := tracebaton(t, "", append(args, url)...)
			assert.Equal(t, test.status, status, stdout)
			assert.Empty(t, stderr)
			golden(t, "check/"+strings.ReplaceAll(strings.ReplaceAll(name, ",", ""), " ", "-"), stdout)

			stdout, _, status = tracebaton(t, "", append(append(args, "-json"), url)...)
			assert.Equal(t, test.status, status, stdout)
			var report struct {
				Verdict string
				Faults  []struct{ Kind string }
			}
			require.NoError(t, json.Unmarshal([]byte(stdout), &report))
			assert.Equal(t, test.verdict, report.Verdict)
			kinds := ""
			for _, f := range report.Faults {
				kinds += " " + f.Kind
			}
			assert.Equal(t, test.faults, strings.TrimSpace(kinds))
		})
	}
}

// sidecar makes a span of each request to a service, or of each of its calls,
// and renews or begins the trace in one format, whatever else there is.
type sidecar struct {
	next  http.RoundTripper
	renew func(http.Header)
}

func (s sidecar) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	s.renew(r.Header)
	return s.next.RoundTrip(r)
}

func (s sidecar) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.renew(r.Header)
		next.ServeHTTP(w, r)
	})
}

// zipkin is a sidecar's tracer that speaks x-b3-*.
func zipkin(h http.Header) {
	if h.Get("X-B3-Traceid") == "" {
		h.Set("X-B3-Traceid", "0af7651916cd43dd8448eb211c80319c")
	} else if span := h.Get("X-B3-Spanid"); span != "" {
		h.Set("X-B3-Parentspanid", span)
	}
	h.Set("X-B3-Spanid", "b7ad6b7169203331")
	if h.Get("X-B3-Sampled") == "" {
		h.Set("X-B3-Sampled", "1")
	}
}

// otel is one that speaks W3C and samples nothing by itself.
func otel(h http.Header) {
	trace, flags := "0af7651916cd43dd8448eb211c80319c", "00"
	if v := strings.Split(h.Get("Traceparent"), "-"); len(v) == 4 {
		trace, flags = v[1], v[3]
	}
	h.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-"+flags)
}

func TestAServiceThatRelaysIsWholeBehindSidecarsThatRenewOneFormat(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		renew   func(http.Header)
		gateway bool
		flags   []string
		note    string
	}{
		"x-b3-* only":                      {zipkin, false, nil, "Note: b3 and traceparent arrived as sent, beside x-b3-*, which names a new span."},
		"x-b3-* only, as help says to ask": {zipkin, false, []string{"-families", "request-id,b3"}, "Note: b3 arrived as sent, beside x-b3-*, which names a new span."},
		"x-b3-* only, at a gateway":        {zipkin, true, nil, "Note: b3 and traceparent arrived as sent, beside x-b3-*, which names a new span."},
		"traceparent only":                 {otel, false, nil, "Note: b3 and x-b3-* arrived as sent, beside traceparent, which names a new span."},
		"traceparent only, at a gateway":   {otel, true, nil, "Note: b3 and x-b3-* arrived as sent, beside traceparent, which names a new span."},
		"traceparent, as help says to ask": {otel, false, []string{"-families", "request-id,w3c"}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client := &http.Client{Transport: &middleware.Transport{Base: sidecar{http.DefaultTransport, test.renew}}}
			if test.gateway {
				client.Transport = &middleware.Transport{}
			}
			service := middleware.Relay(propagation.Istio())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				call(w, r, client, nil)
			}))
			if test.gateway {
				service = sidecar{renew: test.renew}.before(service)
			}
			s := httptest.NewServer(service)
			t.Cleanup(s.Close)
			stdout, _, status := tracebaton(t, "", append(append([]string{"check"}, test.flags...), s.URL+"/fetch?url={upstream}")...)
			assert.Equal(t, statusWhole, status, stdout)
			assert.Contains(t, flat(stdout), test.note)
		})
	}
}

// A service whose own headers are lost is broken behind any sidecar.
func TestASidecarDoesNotHideALoss(t *testing.T) {
	t.Parallel()
	for name, renew := range map[string]func(http.Header){"x-b3-*": zipkin, "traceparent": otel} {
		t.Run(name, func(t *testing.T) {
			client := &http.Client{Transport: sidecar{http.DefaultTransport, renew}}
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { call(w, r, client, nil) }))
			t.Cleanup(s.Close)
			stdout, _, status := tracebaton(t, "", "check", s.URL+"/fetch?url={upstream}")
			assert.Equal(t, statusBroken, status, stdout)
			assert.Contains(t, stdout, name+" names another trace than the one that was sent")
		})
	}
}

func TestCheckSpeaksToMachines(t *testing.T) {
	t.Parallel()
	stdout, stderr, status := tracebaton(t, "", "check", "-json", serve(t, child))
	assert.Equal(t, statusWhole, status)
	assert.Empty(t, stderr)
	golden(t, "check/whole.json", stdout)
	stdout, stderr, status = tracebaton(t, "", "check", "-json", serve(t, otherTrace))
	assert.Equal(t, statusBroken, status)
	assert.Empty(t, stderr)
	golden(t, "check/broken.json", stdout)
	stdout, stderr, status = tracebaton(t, "", "check", "-json", "-timeout", "1s", "http://127.0.0.1:1/{upstream}")
	assert.Equal(t, statusUnknown, status)
	assert.Empty(t, stderr)
	golden(t, "check/unknown.json", stdout)
}

func otherTrace(out, _ http.Header) {
	out.Set("X-B3-Traceid", "0af7651916cd43dd8448eb211c80319c")
	out.Set("X-B3-Spanid", "b7ad6b7169203331")
	out.Set("X-B3-Sampled", "1")
}

// alwaysOn is a tracer whose sampler asks nobody.
func alwaysOn(out, in http.Header) {
	child(out, in)
	if out.Get("X-B3-Sampled") == "0" {
		out.Set("X-B3-Sampled", "1")
	}
	out.Del("B3")
	if v := out.Get("Traceparent"); v != "" {
		out.Set("Traceparent", v[:len(v)-1]+"1")
	}
}

// ratio is one whose sampler looks at the trace ID alone.
func ratio(out, in http.Header) {
	child(out, in)
	if v := out.Get("Traceparent"); v != "" && v[19] >= '8' {
		out.Set("Traceparent", v[:len(v)-1]+"0")
	}
}

func dropAlone(out http.Header) {
	if out.Get("X-B3-Traceid") == "" {
		out.Del("X-B3-Sampled")
		out.Del("X-B3-Flags")
	}
}

func firstOnly(out, in http.Header) {
	for name, values := range in {
		out.Set(name, values[0])
	}
}

// turned writes tracestate from its end.
func turned(out, in http.Header) {
	child(out, in)
	members := strings.Split(out.Get("Tracestate"), ",")
	slices.Reverse(members)
	out.Set("Tracestate", strings.Join(members, ","))
}

func padded(out, in http.Header) {
	if istio(out, in); len(out.Get("X-B3-Traceid")) == 16 {
		out.Set("X-B3-Traceid", "0000000000000000"+out.Get("X-B3-Traceid"))
	}
}

// invent does what contrib's b3 does without an SDK.
func invent(out http.Header) {
	if out.Get("X-B3-Traceid") == "" {
		out.Set("X-B3-Sampled", "0")
	}
}

func keep(h http.Header, names ...string) {
	for name := range h {
		if !strings.Contains(strings.Join(names, " "), name) {
			h.Del(name)
		}
	}
}

func TestCheckSaysWhyItCouldNotTell(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/login")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(s.Close)
		return s.URL + "/fetch?url={upstream}"
	}
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hanging.Close)
	calling := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call(w, r, http.DefaultClient, istio)
		<-r.Context().Done()
	}))
	t.Cleanup(calling.Close)
	secret := httptest.NewUnstartedServer(http.NotFoundHandler())
	secret.Config.ErrorLog = log.New(io.Discard, "", 0)
	secret.StartTLS()
	t.Cleanup(secret.Close)

	rootOnly := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		upstream, err := url.Parse(r.URL.Query().Get("url"))
		if assert.NoError(t, err) {
			get("http://"+upstream.Host, istio, r.Header)
		}
	}))
	t.Cleanup(rootOnly.Close)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if upstream, err := url.Parse(r.URL.Query().Get("url")); assert.NoError(t, err) {
			get("http://"+upstream.Host+"/healthz", istio, http.Header{})
		}
		http.Error(w, "no", http.StatusForbidden)
	}))
	t.Cleanup(refusing.Close)

	tests := map[string]struct {
		args []string
		want string
	}{
		"nobody there":            {[]string{"http://127.0.0.1:1/{upstream}"}, "the service did not answer: dial tcp 127.0.0.1:PORT: connect: connection refused"},
		"nothing called":          {[]string{answer(200, "fine")}, "the service answered 200 OK and did not call its upstream; if it runs elsewhere, it cannot reach http://127.0.0.1:PORT: say with -upstream-addr and -upstream-url where it can"},
		"refused":                 {[]string{answer(403, "will not fetch from 127.0.0.1\nmore")}, "the service answered 403 Forbidden (will not fetch from 127.0.0.1) and did not call its upstream; see that the URL is right and that the service may call http://127.0.0.1:PORT"},
		"cannot reach":            {[]string{answer(502, "no route \x1b[31mto host")}, `the service answered 502 Bad Gateway (no route \x1b[31mto host) and did not call its upstream; if it runs elsewhere`},
		"the path dropped":        {[]string{rootOnly.URL + "/?url={upstream}"}, "the service answered 200 OK and did not call its upstream, but GET / was called in place of /tracebaton-1: if that was the service, it must call the URL that it was told"},
		"refused, and a stranger": {[]string{refusing.URL + "/?url={upstream}"}, "the service answered 403 Forbidden (no) and did not call its upstream; see that the URL is right and that the service may call http://127.0.0.1:PORT"},
		"sent elsewhere":          {[]string{answer(302, "")}, "the service answered 302, a redirect to /login, and did not call its upstream; check that URL"},
		"too slow":                {[]string{"-timeout", "50ms", hanging.URL + "/{upstream}"}, "the service did not answer within 50ms, and did not call its upstream; if it runs elsewhere"},
		"too slow after the call": {[]string{"-timeout", "500ms", calling.URL + "/?url={upstream}"}, "the service called its upstream, and did not answer within 500ms"},
		"a certificate":           {[]string{secret.URL + "/{upstream}"}, "the service's certificate is not valid here:"},
		"no place to listen":      {[]string{"-upstream-addr", "256.0.0.1:1", answer(200, "")}, "(-upstream-addr says where to wait for the service's call)"},
		"set up otherwise":        {[]string{"-upstream-addr", "127.0.0.1:0", strings.TrimSuffix(answer(200, ""), "{upstream}")}, "it must be set up to call http://127.0.0.1:PORT for this request"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, status := tracebaton(t, "", append([]string{"check"}, test.args...)...)
			assert.Equal(t, statusUnknown, status)
			assert.Empty(t, stderr)
			assert.True(t, strings.HasPrefix(stdout, "Could not tell: "), stdout)
			assert.Contains(t, strings.Join(strings.Fields(ports.ReplaceAllString(stdout, "127.0.0.1:PORT")), " "), test.want)
		})
	}
}

func TestAServiceThatKeepsAnswersIsNotSaidToBeOutOfReach(t *testing.T) {
	called := false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !called {
			called = true
			call(w, r, http.DefaultClient, istio)
		}
	}))
	defer s.Close()
	stdout, _, status := tracebaton(t, "", "check", s.URL+"?url={upstream}")
	assert.Equal(t, statusUnknown, status)
	assert.Contains(t, flat(stdout), "Could not tell: with a trace that is not sampled: the service answered 200 OK and did not call its upstream; it did for the request before: if it caches answers, turn that off while it is checked")
}

func TestWhatAServiceCalledBeforeTimeWasUpIsTold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		write  func(out, in http.Header)
		status int
		says   []string
	}{
		"what is whole so far": {istio, statusUnknown, []string{
			"Could not tell: the service called its upstream, and did not answer within 300ms (-timeout gives it longer). So far, it relays x-request-id, B3 and W3C.",
			"With every family, the service did not answer and called its upstream once, GET /:",
		}},
		"what is broken": {func(_, _ http.Header) {}, statusBroken, []string{
			"Broken: drops x-request-id, B3 and W3C.",
			"Could not tell more: the service called its upstream, and did not answer within 300ms",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				call(w, r, http.DefaultClient, test.write)
				<-r.Context().Done()
			}))
			t.Cleanup(s.Close)
			stdout, _, status := tracebaton(t, "", "check", "-timeout", "300ms", s.URL+"?url={upstream}")
			assert.Equal(t, test.status, status)
			for _, says := range test.says {
				assert.Contains(t, flat(stdout), says)
			}
		})
	}
}

func TestAServiceThatFailsIsNotSaidToKeepAnswers(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			http.Error(w, "overloaded", http.StatusServiceUnavailable)
			return
		}
		call(w, r, http.DefaultClient, istio)
	}))
	defer s.Close()
	stdout, _, status := tracebaton(t, "", "check", s.URL+"?url={upstream}")
	assert.Equal(t, statusUnknown, status)
	assert.Contains(t, flat(stdout), "the service answered 503 Service Unavailable (overloaded) and did not call its upstream; it did for the request before. So far, it relays")
}

func TestMachinesGetAListOfProbesInAnyCase(t *testing.T) {
	stdout, _, status := tracebaton(t, "", "check", "-json", "-upstream-addr", "256.0.0.1:1", "http://127.0.0.1:1/{upstream}")
	assert.Equal(t, statusUnknown, status)
	assert.Contains(t, stdout, `"probes": [],`)
}

func TestCheckStopsWhenItIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer s.Close()
	var out bytes.Buffer
	status := run(ctx, []string{"check", s.URL + "/{upstream}"}, env{stdout: &out, stderr: &out, random: rand.NewChaCha8([32]byte{})})
	assert.Equal(t, statusUnknown, status)
	assert.Contains(t, out.String(), "Could not tell: interrupted.")
}

func TestCheckCanBeTheUpstreamThatAServiceIsSetUpWith(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	got := make(chan *http.Request, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		assert.Equal(t, `{"a":1}`, string(body))
		got <- r.Clone(context.Background())
		req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://"+addr+"/reviews/0", nil)
		istio(req.Header, r.Header)
		for range 2 { // the second call is made in vain
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			_ = res.Body.Close()
			req.Header = http.Header{}
		}
	}))
	defer s.Close()
	stdout, _, status := tracebaton(t, "", "check", "-upstream-addr", addr, "-d", `{"a":1}`, "-H", "Authorization: Bearer abc", "-H", "Host: bookinfo", s.URL)
	assert.Equal(t, statusBroken, status)
	assert.Contains(t, flat(stdout), "called its upstream twice. This is call 2, GET /reviews/0 (beside it: GET /reviews/0):")
	assert.Contains(t, flat(stdout), "Broken: none of the headers arrived (with every family, in GET /reviews/0, call 2 of 2).")
	r := <-got
	assert.Equal(t, http.MethodPost, r.Method)
	assert.Equal(t, "bookinfo", r.Host)
	assert.Equal(t, "Bearer abc", r.Header.Get("Authorization"))
	assert.Equal(t, "application/json", r.Header.Get("Content-Type"))
}

// configured runs a service that is set up with the address of its upstream,
// and returns check's arguments for it.
func configured(t *testing.T, handler func(upstream string) http.Handler) []string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	s := httptest.NewServer(handler("http://" + addr))
	t.Cleanup(s.Close)
	return []string{"check", "-upstream-addr", addr, s.URL}
}

func get(url string, write func(out, in http.Header), in http.Header) {
	req, _ := http.NewRequest(http.MethodGet, url, nil)
	write(req.Header, in)
	if res, err := http.DefaultClient.Do(req); err == nil {
		_ = res.Body.Close()
	}
}

func TestACallForTheRequestBeforeIsNotTakenForOneOfThis(t *testing.T) {
	var before atomic.Pointer[http.Header]
	stdout, _, status := tracebaton(t, "", configured(t, func(upstream string) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if in := before.Swap(&r.Header); in != nil {
				get(upstream+"/audit", istio, *in) // work in the background may be as late as this
			}
			get(upstream+"/reviews", istio, r.Header)
		})
	})...)
	assert.Equal(t, statusWhole, status, stdout)
}

func TestAServiceThatKeepsTheFirstHeadersMixesRequestsUp(t *testing.T) {
	t.Parallel()
	keep := func() func(out, in http.Header) {
		var once sync.Once
		var first http.Header
		return func(out, in http.Header) {
			once.Do(func() { first = in })
			istio(out, first)
		}
	}
	for name, args := range map[string][]string{
		"set up with its upstream": configured(t, func(upstream string) http.Handler {
			write := keep()
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { get(upstream, write, r.Header) })
		}),
		"told its upstream": {"check", serve(t, keep())},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, _, status := tracebaton(t, "", args...)
			assert.Equal(t, statusBroken, status, stdout)
			assert.Contains(t, flat(stdout), "1. Broken: x-request-id, x-b3-traceid, x-b3-spanid, x-b3-parentspanid, b3, traceparent and tracestate arrived with the value of another request (with a trace that is not sampled, in GET /).")
		})
	}
}

func TestACallWithoutATraceBesideOneWithItIsNamed(t *testing.T) {
	args := configured(t, func(upstream string) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			get(upstream+"/healthz", func(_, _ http.Header) {}, nil)
			get(upstream+"/reviews", istio, r.Header)
		})
	})
	stdout, _, status := tracebaton(t, "", args...)
	assert.Equal(t, statusBroken, status, stdout)
	assert.Contains(t, flat(stdout), "called its upstream twice. This is call 1, GET /healthz (beside it: GET /reviews):")
	assert.Contains(t, flat(stdout), "Note: another call carried the trace: GET /reviews. If GET /healthz is not made for the request, as a health check is not, it is right without.")
	stdout, _, _ = tracebaton(t, "", append([]string{"check", "-json"}, args[1:]...)...)
	assert.Contains(t, stdout, `"call": "GET /healthz, call 1 of 2"`)
}

func TestAllCallsWithoutATraceAreNamed(t *testing.T) {
	args := configured(t, func(upstream string) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			get(upstream+"/details", func(_, _ http.Header) {}, nil)
			get(upstream+"/reviews", istio, r.Header)
			get(upstream+"/ratings", func(_, _ http.Header) {}, nil)
		})
	})
	stdout, _, status := tracebaton(t, "", args...)
	assert.Equal(t, statusBroken, status, stdout)
	assert.Contains(t, flat(stdout), "none of the headers arrived (with every family, in GET /details and GET /ratings, calls 1 and 3 of 3).")
	assert.Contains(t, flat(stdout), "Note: another call carried the trace: GET /reviews. If those without are not made for the request, as health checks are not, they are right.")
}

func TestTheServiceIsToldTheURLThatItCanReach(t *testing.T) {
	told := make(chan string, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.URL.Query().Get("url") }))
	defer s.Close()
	_, _, status := tracebaton(t, "", "check", "-upstream-url", "http://host.docker.internal:9000/", s.URL+"?url={upstream}")
	assert.Equal(t, statusUnknown, status)
	assert.Equal(t, "http://host.docker.internal:9000/tracebaton-1", <-told)
}

func TestACallInTheBackgroundIsWaitedFor(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		url, in := r.URL.Query().Get("url"), r.Header
		go func() {
			req, _ := http.NewRequest(http.MethodGet, url, nil)
			istio(req.Header, in)
			if res, err := http.DefaultClient.Do(req); err == nil {
				_ = res.Body.Close()
			}
		}()
	}))
	defer s.Close()
	var out bytes.Buffer
	status := run(t.Context(), []string{"check", s.URL + "?url={upstream}"}, env{
		stdout: &out, stderr: &out, random: rand.NewChaCha8([32]byte{1}), background: time.Minute, together: 20 * time.Millisecond,
	})
	assert.Equal(t, statusWhole, status, out.String())
}

func TestOthersWhoCallTheUpstreamAreNotTakenForTheService(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upstream, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Query().Get("url"), "http://"), "/")
		if res, err := http.Get("http://" + upstream + "/healthz"); err == nil {
			_ = res.Body.Close()
		}
		call(w, r, http.DefaultClient, istio)
	}))
	defer s.Close()
	stdout, _, status := tracebaton(t, "", "check", s.URL+"?url={upstream}")
	assert.Equal(t, statusWhole, status, stdout)
	assert.Contains(t, flat(stdout), "called its upstream once")
}

func TestWhatWasNotAskedRightlyIsSaid(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"nothing":                      {nil, "SYNOPSIS"},
		"another command":              {[]string{"chekc"}, `there is no command "chekc"; did you mean check?`},
		"no URL":                       {[]string{"check"}, "no URL to check"},
		"two URLs":                     {[]string{"check", "http://a/{upstream}", "http://b/{upstream}"}, `"http://b/{upstream}" is a second URL`},
		"a format":                     {[]string{"check", "http://a/{upstream}", "-format", "xml"}, `-format "xml" is not text, json or github`},
		"no calls":                     {[]string{"check", "-expect-calls", "0", "http://a/{upstream}"}, "-expect-calls must be above 0"},
		"an answer":                    {[]string{"check", "-answer", "/details", "http://a/{upstream}"}, "is not of the form /path=ANSWER"},
		"TLS and none":                 {[]string{"check", "-upstream-tls", "ca.pem", "-upstream-url", "http://h", "http://a/{upstream}"}, `"http://h" is not an https:// URL, and -upstream-tls makes the upstream speak TLS`},
		"a family misspelt":            {[]string{"check", "-families", "request-id,datdog", "http://a/{upstream}"}, `there is no family "datdog"; did you mean datadog?`},
		"a family by another name":     {[]string{"check", "-families", "TraceContext", "http://a/{upstream}"}, `there is no family "tracecontext"; did you mean w3c?`},
		"a header of a family":         {[]string{"check", "-families", "x-b3-traceid", "http://a/{upstream}"}, `"x-b3-traceid" is a header of the family b3; name that`},
		"a word":                       {[]string{"check", "-families", "tenant", "http://a/{upstream}"}, "A header of your own without a dash is written tenant:"},
		"no upstream":                  {[]string{"check", "http://a/"}, "the URL has no {upstream}"},
		"another scheme":               {[]string{"check", "ftp://a/{upstream}"}, `"ftp://a/{upstream}" is not an http://, https://, grpc:// or grpcs:// URL`},
		"no scheme":                    {[]string{"check", "localhost:8080/{upstream}"}, "is not an http://, https://, grpc:// or grpcs:// URL"},
		"another flag":                 {[]string{"check", "-n", "http://a/{upstream}"}, "flag provided but not defined: -n"},
		"a header without a name":      {[]string{"check", "-H", "abc", "http://a/{upstream}"}, `"abc" is not of the form 'name: value'`},
		"a family that must not be":    {[]string{"check", "-families", "b3,cookie:", "http://a/{upstream}"}, `cannot relay "cookie" as a custom header`},
		"a family that is no name":     {[]string{"check", "-families", "b3,,w3c", "http://a/{upstream}"}, `cannot relay "" as a custom header`},
		"a header with an escape":      {[]string{"check", "-H", "x: \x1b", "http://a/{upstream}"}, `"x: \x1b" has a control character, which no header can have`},
		"a header of no name":          {[]string{"check", "-H", "x y: 1", "http://a/{upstream}"}, `"x y: 1" is not of the form 'name: value'`},
		"an upstream with a query":     {[]string{"check", "-upstream-url", "http://h/p?x=1", "http://a/{upstream}"}, `-upstream-url "http://h/p?x=1" has a query`},
		"no time":                      {[]string{"check", "-timeout", "0s", "http://a/{upstream}"}, "-timeout must be above 0"},
		"an upstream that is no URL":   {[]string{"check", "-upstream-url", "localhost:9000", "http://a/{upstream}"}, `-upstream-url "localhost:9000" is not an http:// URL`},
		"no header to explain":         {[]string{"explain"}, "no trace headers to explain"},
		"a header that is none":        {[]string{"explain", "b3"}, `"b3" is not of the form 'name: value'`},
		"headers that are of no trace": {[]string{"explain", "accept: */*"}, "no trace headers to explain"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := tracebaton(t, "", test.args...)
			assert.Equal(t, statusUnknown, status)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, test.want)
		})
	}
}

func TestHelpFitsATerminalAndNamesEveryFlag(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"help"}, {"check", "-h"}, {"explain", "-h"}} {
		stdout, stderr, status := tracebaton(t, "", args...)
		assert.Equal(t, statusWhole, status)
		assert.Empty(t, stderr)
		assert.True(t, strings.HasPrefix(stdout, "NAME\n"), args)
		for line := range strings.Lines(stdout) {
			assert.LessOrEqual(t, len(line), 81, line)
		}
	}
	stdout, _, _ := tracebaton(t, "", "check", "-h")
	for _, name := range []string{"-families", "-H", "-X", "-d", "-upstream-addr", "-upstream-url", "-timeout", "-json", "-format", "-v", "-k", "-cacert", "-upstream-tls", "-answer", "-answer-status", "-answer-header", "-expect-calls", "-h"} {
		assert.Contains(t, stdout, "\n    "+name+"", "no word of %s", name)
	}
}

func TestColourIsThereOnATerminalOnly(t *testing.T) {
	for _, color := range []bool{false, true} {
		var out bytes.Buffer
		run(t.Context(), []string{"check", serve(t, otherTrace)}, env{stdout: &out, stderr: &out, color: color, random: rand.NewChaCha8([32]byte{1})})
		assert.Equal(t, color, strings.Contains(out.String(), "\x1b["), out.String())
		if color {
			golden(t, "check/colour", out.String())
		}
		out.Reset()
		run(t.Context(), []string{"explain", "b3: 0-0"}, env{stdout: &out, stderr: &out, color: color})
		assert.Equal(t, color, strings.Contains(out.String(), "\x1b["), out.String())
	}
}

func TestColourIsLeftOutWhereTheUserSaysSo(t *testing.T) {
	tests := map[string]struct {
		terminal bool
		env      map[string]string
		want     bool
	}{
		"a terminal":               {true, map[string]string{"TERM": "xterm"}, true},
		"a terminal of no name":    {true, nil, true},
		"no terminal":              {false, map[string]string{"TERM": "xterm"}, false},
		"NO_COLOR":                 {true, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, false},
		"an empty NO_COLOR":        {true, map[string]string{"TERM": "xterm", "NO_COLOR": ""}, true},
		"a terminal that has none": {true, map[string]string{"TERM": "dumb"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, colored(test.terminal, func(name string) string { return test.env[name] }))
		})
	}
}

func TestCheckLeavesNothingBehind(t *testing.T) {
	_, _, status := tracebaton(t, "", "check", relaying(t))
	require.Equal(t, statusWhole, status)
	// Another program may be given the port that check has let go of, but not
	// each time.
	const attempts = 5
	for range attempts {
		b, err := newBench(checkFlags{timeout: time.Second}, env{})
		require.NoError(t, err)
		addr := b.server.Addr
		b.close()
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return
		}
		_ = conn.Close()
	}
	assert.Fail(t, "somebody listens where check did")
}
