package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What all pastes below are of, as far as their form shows it. The traceparent
// says sampled and x-b3-* say not sampled.
const (
	pastedTrace  = "80f198ee56343ba864fe8b2a57d3eff7"
	pastedSpan   = "e457b5a2e4d86bd1"
	pastedParent = "00-80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-01"
	pastedID     = "4a1b2c3d-1111-9222-8333-abcdefabcdef"
)

func pasted(more ...string) http.Header {
	h := http.Header{"Traceparent": {pastedParent}, "X-B3-Traceid": {pastedTrace}, "X-B3-Spanid": {pastedSpan}, "X-B3-Sampled": {"0"}}
	for i := 0; i < len(more); i += 2 {
		if h.Del(more[i]); more[i+1] != "" {
			h.Set(more[i], more[i+1])
		}
	}
	return h
}

func TestSeveralLinesThatGoPrintsAreRead(t *testing.T) {
	for name, h := range map[string]http.Header{
		"lists in several lines": {"Baggage": {"a=1;p=2,b=2", "c=3"}, "Tracestate": {"a=1", "b=2,c=3", "d=4"}},
		"lists with blanks":      {"Baggage": {"a=1 ; p=2 , b=2"}, "Tracestate": {"a=one two, b=2"}},
		"IDs":                    {"Traceparent": {pastedParent, pastedParent}, "X-Request-Id": {pastedID, pastedID}},
	} {
		t.Run(name, func(t *testing.T) {
			p := readPaste(fmt.Appendf(nil, "headers: %v", h))
			require.Len(t, p.messages, 1)
			assert.Equal(t, h, p.messages[0].header)
		})
	}
}

// The files are what the tools themselves wrote, where they were at hand.
func TestWhatToolsWriteIsRead(t *testing.T) {
	// Those that show only a part.
	parts := map[string][]http.Header{
		"bare.txt":         {{"Traceparent": {pastedParent}}},
		"istio_access.txt": {{"Traceparent": {pastedParent}, "X-Request-Id": {pastedID}}},
		"jaeger.txt":       {{"X-Request-Id": {pastedID}}},
		"nginx_json.txt":   {{"Traceparent": {pastedParent}, "X-B3-Traceid": {pastedTrace}, "X-B3-Spanid": {pastedSpan}, "X-Request-Id": {pastedID}}},
		"nginx_log.txt":    {{"Traceparent": {pastedParent}, "X-Request-Id": {pastedID}}},
		"otlp.txt":         {{"Traceparent": {pastedParent}}},
		"spring_mdc.txt":   {{}},
		"har.txt":          {pasted(), {"X-Request-Id": {pastedID}}},
		"py_fwh.txt": {
			{"X-Request-Id": {"254b0a8b-89aa-9864-83ee-9c06f412bcd4"}, "X-B3-Traceid": {"f4d8fa42b7711f9b8f7c64b74143596f"}, "X-B3-Spanid": {"8f7c64b74143596f"}},
			{"X-B3-Traceid": {"f4d8fa42b7711f9b8f7c64b74143596f"}, "X-B3-Spanid": {"8f7c64b74143596f"}},
		},
		"curlv.txt":        {pasted("tracestate", "vendora=1", "x-request-id", pastedID), pasted("tracestate", "vendora=1")},
		"curlv_err.txt":    {pasted("tracestate", "vendora=1", "x-request-id", pastedID)},
		"tcpdump_A.txt":    {pasted("tracestate", "vendora=1", "x-request-id", pastedID)},
		"node.txt":         {pasted("tracestate", "vendora=1", "x-request-id", pastedID)},
		"node_headers.txt": {pasted("tracestate", "vendora=1", "x-request-id", pastedID)},
	}
	spans := []string{"jaeger.txt", "otlp.txt", "spring_mdc.txt"}
	files, err := filepath.Glob("testdata/pastes/*.txt")
	require.NoError(t, err)
	require.Len(t, files, 40)
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			p := readPaste(text)
			var got []http.Header
			for _, m := range p.messages {
				got = append(got, m.header)
			}
			want := parts[name]
			if want == nil {
				want = []http.Header{pasted()}
			}
			assert.Equal(t, want, got)
			assert.Empty(t, p.unread)
			for _, known := range spans {
				if name == known {
					require.Len(t, p.messages[0].spans, 1)
					assert.Equal(t, [2]string{pastedTrace, pastedSpan}, [2]string{p.messages[0].spans[0].Trace, p.messages[0].spans[0].Span})
				}
			}
			stdout, stderr, status := tracebaton(t, string(text), "explain")
			assert.Empty(t, stderr)
			if got[0].Get("x-b3-sampled") != "" {
				assert.Equal(t, statusBroken, status)
				assert.Contains(t, stdout, "x-b3-* says not sampled, and traceparent says sampled")
			} else {
				assert.Equal(t, statusWhole, status, stdout)
			}
		})
	}
}

func TestDumpsOfBytesAreRead(t *testing.T) {
	files, err := filepath.Glob("testdata/dumps/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		p := readPaste(text)
		require.Len(t, p.messages, 1, file)
		assert.Equal(t, pasted(), p.messages[0].header, file)
	}
	p := readPaste([]byte("0000: 6233: 0\n\nb3: 0"))
	require.Len(t, p.messages, 1, "one row is no dump")
}

func TestHeadersAreReadInAnyForm(t *testing.T) {
	const all = "traceparent: " + pastedParent + "\nx-b3-traceid: " + pastedTrace + "\nx-b3-spanid: " + pastedSpan + "\nx-b3-sampled: 0\n"
	// form puts each header into a form, in which N is its name and V its value.
	form := func(each string) string {
		var b strings.Builder
		for row := range strings.Lines(all) {
			name, value, _ := strings.Cut(strings.TrimSpace(row), ": ")
			b.WriteString(strings.NewReplacer("N", name, "V", value, "U", strings.ToUpper(strings.ReplaceAll(name, "-", "_"))).Replace(each))
		}
		return b.String()
	}
	utf16Text := func(order func([]byte, uint16) []byte, mark bool) string {
		var b []byte
		if mark {
			b = order(b, 0xfeff)
		}
		for _, u := range utf16.Encode([]rune(strings.ReplaceAll(all, "\n", "\r\n"))) {
			b = order(b, u)
		}
		return string(b)
	}
	little := func(b []byte, u uint16) []byte { return append(b, byte(u), byte(u>>8)) }
	big := func(b []byte, u uint16) []byte { return append(b, byte(u>>8), byte(u)) }
	inLog := func(text string) string {
		b, err := json.Marshal(map[string]string{"log": text, "stream": "stdout"})
		require.NoError(t, err)
		return string(b)
	}
	tests := map[string]string{
		// Files of other encodings.
		"UTF-16 as PowerShell writes it": utf16Text(little, true),
		"UTF-16 without a mark":          utf16Text(little, false),
		"UTF-16, big-endian":             utf16Text(big, true),
		"old Macs' line ends":            strings.ReplaceAll(all, "\n", "\r"),

		// Browsers and shells.
		"cURL in bash, in one line":           "curl 'http://localhost/' --compressed" + form(" -H 'N: V'"),
		"cURL in bash, with ANSI-C quotes":    "curl 'http://localhost/' \\\n" + form("  -H $'N: V' \\\n") + "  --compressed",
		"cURL with double quotes":             "curl http://localhost/" + form(` -H "N: V"`),
		"cURL without quotes":                 "curl http://localhost/" + form(` -HN:V`),
		"cURL with long options":              "curl http://localhost/" + form(` --header="N: V"`),
		"cURL in cmd, of today":               "curl ^\"http://localhost/^\" ^\r\n" + form("  -H ^\"N: V^\" ^\r\n") + "  --compressed",
		"cURL in cmd, of yesterday":           "curl \"http://localhost/\" ^\n" + form("  -H \"N: V\" ^\n") + "  --compressed",
		"PowerShell":                          "Invoke-WebRequest -UseBasicParsing -Uri \"http://localhost/\" `\n-Headers @{\n\"Accept\"=\"*/*\"\n" + form("  \"N\"=\"V\"\n") + "}",
		"PowerShell in one line":              "Invoke-RestMethod http://localhost/ -Headers @{" + form(`"N"="V"; `) + "}",
		"fetch for Node":                      "fetch(\"http://localhost/\", {\n  \"headers\": {\n" + form("    \"N\": \"V\",\n") + "  }, \"method\": \"GET\" });",
		"a browser's panel with colons":       form("N:\nV\n"),
		"a browser's panel, a line apart":     "Request Headers\n" + form("N\n\tV\n"),
		"HTTPie's arguments":                  "http GET localhost:8080/headers" + form(" N:V"),
		"wget's arguments":                    "wget -qO- http://localhost" + form(" --header='N: V'"),
		"grpcurl's arguments":                 "grpcurl -plaintext" + form(" -H 'N: V'") + " localhost:9000 Get",
		"HAR that was cut off":                `{"log":{"entries":[{"request":{"headers":[` + form(`{"name":"N","value":"V"},`),
		"HAR, pretty":                         "{\n \"headers\": [\n" + form("  {\n   \"name\": \"N\",\n   \"value\": \"V\"\n  },\n") + "  {\"name\": \"a\", \"value\": \"b\"}\n ]\n}",
		"curl -v over HTTP/2":                 "* [HTTP/2] [1] OPENED stream\n" + form("* [HTTP/2] [1] [N: V]\n") + "> GET / HTTP/2\n" + form("> N: V\n") + "> \n< HTTP/2 200 \n",
		"nghttp":                              "[  0.001] send HEADERS frame <length=1, flags=0x25, stream_id=13>\n          ; Open new stream\n" + form("          N: V\n"),
		"Wireshark, with line ends":           "Hypertext Transfer Protocol\n" + form("    N: V\\r\\n\n") + "    \\r\\n\n",
		"curl --trace-ascii, broken after 64": "=> Send header, 200 bytes (0xc8)\n0000: GET / HTTP/1.1\n0010: traceparent: 00-80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd\n0050: 1-01\n0056: x-b3-traceid: " + pastedTrace + "\n0086: x-b3-spanid: " + pastedSpan + "\n00a5: x-b3-sampled: 0\n00b6: \n",

		// Languages.
		"JavaScript":                        "const headers = {\n" + form("  'N': 'V',\n") + "};",
		"JavaScript, numbers":               "{ traceparent: '" + pastedParent + "', 'x-b3-traceid': '" + pastedTrace + "', 'x-b3-spanid': '" + pastedSpan + "', 'x-b3-sampled': 0 }",
		"JavaScript, Headers":               "Headers {\n" + form("  N: 'V',\n") + "}",
		"JavaScript, Map":                   "Map(4) {" + form("'N' => 'V', ") + "}",
		"Node, rawHeaders in a line":        "[ 'Host', 'x', " + form("'N', 'V', ") + "]",
		"Node, rawHeaders in JSON":          "[\"Host\",\"x\"," + strings.TrimSuffix(form(`"N","V",`), ",") + "]",
		"JSON, numbers":                     `{"headers":{"traceparent":"` + pastedParent + `","x-b3-traceid":"` + pastedTrace + `","x-b3-spanid":"` + pastedSpan + `","x-b3-sampled":0}}`,
		"JSON in a string":                  inLog("headers " + `{` + strings.TrimSuffix(form(`"N":"V",`), ",") + `}`),
		"JSON in a string, in text":         `INFO msg="{` + form(`\"N\":\"V\",`) + `}"`,
		"lines in JSON":                     inLog(all),
		"JSON behind a prefix":              `[pod/sleep-1/app] {"msg":"x",` + strings.TrimSuffix(form(`"N":"V",`), ",") + `}`,
		"JSON behind CRI's prefix":          `2026-11-25T21:00:00.123456789Z stdout F {` + strings.TrimSuffix(form(`"N":"V",`), ",") + `}`,
		"Python, http.client":               `send: b'GET /get HTTP/1.1\r\nHost: x\r\n` + form(`N: V\r\n`) + `\r\n'`,
		"Python, headers that came":         form("header: N: V\n"),
		"Python, pprint":                    "{'Accept': '*/*',\n" + form(" 'N': 'V',\n") + "}",
		"Python, ASGI":                      "[(b'host', b'x'), " + form("(b'N', b'V'), ") + "]",
		"Python, WSGI":                      "{'wsgi.version': (1, 0), " + form("'HTTP_U': 'V', ") + "}",
		"Python, aiohttp":                   "<CIMultiDictProxy('Host': 'x', " + form("'N': 'V', ") + ")>",
		"Python, gRPC":                      "(" + form("_Metadatum(key='N', value='V'), ") + ")",
		"Go, %#v":                           "http.Header{\"Accept\":[]string{\"*/*\"}, " + form(`"N":[]string{"V"}, `) + "}",
		"Go, slog":                          `time=2026-11-25T21:00:00Z level=INFO msg="in" method=GET` + form(" N=V"),
		"Go, slog in a group":               `time=2026-11-25T21:00:00Z level=INFO msg=in` + form(" req.headers.N=[V]"),
		"Go, HTTP's dump in %q":             `2026/11/25 21:00:00 "GET / HTTP/1.1\r\nHost: x\r\n` + form(`N: V\r\n`) + `\r\n"`,
		"Java, Map":                         "headers={host=x, " + strings.TrimSuffix(form("N=V, "), ", ") + "}",
		"Java, Map of lists":                "{host=[x], " + strings.TrimSuffix(form("N=[V], "), ", ") + "}",
		"Java, MessageHeader":               "sun.net.www.MessageHeader@4c3e4790 5 pairs: {GET / HTTP/1.1: null}" + form("{N: V}"),
		"Java, gRPC":                        "Metadata(" + strings.TrimSuffix(form("N=V,"), ",") + ")",
		"Java, HttpClient":                  form("2026-11-25 21:00:00 DEBUG headers:133 - http-outgoing-0 >> N: V\n"),
		"Java, OkHttp":                      "--> GET http://x/ http/1.1\n" + form("N: V\n") + "--> END GET",
		"C#":                                "Request:\n" + form("      N: V\n"),
		"C#, pairs":                         form("[N, V]\n"),
		"C#, IHeaderDictionary":             "{" + form("[N, V], ") + "}",
		"Ruby, of today":                    "{" + form(`"N" => "V", `) + "}",
		"Ruby, Rack":                        "{" + form(`"HTTP_U"=>"V", `) + "}",
		"Perl, Dumper":                      "$VAR1 = {\n" + form("          'N' => 'V',\n") + "        };",
		"PHP, print_r":                      "Array\n(\n" + form("    [N] => V\n") + ")",
		"PHP, print_r of lists":             "Array\n(\n" + form("    [N] => Array\n        (\n            [0] => V\n        )\n\n") + ")",
		"PHP, var_dump":                     "array(4) {\n" + form("  [\"N\"]=>\n  string(9) \"V\"\n") + "}",
		"PHP, var_export":                   "array (\n" + form("  'N' => 'V',\n") + ")",
		"PHP, $_SERVER":                     form("[HTTP_U] => V\n"),
		"Rust, hyper":                       "Request { method: GET, headers: {" + form(`"N": "V", `) + "} }",
		"Elixir":                            "[" + form(`{"N", "V"}, `) + "]",
		"Erlang":                            "[" + form(`{<<"N">>,<<"V">>},`) + "]",
		"Lua":                               "{\n" + form("  [\"N\"] = \"V\",\n") + "}",
		"Clojure":                           "{" + form(`"N" "V", `) + "}",
		"Swift":                             "[" + form(`AnyHashable("N"): V, `) + "]",
		"environment":                       form("U=V\n"),
		"environment, exported":             form("export U='V'\n"),
		"XML":                               "<headers>" + form(`<header name="N" value="V"/>`) + "</headers>",
		"XML, elements":                     "<h>\n" + form("<N>V</N>\n") + "</h>",
		"YAML, a list of names and values":  "headers:\n" + form("- name: N\n  value: \"V\"\n"),
		"YAML, lists":                       "headers:\n" + form("  N:\n  - V\n"),
		"YAML, in flow":                     "headers: {" + form("N: \"V\", ") + "}",
		"Markdown, a table":                 "| header | value |\n|---|---|\n" + form("| N | V |\n"),
		"Markdown, a table with code":       form("| `N` | `V` |\n"),
		"Markdown, bullets":                 form("- N: V\n"),
		"Markdown, bold":                    form("* **N**: V\n"),
		"Markdown, code":                    form("- `N: V`\n"),
		"Markdown, name and value in code":  form("- `N`: `V`\n"),
		"tabs":                              form("N\tV\n"),
		"arrows":                            form("N -> V\n"),
		"a sentence":                        "It sent traceparent=" + pastedParent + ", x-b3-traceid=" + pastedTrace + ", x-b3-spanid=" + pastedSpan + " and x-b3-sampled=0.",
		"headers in one line":               strings.TrimSuffix(form("N: V, "), ", "),
		"headers in one line, by semicolon": strings.TrimSuffix(form("N: V; "), "; "),

		"PowerShell, a table":         "Name                           Value\n----                           -----\n" + form("N                    V\n"),
		"PowerShell, lists":           form("N                    {V}\n"),
		"HTML":                        "<table>" + form("<tr><td>N</td><td>V</td></tr>") + "</table>",
		"HTML, escaped":               "{" + form("&quot;N&quot;: &quot;V&quot;, ") + "}",
		"typographic quotes":          form("“N”: “V”\n"),
		"blanks that do not break":    form("N:\u00a0V\n"),
		"JSON in JSON in JSON":        `x="{` + form(`\\\"N\\\":\\\"V\\\",`) + `}"`,
		"JSON with escapes of quotes": `{` + form(`\u0022N\u0022:\u0022V\u0022,`) + `}`,
		"a Dockerfile":                form("ENV U V\n"),
		"nginx, a configuration":      form("    proxy_set_header N V;\n"),
		"Go, code":                    form("req.Header.Set(\"N\", \"V\")\n"),
		"Ruby, code":                  form("req['N'] = 'V'\n"),
		"Lua, code":                   form("wrk.headers[\"N\"] = \"V\"\n"),
		"Java, HttpHeaders":           "java.net.http.HttpHeaders@a1 { {accept=[*/*], " + strings.TrimSuffix(form("N=[V], "), ", ") + "} }",
		"Node, without prototype":     "[Object: null prototype] {\n" + form("  'N': [ 'V' ],\n") + "}",
		"Python, httpx":               "Headers({'host': 'x', " + form("'N': 'V', ") + "})",
		"Dart":                        "{accept: */*, " + form("N: V, ") + "host: x}",
		"Scala":                       "List(" + form("RawHeader(N, V), ") + ")",
		"Scala, Map":                  "Map(" + form("N -> V, ") + ")",
		"Haskell":                     "[" + form(`("N","V"),`) + "]",
		"LTSV":                        "time:2026\t" + form("N:V\t") + "accept:*/*",
		"LTSV, first":                 form("N:V\t") + "accept:*/*",
		"others in the line":          form("N: V, ") + "accept: */*",
		"Rails":                       form("HTTP_U: \"V\"\n"),
		"pino":                        `{"level":30,"req":{"id":1,"headers":{` + strings.TrimSuffix(form(`"N":"V",`), ",") + `}},"msg":"x"}`,
		"Java, Netty":                 "DefaultHttp2Headers[:path: /, " + form("N: V, ") + "user-agent: netty]",
		"protobuf's text":             form("headers {\n  key: \"N\"\n  value: \"V\"\n}\n"),
		"a mail's quotes":             form("> > N: V\n"),
		"a diff":                      form("+N: V\n"),
		"line numbers":                form("12: N: V\n"),
		"compose's prefix":            form("web-1  | N: V\n"),

		// Proxies.
		"Traefik":                      `{"ClientAddr":"x",` + strings.TrimSuffix(form(`"request_N":"V",`), ",") + `}`,
		"Envoy, debug":                 "[2026-11-25 21:00:00.000][12][debug][http] [source/x.cc:1] [Tags: \"ConnectionId\":\"0\"] request headers complete (end_stream=true):\n':path', '/headers'\n" + form("'N', 'V'\n") + "\n[2026-11-25 21:00:00.000][12][debug] done",
		"Envoy, tap":                   `{"http_buffered_trace":{"request":{"headers":[{"key":":path","value":"/"},` + strings.TrimSuffix(form(`{"key":"N","value":"V"},`), ",") + `]}}}`,
		"Envoy, access log":            `[2026-11-25T21:00:00.000Z] "GET / HTTP/1.1" 200 - 0 12` + form(` N="V"`),
		"nginx, debug":                 form("2026/11/25 21:00:00 [debug] 7#7: *1 http header: \"N: V\"\n"),
		"nginx, variables":             `127.0.0.1 - - [25/Nov/2026:21:37:49 +0000] "GET / HTTP/1.1" 200 1` + form(` http_U="V"`),
		"Apache, forensic":             "+1234:5678:0|GET / HTTP/1.1|Host:x" + form("|N:V"),
		"Zipkin's tags":                `[{"traceId":"` + pastedTrace + `","id":"` + pastedSpan + `","kind":"SERVER","tags":{` + strings.TrimSuffix(form(`"http.request.header.N":"V",`), ",") + `}}]`,
		"ECS":                          `{"http":{"request":{"headers":{` + strings.TrimSuffix(form(`"N":"V",`), ",") + `}}}}`,
		"flattened":                    `{` + strings.TrimSuffix(form(`"http.request.headers.N":["V"],`), ",") + `}`,
		"beside names in a list":       "Access-Control-Allow-Headers: traceparent, x-b3-traceid\n" + all,
		"with what a log has for none": strings.ReplaceAll(form("N=V "), "x-b3-sampled=0", "x-b3-sampled=0 b3=- tracestate=null baggage=<nil> sw8= uber-trace-id=\"-\""),
		"in colour":                    form("\x1b[36mN\x1b[39;49;00m: \x1b[1mV\x1b[0m\n"),
		"colours of 24 bits":           form("\x1b[38;2;1;2;3mN\x1b[m=\x1b[0mV "),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			p := readPaste([]byte(text))
			if assert.NotEmpty(t, p.messages, text) {
				assert.Equal(t, pasted(), p.messages[0].header, text)
			}
			assert.Len(t, p.messages, 1, text)
			assert.Empty(t, p.unread, text)
		})
	}
}

func TestListsOfHeadersKeepTheirCommas(t *testing.T) {
	const state, baggage, xray = "rojo=1, congo=t61rcWkgMzE", "userId=Amélie,serverNode=DF%2028;p=1", "Root=1-463ac35c-9f6413ad48485a3953bb6124;Parent=a2fb4a1d1a96d312;Sampled=1"
	for name, each := range map[string]string{
		"lines": "N: V\n", "curl": "-H 'N: V' ", "cmd": "-H ^\"N: V^\" ^\n", "Go": "N:[V] ", "dict": "'N': 'V', ", "logfmt": "N=\"V\" ",
		"pairs": "('N', 'V'), ", "log": "2026 DEBUG >> N: V\n", "forensic": "|N:V", "table": "| N | V |\n", "JSON": "\"N\": [\"V\"],\n",
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			for _, pair := range [][2]string{{"traceparent", pastedParent}, {"tracestate", state}, {"baggage", baggage}, {"x-amzn-trace-id", xray}} {
				b.WriteString(strings.NewReplacer("N", pair[0], "V", pair[1]).Replace(each))
			}
			p := readPaste([]byte(b.String()))
			require.NotEmpty(t, p.messages, b.String())
			assert.Equal(t, http.Header{"Traceparent": {pastedParent}, "Tracestate": {state}, "Baggage": {baggage}, "X-Amzn-Trace-Id": {xray}}, p.messages[0].header, b.String())
		})
	}
}

func TestAccessLogsGiveTheRequestID(t *testing.T) {
	tests := map[string]string{
		"Envoy's":          `[2026-11-25T21:00:00.123Z] "GET /headers HTTP/1.1" 200 - 0 336 4 3 "-" "curl/7.88.1" "` + pastedID + `" "httpbin:8000" "10.0.0.1:8000"`,
		"Istio's":          `[2026-11-25T21:00:00.123Z] "GET /headers HTTP/1.1" 200 - via_upstream - "-" 0 336 4 3 "-" "Mozilla/5.0 (X11)" "` + pastedID + `" "httpbin:8000" "10.0.0.1:8000" inbound|8000|| 127.0.0.6:1 10.0.0.1:8000 10.0.0.2:1 outbound_.8000_._.httpbin default`,
		"kubectl's prefix": `[pod/httpbin-1/istio-proxy] [2026-11-25T21:00:00.123Z] "POST /a.B/C HTTP/2" 200 - 0 336 4 3 "-" "grpc-go" "` + pastedID + `" "httpbin:8000" "10.0.0.1:8000"`,
		"Istio's in JSON":  `{"authority":"httpbin:8000","request_id":"` + pastedID + `","trace_id":null,"x_forwarded_for":null,"user_agent":"-"}`,
		"camel case":       `{"requestId":"` + pastedID + `","method":"GET"}`,
		"by a key":         `GET / 200 rid=` + pastedID,
		"of nginx, where the ID that came in counts": `rid=96af01fe69f10f02f73ee78555c79ec9 xrid=` + pastedID,
		"the full name":             `x_request_id="` + pastedID + `" rid=96af01fe69f10f02f73ee78555c79ec9`,
		"alone":                     pastedID + "\n",
		"an environment's variable": "HTTP_X_REQUEST_ID=" + pastedID,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			p := readPaste([]byte(text))
			require.Len(t, p.messages, 1)
			assert.Equal(t, http.Header{"X-Request-Id": {pastedID}}, p.messages[0].header)
		})
	}
	p := readPaste([]byte(strings.Repeat(tests["Envoy's"]+"\n", 3) + strings.ReplaceAll(tests["Istio's"], "4a1b", "4a1c")))
	require.Len(t, p.messages, 2, "each once")
	assert.Contains(t, p.messages[1].title, "(line 4)")
	for _, other := range []string{`{"request_id":"42"}`, `requestid: none`, `START RequestId: ` + pastedID + ` Version: 1`} {
		assert.Empty(t, readPaste([]byte(other)).messages, other)
	}
}

func TestSpansOnAConsoleHaveNoHeaders(t *testing.T) {
	const ids = `"TraceID":"` + pastedTrace + `","SpanID":"` + pastedSpan + `"`
	const none = `"TraceID":"00000000000000000000000000000000","SpanID":"0000000000000000"`
	p := readPaste([]byte(`{"Name":"x","SpanContext":{` + ids + `,"TraceFlags":"01","TraceState":""},"Parent":{` + none + `,"TraceFlags":"00","TraceState":""}}`))
	require.Len(t, p.messages, 1, "Go's")
	assert.Empty(t, p.messages[0].header)
	require.Len(t, p.messages[0].spans, 1)
	assert.Equal(t, pastedTrace, p.messages[0].spans[0].Trace)

	p = readPaste([]byte("{\n  traceId: '" + pastedTrace + "',\n  parentId: undefined,\n  traceState: undefined,\n  name: 'GET',\n}"))
	assert.Empty(t, p.messages, "JavaScript's")
	p = readPaste([]byte("> traceparent: undefined\n"))
	require.Len(t, p.messages, 1, "what a program has really sent")
	assert.Equal(t, "undefined", p.messages[0].header.Get("traceparent"))
}

func TestSpansOfTracesAreRead(t *testing.T) {
	tests := map[string]string{
		"Jaeger":      `{"data":[{"traceID":"` + pastedTrace + `","spans":[{"traceID":"` + pastedTrace + `","spanID":"` + pastedSpan + `","references":[{"refType":"CHILD_OF","traceID":"` + pastedTrace + `","spanID":"05e3ac9a4f6e3b90"}]}]}]}`,
		"OTLP":        `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"` + pastedTrace + `","spanId":"` + pastedSpan + `","parentSpanId":"05e3ac9a4f6e3b90","traceState":"a=1"}]}]}]}`,
		"Zipkin":      `[{"traceId":"` + pastedTrace + `","id":"` + pastedSpan + `","parentId":"05e3ac9a4f6e3b90","name":"get"}]`,
		"a collector": `{"trace_id":"` + pastedTrace + `","span_id":"` + pastedSpan + `","parent_span_id":"05e3ac9a4f6e3b90","tracestate":"a=1"}`,
		"upper case":  `{"traceId":"` + strings.ToUpper(pastedTrace) + `","spanId":"` + strings.ToUpper(pastedSpan) + `","parentSpanId":"05E3AC9A4F6E3B90"}`,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			p := readPaste([]byte(text))
			require.Len(t, p.messages, 1)
			assert.Empty(t, p.messages[0].header)
			require.Len(t, p.messages[0].spans, 1)
			s := p.messages[0].spans[0]
			assert.Equal(t, [3]string{pastedTrace, pastedSpan, "05e3ac9a4f6e3b90"}, [3]string{s.Trace, s.Span, s.Parent})
		})
	}
	for _, text := range []string{
		"2026 INFO [svc," + pastedTrace + "," + pastedSpan + "] hello",
		"2026 INFO [" + pastedTrace + "-" + pastedSpan + "] hello",
		"level=info traceId=" + pastedTrace + " spanId=" + pastedSpan + " msg=hello",
		`level=info trace_id="` + pastedTrace + `" span_id="` + pastedSpan + `"`,
	} {
		p := readPaste([]byte(text))
		require.Len(t, p.messages, 1, text)
		require.Len(t, p.messages[0].spans, 1, text)
		assert.Equal(t, pastedTrace, p.messages[0].spans[0].Trace)
	}
}

func TestWhatBelongsTogetherIsToldByTheText(t *testing.T) {
	const a, b = "b3: 0\n", "b3: 1\n"
	tests := map[string]struct {
		text string
		want []string // b3 of each message
	}{
		"a blank line":                {a + "\n" + b, []string{"0", "1"}},
		"request and response":        {"> " + a + "< " + b, []string{"0", "1"}},
		"two requests":                {"GET /a HTTP/1.1\n" + a + "GET /b HTTP/1.1\n" + b, []string{"0", "1"}},
		"two commands":                {"curl x -H 'b3: 0'\ncurl x -H 'b3: 1'\n", []string{"0", "1"}},
		"lines of a log":              {"1 b3=0 x\n2 b3=1 x\n", []string{"0", "1"}},
		"lines of a log with more":    {"1 b3=0 baggage=a=1\n2 b3=1 baggage=a=2\n", []string{"0", "1"}},
		"objects":                     {"{ b3: '0',\n}\n{ b3: '1',\n}\n", []string{"0", "1"}},
		"objects in JSON":             {`{"a":{"b3":"0"},"b":{"b3":"1"}}`, []string{"0", "1"}},
		"a repeated header":           {a + b, []string{"0, 1"}},
		"a repeated option":           {"curl x -H 'b3: 0' -H 'b3: 1'\n", []string{"0, 1"}},
		"a repeated header in tuples": {"[('b3', '0'), ('b3', '1')]", []string{"0, 1"}},
		"a list in JSON":              {`{"b3":["0","1"]}`, []string{"0, 1"}},
		"a list in Go":                {`map[B3:[0 1]]`, []string{"0, 1"}},
		"a list in Go's syntax":       {`http.Header{"B3":[]string{"0", "1"}}`, []string{"0, 1"}},
		"the same twice":              {a + "\n" + a, []string{"0"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, m := range readPaste([]byte(test.text)).messages {
				got = append(got, strings.Join(m.header.Values("b3"), ", "))
			}
			assert.Equal(t, test.want, got)
		})
	}
}

func TestAnEmptyHeaderIsOneAndAnEmptyFieldIsNone(t *testing.T) {
	for _, text := range []string{"x-b3-sampled:\nb3: 0", "x-b3-sampled: \naccept: x\nb3: 0", "> x-b3-sampled:\n> b3: 0", "curl -H 'x-b3-sampled:' -H 'b3: 0'", `{"x-b3-sampled":"","b3":"0"}`, "{'x-b3-sampled': '', 'b3': '0'}", "map[B3:[0] X-B3-Sampled:[]]"} {
		p := readPaste([]byte(text))
		require.Len(t, p.messages, 1, text)
		assert.Equal(t, http.Header{"X-B3-Sampled": {""}, "B3": {"0"}}, p.messages[0].header, text)
	}
	for _, text := range []string{"x-b3-sampled= b3=0", `x-b3-sampled="-" b3="0"`, `{"x-b3-sampled":null,"b3":"0"}`, `{"x-b3-sampled":"-","b3":"0"}`, "{'x-b3-sampled': None, 'b3': '0'}"} {
		p := readPaste([]byte(text))
		require.Len(t, p.messages, 1, text)
		assert.Equal(t, http.Header{"B3": {"0"}}, p.messages[0].header, text)
	}
}

func TestAMalformedValueIsShownAsItIs(t *testing.T) {
	for text, want := range map[string]string{
		"x-request-id: hello, world":      "hello, world",
		"> x-request-id: a b":             "a b",
		`{"x-request-id":"a \"b\""}`:      `a "b"`,
		"-H 'x-request-id: it is \"so\"'": `it is "so"`,
		"X-Request-Id:[not one]":          "not, one",
		"x-request-id: 4a1b2c3d\xff":      "4a1b2c3d\xff",
	} {
		p := readPaste([]byte(text))
		require.Len(t, p.messages, 1, text)
		assert.Equal(t, want, strings.Join(p.messages[0].header.Values("x-request-id"), ", "), text)
	}
}

func TestANameWithoutAValueIsShown(t *testing.T) {
	const list = "forward these: x-request-id, b3 and baggage\n"
	_, stderr, status := tracebaton(t, "first\n"+list, "explain")
	assert.Equal(t, statusUnknown, status)
	assert.Contains(t, stderr, "no trace header that can be read; line 2 names x-request-id, but has no value for it: forward these: x-request-id, b3 and baggage\n")
	stdout, _, status := tracebaton(t, "b3: 0\n\n"+list, "explain")
	assert.Equal(t, statusWhole, status)
	assert.Contains(t, stdout, "\nNot read\n    Line 3 names x-request-id, but has no value for it:\n        forward these")
	for _, quiet := range []string{"access-control-allow-headers: traceparent, b3", "my-traceparent: 1", "traceparents", "http://x/b3x", "trace_id", "requestid"} {
		_, stderr, status := tracebaton(t, quiet, "explain")
		assert.Equal(t, statusUnknown, status, quiet)
		assert.Contains(t, stderr, "no trace headers to explain", quiet)
	}
}

func TestLinesAreCountedAsTheyWere(t *testing.T) {
	text := "one\ncurl x \\\n  -H 'b3: 0' \\\n  -H 'accept: x'\n\n'GET / HTTP/1.1\\r\\nb3: 1\\r\\n'\n\nsend: b3=d\n"
	p := readPaste([]byte(text))
	require.Len(t, p.messages, 3)
	assert.Equal(t, "Line 3", p.messages[0].title)
	assert.Equal(t, "GET / HTTP/1.1 (line 6)", p.messages[1].title)
	assert.Equal(t, "Line 8", p.messages[2].title)
}

// hugePastes returns texts of about the size that are hard to read, or just
// long.
func hugePastes(size int) map[string]string {
	fill := func(s string) string { return strings.Repeat(s, size/len(s)+1)[:size] }
	return map[string]string{
		"nothing":                             fill("x"),
		"letters and digits":                  base64.StdEncoding.EncodeToString([]byte(fill("\x00\xff\x17")))[:size],
		"prose":                               fill("It sent the headers along, and nobody read them.\n"),
		"header lines":                        fill("traceparent: " + pastedParent + "\n"),
		"names":                               fill("traceparent "),
		"names and quotes":                    fill(`"traceparent": '`),
		"names and brackets":                  fill(`traceparent=[`),
		"names in one line":                   fill("b3=0 traceparent: "),
		"brackets":                            fill("["),
		"braces":                              fill(`{"a":`),
		"braces in lines":                     fill("{\n"),
		"braces in rows":                      fill("{\"a\":\n"),
		"lines of JSON":                       fill(`{"time":"2026-11-25T21:00:00Z","level":"INFO","msg":"x","n":1,"headers":{"accept":["*/*"]}}` + "\n"),
		"lines with headers":                  fill(`{"time":"2026-11-25T21:00:00Z","level":"INFO","msg":"x","headers":{"traceparent":["` + pastedParent + `"]}}` + "\n"),
		"lines of JSON, and a header at last": fill(`{"time":"2026-11-25T21:00:00Z","level":"INFO","msg":"x","n":1,"headers":{"accept":["*/*"]}}` + "\n")[:size-20] + "\nb3: 0\n",
		"JSON in one piece, and a header at last": `{"a":[` + strings.Repeat(`{"time":"2026-11-25T21:00:00Z","level":"INFO","n":1},`, size/64) + `"x"],"b3":"0"}`,
		"one object":            `{"a":[` + fill(`{"b":"traceparent"},`)[:size-20] + `{}]}`,
		"strings in JSON":       `{"a":"` + strings.ReplaceAll(fill("traceparent b3 "), "\n", " ")[:size-20] + `"}`,
		"access logs":           fill(`[2026-11-25T21:00:00.123Z] "GET /headers HTTP/1.1" 200 - 0 336 4 3 "-" "curl/7.88.1" "` + pastedID + `" "httpbin:8000" "10.0.0.1:8000"` + "\n"),
		"halves of access logs": fill("[2026"),
		"start lines":           fill("GET / HTTP/1.1\nb3: 0\n\n"),
		"literal line ends":     fill(`\r\n`),
		"carets":                fill(`^"`),
		"escapes":               fill("\x1b[1m"),
		"open escapes":          fill("\x1b]"),
		"NULs":                  fill("\x00"),
		"zeros and letters":     fill("a\x00"),
		"shapes":                fill(pastedParent + " "),
		"shapes in lines":       fill("[" + pastedTrace + "-" + pastedSpan + "]\n"),
		"lists of names":        fill("[\"b3\"]\n"),
		"lists of names in one": fill("[\"b3\"] "),
		"rows of hex":           fill("0000: 47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d 0a GET / HTTP/1.1..\n"),
		"one long dump":         longDump(size),
		"trace-ascii":           fill("0000: 0123456789012345678901234567890123456789012345678901234567890123\n"),
	}
}

// longDump returns a hex dump of about the size.
func longDump(size int) string {
	var b strings.Builder
	for at := 0; b.Len() < size; at += 16 {
		fmt.Fprintf(&b, "%08x: 4745 5420 2f20 4854 5450 2f31 2e31 0d0a  GET / HTTP/1.1..\n", at)
	}
	return b.String()[:size]
}

// A quarter of a MiB takes some ten milliseconds, and a minute if the time grows
// with the square of the length.
func TestTheTimeToReadAPasteGrowsWithItsLength(t *testing.T) {
	t.Parallel()
	for name, text := range hugePastes(1 << 18) {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			readPaste([]byte(text))
			assert.Less(t, time.Since(start), 5*time.Second)
		})
	}
}

func TestAPasteThatIsTooLargeIsRefused(t *testing.T) {
	_, stderr, status := tracebaton(t, strings.Repeat("x", maxPaste+1), "explain")
	assert.Equal(t, statusUnknown, status)
	assert.Contains(t, stderr, "the input is larger than 8 MiB; cut out the requests that matter")
}

func BenchmarkPaste(b *testing.B) {
	for name, text := range hugePastes(maxPaste) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				readPaste([]byte(text))
			}
		})
	}
}

// A header is read in whatever form a program writes it, with the value that it
// has.
func FuzzForms(f *testing.F) {
	for i := range headerNames {
		f.Add(uint8(i), "1", pastedParent)
	}
	f.Add(uint8(7), "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "0")
	f.Add(uint8(21), "Root=1-463ac35c-9f6413ad48485a3953bb6124;Parent=a2fb4a1d1a96d312", "0")
	f.Fuzz(func(t *testing.T, which uint8, value, other string) {
		name := headerNames[int(which)%len(headerNames)]
		second := headerNames[(int(which)+1)%len(headerNames)]
		for _, v := range []string{value, other} {
			// Quotes, commas, brackets and what else stands between names and
			// values are those of the form, and a name in a value is another header.
			if _, isName := canonical(v); v == "" || isName || strings.HasSuffix(v, ";") || strings.HasSuffix(v, ".") || strings.IndexByte("=:>|-", v[0]) >= 0 || absent[v] ||
				strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("\"'`,\\|()[]{}<>&^*#", c) }) || hasName(v) {
				return
			}
		}
		want := http.Header{}
		want.Set(name, value)
		want.Set(second, other)
		object, err := json.Marshal(map[string]any{"args": 1, "headers": want})
		require.NoError(t, err)
		pairs, err := json.Marshal([]map[string]string{{"name": name, "value": value}, {"name": second, "value": other}})
		require.NoError(t, err)
		for form, text := range map[string]string{
			"lines":   name + ": " + value + "\r\n" + second + ": " + other + "\r\n",
			"curl -v": "* Trying\n> GET / HTTP/1.1\n> " + name + ": " + value + "\n> " + second + ": " + other + "\n>\n",
			"cURL":    "curl x -H '" + name + ": " + value + "' \\\n  -H '" + second + ": " + other + "'",
			"JSON":    "<html>\n\n" + string(object) + "\n",
			"HAR":     string(pairs),
			"dict":    "{'" + name + "': '" + value + "', '" + second + "': '" + other + "'}",
			"tuples":  "[('" + name + "', '" + value + "'), ('" + second + "', '" + other + "')]",
			"Ruby":    `{"` + name + `"=>"` + value + `", "` + second + `"=>"` + other + `"}`,
			"Go":      "map[" + name + ":[" + value + "] " + second + ":[" + other + "]]",
			"logfmt":  "level=info " + name + "=" + value + " " + second + "=" + other + " a=b",
			"colour":  "\x1b[36m" + name + "\x1b[0m: \x1b[1m" + value + "\x1b[0m\n\x1b[36m" + second + "\x1b[0m: " + other + "\n",
			"table":   "| " + name + " | " + value + " |\n| " + second + " | " + other + " |\n",
		} {
			p := readPaste([]byte(text))
			if len(p.messages) != 1 {
				t.Fatalf("%s: %q: %d messages", form, text, len(p.messages))
			}
			require.Equal(t, want, p.messages[0].header, "%s: %q", form, text)
		}
	})
}
