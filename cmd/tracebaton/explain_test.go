package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	requestID = "x-request-id: 5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10"
	traceID   = "463ac35c9f6413ad48485a3953bb6124"
	spanID    = "a2fb4a1d1a96d312"
)

// fileName makes a row's name that of a file, as Go's modules may have them.
var fileName = strings.NewReplacer(" ", "-", ",", "", "'", "", "*", "")

func TestExplainSaysWhatHeadersMean(t *testing.T) {
	tests := map[string]struct {
		headers []string
		status  int
	}{
		"what a sidecar sends": {[]string{
			requestID, "x-b3-traceid: " + traceID, "x-b3-spanid: " + spanID, "x-b3-parentspanid: 0020000000000001", "x-b3-sampled: 1",
		}, 0},
		"W3C and its state":          {[]string{"traceparent: 00-" + traceID + "-" + spanID + "-01", "tracestate: congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"}, 0},
		"a state without its parent": {[]string{"tracestate: congo=t61rcWkgMzE"}, 1},
		"a decision alone":           {[]string{"x-b3-sampled: 0"}, 0},
		"debug":                      {[]string{"b3: d"}, 0},
		"no decision":                {[]string{"b3: " + traceID + "-" + spanID}, 0},
		"a trace of a service's own": {[]string{strings.Replace(requestID, "-9c4b", "-4c4b", 1), "b3: " + traceID + "-" + spanID + "-1"}, 0},
		"a decision against Envoy's": {[]string{requestID, "b3: " + traceID + "-" + spanID + "-0"}, 0},
		"forced by a service":        {[]string{strings.Replace(requestID, "-9c4b", "-ac4b", 1)}, 0},
		"asked for by a client":      {[]string{strings.Replace(requestID, "-9c4b", "-bc4b", 1)}, 0},
		"a UUID of another version":  {[]string{strings.Replace(requestID, "-9c4b", "-7c4b", 1)}, 0},
		"a request ID of letters":    {[]string{"x-request-id: abc"}, 1},
		"an empty request ID":        {[]string{"x-request-id:"}, 1},
		"two request IDs":            {[]string{requestID, "x-request-id: abc"}, 1},
		"every family, of one span": {[]string{
			requestID, "x-b3-traceid: " + traceID, "x-b3-spanid: " + spanID, "x-b3-sampled: 1", "b3: " + traceID + "-" + spanID + "-1",
			"traceparent: 00-" + traceID + "-" + spanID + "-01", "x-ot-span-context: abc", "baggage: tenant=blue",
			"x-datadog-trace-id: 5208512171318403364", "x-datadog-parent-id: 11744061942159299346", "x-datadog-sampling-priority: 1", "x-datadog-origin: synthetics", "x-datadog-tags: _dd.p.tid=463ac35c9f6413ad",
			"sw8: 1-VFJBQ0VJRA==-U0VHTUVOVElE-3-c2VydmljZQ==-aW5zdGFuY2U=-L2VuZHBvaW50-ZXhhbXBsZS5jb206ODA=", "sw8-correlation: dXNlcg==:YmVu", "sw8-x: 0-1", "uberctx-user: ben",
			"x-cloud-trace-context: " + traceID + "/11744061942159299346;o=1", "grpc-trace-bin: AABGOsNcn2QTrUhIWjlTu2EkAaL7Sh0altMSAgE",
			"x-amzn-trace-id: Root=1-463ac35c-9f6413ad48485a3953bb6124;Parent=" + spanID + ";Sampled=1", "uber-trace-id: " + traceID + ":" + spanID + ":0:1",
		}, 0},
		"a stale b3":    {[]string{"x-b3-traceid: " + traceID, "x-b3-spanid: 05e3ac9a4f6e3b90", "x-b3-sampled: 1", "b3: " + traceID + "-" + spanID + "-1"}, 1},
		"two traces":    {[]string{"b3: " + traceID + "-" + spanID + "-1", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-" + spanID + "-01"}, 1},
		"two decisions": {[]string{"b3: " + traceID + "-" + spanID + "-1", "traceparent: 00-" + traceID + "-" + spanID + "-00"}, 1},
		"X-Ray without a parent, of the same trace": {[]string{"x-amzn-trace-id: Root=1-463ac35c-9f6413ad48485a3953bb6124;Sampled=1", "traceparent: 00-" + traceID + "-" + spanID + "-01"}, 0},
		"X-Ray without a parent, of another trace":  {[]string{"x-amzn-trace-id: Root=1-0af76519-16cd43dd8448eb211c80319c;Sampled=1", "traceparent: 00-" + traceID + "-" + spanID + "-01"}, 1},
		"no decision and an ID with a reason":       {[]string{"x-request-id: 254b0a8b-89aa-9864-83ee-9c06f412bcd4", "x-b3-traceid: " + traceID, "x-b3-spanid: " + spanID}, 0},
		"a state with a key twice":                  {[]string{"traceparent: 00-" + traceID + "-" + spanID + "-01", "tracestate: rojo=1,congo=2,rojo=3"}, 1},
		"a state by Level 2 alone":                  {[]string{"traceparent: 00-" + traceID + "-" + spanID + "-01", "tracestate: 0a@b@c=1"}, 0},
		"a state that is malformed":                 {[]string{"traceparent: 00-" + traceID + "-" + spanID + "-01", "tracestate: Rojo=1,congo"}, 1},
		"an empty state, as Envoy writes it":        {[]string{"traceparent: 00-" + traceID + "-" + spanID + "-00", "tracestate:"}, 0},
		"a request ID of 32 digits":                 {[]string{"x-request-id: 96af01fe69f10f02f73ee78555c79ec9"}, 0},
		"a request ID of 36 letters":                {[]string{"x-request-id: req-zzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz"}, 1},
		"debug by flags":                            {[]string{"x-b3-traceid: " + traceID, "x-b3-spanid: " + spanID, "x-b3-flags: 1"}, 0},
		"a yes that Envoy takes for a no":           {[]string{"x-b3-traceid: " + traceID, "x-b3-spanid: " + spanID, "x-b3-sampled: True"}, 1},
		"a trace without a span":                    {[]string{"x-b3-traceid: " + traceID}, 1},
		"a later version that goes on":              {[]string{"traceparent: 01-" + traceID + "-" + spanID + "-01-extra"}, 0},
		"two traceparents":                          {[]string{"traceparent: 00-" + traceID + "-" + spanID + "-01", "traceparent: 00-" + traceID + "-" + spanID + "-01"}, 1},
		"a version that is forbidden":               {[]string{"traceparent: ff-" + traceID + "-" + spanID + "-01"}, 1},
		"SkyWalking's no":                           {[]string{"sw8: 0-VFJBQ0VJRA==-U0VHTUVOVElE-3-a-b-c-d"}, 0},
		"a b3 that Envoy has renewed":               {[]string{"b3: " + traceID + "-05e3ac9a4f6e3b90-1-" + spanID, "x-b3-traceid: " + traceID, "x-b3-spanid: " + spanID, "x-b3-sampled: 1"}, 1},
		"x-b3-* that Envoy has renewed":             {[]string{"b3: " + traceID + "-" + spanID + "-1", "x-b3-traceid: " + traceID, "x-b3-spanid: 05e3ac9a4f6e3b90", "x-b3-parentspanid: " + spanID, "x-b3-sampled: 1"}, 1},
		"W3C fresher than B3":                       {[]string{"x-b3-traceid: " + traceID, "x-b3-spanid: " + spanID, "x-b3-sampled: 1", "traceparent: 00-" + traceID + "-05e3ac9a4f6e3b90-01"}, 1},
		"what the library leaves out":               {[]string{"b3: 0", "baggage: a=" + strings.Repeat("x", 8192)}, 1},
		"Envoy 1.38, W3C":                           {[]string{"-envoy", "1.38", strings.Replace(requestID, "-9c4b", "-4c4b", 1), "traceparent: 00-" + traceID + "-" + spanID + "-01"}, 0},
		"Envoy 1.39, W3C":                           {[]string{"-envoy", "1.39.3", strings.Replace(requestID, "-9c4b", "-4c4b", 1), "traceparent: 00-" + traceID + "-" + spanID + "-01"}, 0},
		"Envoy 1.39, b3":                            {[]string{"-envoy", "v1.39", "b3: " + traceID + "-" + spanID + "-d"}, 0},
		"a curl":                                    {[]string{"curl", "http://localhost:8080/", "-H", "b3: 0", "-Hx-b3-sampled: 0"}, 0},
		"a bare value":                              {[]string{traceID + "-" + spanID + "-1"}, 0},
		"upper case and a digit":                    {[]string{"x-b3-traceid: " + strings.ToUpper(traceID), "x-b3-spanid: " + spanID[1:]}, 1},
		"upper case in W3C":                         {[]string{"traceparent: 00-" + strings.ToUpper(traceID) + "-" + spanID + "-01"}, 1},
		"upper case in b3":                          {[]string{"b3: " + strings.ToUpper(traceID) + "-" + spanID + "-1"}, 1},
		"two decisions in one format":               {[]string{"x-b3-traceid: " + traceID, "x-b3-spanid: " + spanID, "x-b3-sampled: 0", "x-b3-sampled: 1"}, 1},
		"debug by flags, and a yes":                 {[]string{"x-b3-traceid: " + traceID, "x-b3-spanid: " + spanID, "x-b3-flags: 1", "x-b3-sampled: 1"}, 0},
		"64 bits beside 128":                        {[]string{"x-b3-traceid: " + traceID[16:], "x-b3-spanid: " + spanID, "traceparent: 00-" + traceID + "-" + spanID + "-01"}, 1},
		"zeros for a trace":                         {[]string{"x-b3-traceid: " + strings.Repeat("0", 32), "x-b3-spanid: " + spanID}, 1},
		"an empty decision":                         {[]string{"x-b3-sampled: "}, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := tracebaton(t, "", append([]string{"explain"}, test.headers...)...)
			assert.Equal(t, test.status, status, stdout)
			assert.Empty(t, stderr)
			for row := range strings.Lines(stdout) {
				assert.LessOrEqual(t, utf8.RuneCountInString(row)-1, 80, row)
			}
			golden(t, "explain/"+fileName.Replace(name), stdout)
		})
	}
}

// The answers are as curl, HTTPie and the services of the walkthrough wrote
// them.
func TestExplainReadsWhatClientsPrint(t *testing.T) {
	const want = "x-request-id: 5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10\n"
	tests := map[string]string{
		"curl": `*   Trying 127.0.0.1:8000...
* Connected to localhost (127.0.0.1) port 8000 (#0)
> GET /headers HTTP/1.1
> Host: localhost:8000
> User-Agent: curl/7.88.1
> Accept: */*
> X-Request-Id: 5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10
> b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1
>
< HTTP/1.1 200 OK
< content-type: application/json
< x-envoy-upstream-service-time: 3
<
{ [137 bytes data]
* Connection #0 to host localhost left intact
`,
		"curl over HTTP/2": `> GET /headers HTTP/2
> host: localhost
> x-request-id: 5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10
> b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1
> 
< HTTP/2 200 
< date: Sat, 21 Nov 2026 02:00:00 GMT
< 
`,
		"HTTPie":            "GET /headers HTTP/1.1\r\nAccept: */*\r\nHost: localhost:8000\r\nX-Request-Id: 5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10\r\nb3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1\r\n\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}\r\n",
		"HTTPie in colour":  "\x1b[32mGET\x1b[39m /headers \x1b[34mHTTP\x1b[39m/\x1b[34m1.1\x1b[39m\n\x1b[36mX-Request-Id\x1b[39m: 5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10\n\x1b[36mb3\x1b[39m: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1\n",
		"a list of headers": "X-Request-Id: 5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10\nb3:463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1",
		"httpbin": `{
  "headers": {
    "Accept": ["*/*"],
    "B3": ["463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1"],
    "X-Request-Id": ["5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10"]
  }
}`,
		"fetch_with_header": `{"Accept":"*/*","B3":"463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1","X-Request-Id":"5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10"}
{"origin":"127.0.0.1"}
`,
	}
	for name, dump := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := tracebaton(t, dump, "explain")
			assert.Equal(t, statusWhole, status, stdout)
			assert.Empty(t, stderr)
			assert.True(t, strings.HasPrefix(stdout, want), stdout)
			assert.Contains(t, stdout, "b3: 463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1\n    trace     463ac35c9f6413ad48485a3953bb6124 (128 bits)\n")
		})
	}
}

func TestEachMessageOfADumpIsExplainedByItself(t *testing.T) {
	stdout, _, status := tracebaton(t, `> GET /headers HTTP/1.1
> x-request-id: 5c1e3d0d-5a1e-4c4b-8a59-3f5d7a2f7b10
>
< HTTP/1.1 200 OK
< x-request-id: 5c1e3d0d-5a1e-9c4b-8a59-3f5d7a2f7b10
<
{"headers":{"B3":["d"]}}
`, "explain")
	assert.Equal(t, statusWhole, status)
	golden(t, "explain/several-messages", stdout)
}

func TestADumpWithoutTraceHeadersIsNotExplained(t *testing.T) {
	for _, dump := range []string{"", "accept: */*", "{", "{}", "{\"headers\":{}}", "<html>\n", strings.Repeat("x", maxPaste+1)} {
		_, stderr, status := tracebaton(t, dump, "explain")
		assert.Equal(t, statusUnknown, status)
		assert.NotEmpty(t, stderr)
	}
}

func TestAVersionOfEnvoyIsAskedForByItsNumber(t *testing.T) {
	for _, version := range []string{"", "1", "2.0", "1.x", "istio-1.29", "1.38.3.4"} {
		_, stderr, status := tracebaton(t, "", "explain", "-envoy", version, "b3: 0")
		assert.Equal(t, statusUnknown, status, version)
		assert.Contains(t, stderr, "not a version of Envoy, such as 1.38", version)
	}
}

// Whatever is read, nothing that is printed can control the terminal, and all
// fits into one of 80 columns.
func FuzzExplain(f *testing.F) {
	f.Add("> GET / HTTP/1.1\n> b3: " + traceID + "-" + spanID + "-1\n>\n< HTTP/1.1 200 OK\n")
	f.Add(`{"headers":{"B3":["d","\u001b[31m"],"Traceparent":"00-\u202e"}}`)
	f.Add("tracestate: a=1,b\x9b31m=2\nbaggage: \x1b]0;title\x07\nx-request-id: \u202e")
	f.Add("sw8: 1-G1szMW0=-G1szMW0=-3-a-b-c-d\nuber-trace-id: 1:2:3:4")
	f.Add(`{"traceID":"` + traceID + `","spanID":"` + spanID + `","tags":[{"key":"guid:x-request-id","value":"\u001b[31m"}]}`)
	f.Add("uberctx-\u202e: 1\nnames b3 and \x1b[31m baggage\n[" + traceID + "-" + spanID + "]")
	for _, name := range headerNames {
		f.Add(name + ": 1")
	}
	files, err := filepath.Glob("testdata/pastes/*.txt")
	require.NoError(f, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, dump string) {
		stdout, stderr, status := tracebaton(t, dump, "explain")
		if status != statusUnknown && (stdout == "" || stderr != "") {
			t.Errorf("%q: status %d, %q, %q", dump, status, stdout, stderr)
		}
		for _, c := range stdout + stderr {
			if c != '\n' && !unicode.IsPrint(c) {
				t.Errorf("%q: prints %q in %q", dump, c, stdout+stderr)
			}
		}
		for row := range strings.Lines(stdout) {
			if n := utf8.RuneCountInString(row) - 1; n > 80 {
				t.Errorf("%q: prints %d columns in %q", dump, n, row)
			}
		}
	})
}
