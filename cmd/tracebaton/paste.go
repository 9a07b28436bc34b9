package main

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/tracebaton/tracebaton/internal/wire"
)

// What is read of a paste, so that the time stays well under a second whatever
// is in it.
const (
	maxPaste    = 8 << 20 // bytes
	maxNames    = 4096    // headers
	maxLooks    = 1 << 16 // names of headers, with a value or without
	maxMessages = 64
	maxNesting  = 3 // of texts in JSON in texts
)

// paste is what was found in a text that somebody copied out of a tool.
type paste struct {
	messages []*message
	// unread are lines in which the name of a trace header stands and no value
	// that could be told.
	unread []line
	// more says that there was more than is read.
	more bool

	names, looked int // so far
	line          int // of the JSON value that is walked through
}

type line struct {
	number int
	name   string
	text   string
}

// message is the headers that belong together in a paste, and the spans that
// they are told of.
type message struct {
	title  string
	header http.Header
	spans  []wire.Context

	// What may be a request ID where no x-request-id is, the likeliest first.
	guesses [len(guessed)]string
	// The IDs that a log line has beside its message.
	trace, span string
}

// headerNames are the trace headers that explain knows, in the order in which
// it explains them. Those that begin with uberctx- belong to them.
var headerNames = []string{
	"x-request-id",
	"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "b3",
	"traceparent", "tracestate", "x-ot-span-context", "baggage",
	"x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority", "x-datadog-origin", "x-datadog-tags",
	"sw8", "sw8-correlation", "sw8-x", "x-cloud-trace-context", "grpc-trace-bin", "x-amzn-trace-id", "uber-trace-id",
}

// lists are the headers whose values may have blanks and commas in them.
var lists = map[string]bool{
	"tracestate": true, "baggage": true, "x-datadog-tags": true, "sw8-correlation": true, "sw8-x": true,
	"x-ot-span-context": true, "x-amzn-trace-id": true,
}

// guessed are the names under which logs have a request ID, the likeliest
// first: nginx's for what came in, Envoy's and Istio's, and nginx's own.
var guessed = [...]string{"xrid", "request_id", "requestid", "req_id", "reqid", "rid"}

const (
	logTrace = "the log's trace"
	logSpan  = "the log's span"
)

// kinds has all names that are looked for, as canonical returns them.
var kinds = func() map[string]bool {
	m := map[string]bool{logTrace: true, logSpan: true}
	for _, name := range headerNames {
		m[name] = true
	}
	for _, name := range guessed {
		m[name] = true
	}
	return m
}()

// fronts are what proxies and logs put in front of a header's name, as nginx and
// Traefik do.
var fronts = []string{"http-", "request-headers-", "request-header-", "request-", "req-header-", "downstream-", "headers-", "header-"}

const longestName = len("request-headers-x-datadog-sampling-priority")

// canonical returns the header that a word names, in any case and as
// environments, logs and JSON write it: HTTP_X_B3_TRACEID, x_request_id.
func canonical(word string) (name string, ok bool) {
	if len(word) < 2 || len(word) > longestName && !hasPrefixFold(word, "uberctx-") {
		return "", false
	}
	lower := strings.ToLower(word)
	name = strings.ReplaceAll(lower, "_", "-")
	for _, front := range fronts {
		if rest, ok := strings.CutPrefix(name, front); ok && slices.Contains(headerNames, rest) {
			return rest, true
		}
	}
	switch {
	case kinds[name]:
		return name, true
	case kinds[lower]:
		return lower, true
	case strings.HasPrefix(name, "uberctx-") && len(name) > len("uberctx-"):
		return name, true
	case name == "trace-id", name == "traceid":
		return logTrace, true
	case name == "span-id", name == "spanid":
		return logSpan, true
	}
	return "", false
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// readPaste finds trace headers in whatever form they were copied.
func readPaste(b []byte) *paste {
	p := &paste{}
	text := plain(b)
	// Neither Envoy's access log nor a hex dump has names.
	if hasName(text) || strings.Contains(text, "] \"") || strings.Contains(text, "0000") {
		p.read(text, 1, "", 0)
	}
	if len(p.messages) == 0 {
		p.readShapes(text)
	}
	p.settle()
	return p
}

// uncolored returns the text without the sequences that set colours, titles and
// links on terminals.
func uncolored(b []byte) []byte {
	out := b[:0:0]
	for {
		i := bytes.IndexByte(b, '\x1b')
		if i < 0 {
			return append(out, b...)
		}
		out, b = append(out, b[:i]...), b[i+1:]
		switch {
		case len(b) > 0 && b[0] == '[':
			end := 1
			for end < len(b) && (b[end] < '@' || b[end] > '~') {
				end++
			}
			b = b[min(end+1, len(b)):]
		case len(b) > 0 && b[0] == ']':
			// It ends with a bell, or with another escape and a backslash.
			const longest = 4096
			if end := bytes.IndexAny(b[:min(len(b), longest)], "\a\x1b"); end >= 0 && b[end] == '\a' {
				b = b[end+1:]
			} else if end >= 0 {
				b = bytes.TrimPrefix(b[end:], []byte("\x1b\\"))
			}
		}
	}
}

// plain returns the text without byte order mark, colours and carriage
// returns. UTF-16 is what PowerShell writes into files.
func plain(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		b = utf16Text(b[2:], 0)
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		b = utf16Text(b[2:], 1)
	case len(b) > 3 && b[0] != 0 && b[1] == 0 && b[2] != 0 && b[3] == 0:
		b = utf16Text(b, 0)
	case len(b) > 3 && b[0] == 0 && b[1] != 0 && b[2] == 0 && b[3] != 0:
		b = utf16Text(b, 1)
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	if bytes.IndexByte(b, '\x1b') >= 0 {
		b = uncolored(b)
	}
	if bytes.IndexByte(b, '\r') >= 0 {
		b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
		b = bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
	}
	if bytes.Contains(b, []byte("\xc2\xa0")) || bytes.ContainsAny(b, "“”‘’：\u200b") {
		b = []byte(typeset.Replace(string(b)))
	}
	for _, mark := range []byte(split + joined) {
		if bytes.IndexByte(b, mark) >= 0 {
			b = bytes.ReplaceAll(b, []byte{mark}, []byte(" "))
		}
	}
	return string(b)
}

// typeset is what chats and documents make of what is typed.
var typeset = strings.NewReplacer("\u00a0", " ", "“", `"`, "”", `"`, "‘", "'", "’", "'", "：", ": ", "\u200b", "")

// utf16Text decodes UTF-16 whose low bytes are at low, 0 or 1, of each two.
func utf16Text(b []byte, low int) []byte {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i+low]) | uint16(b[2*i+1-low])<<8
	}
	return []byte(string(utf16.Decode(units)))
}

func (p *paste) begin(title string) *message {
	m := &message{title: title, header: make(http.Header)}
	p.messages = append(p.messages, m)
	return m
}

// settle turns what messages may mean into what they are taken for, leaves out
// those without trace headers, and tells those that are there twice once.
func (p *paste) settle() {
	var kept []*message
	for _, m := range p.messages {
		if m.trace != "" && m.span != "" {
			// OpenTelemetry's exporter for the console writes zeros for no parent.
			if strings.Trim(m.trace, "0") != "" {
				m.spans = append(m.spans, spanOf("the log's span", m.trace, m.span, ""))
			}
			if len(m.header["Traceparent"]) == 0 {
				m.header.Del("tracestate") // a span's field, and no header
			}
		}
		for _, id := range m.guesses {
			if id != "" && len(m.header["X-Request-Id"]) == 0 {
				m.header.Set("x-request-id", id)
			}
		}
		if len(m.header) == 0 && len(m.spans) == 0 {
			continue
		}
		if i := indexSame(kept, m); i >= 0 {
			if len(m.title) > 0 && !strings.Contains(kept[i].title, m.title) && len(kept[i].title) < 200 {
				kept[i].title += "; the same: " + m.title
			}
			continue
		}
		if len(kept) == maxMessages {
			p.more = true
			break
		}
		kept = append(kept, m)
	}
	p.messages = kept
}

func indexSame(messages []*message, m *message) int {
	for i, other := range messages {
		if reflect.DeepEqual(other.header, m.header) && reflect.DeepEqual(other.spans, m.spans) {
			return i
		}
	}
	return -1
}

// put adds a header to the message, or keeps what may be one.
func (m *message) put(name string, values ...string) {
	switch name {
	case logTrace:
		if len(values) == 1 && isID(values[0], 16, 32) {
			m.trace = values[0]
		}
		return
	case logSpan:
		if len(values) == 1 && isID(values[0], 16) {
			m.span = values[0]
		}
		return
	}
	for i, guess := range guessed {
		if name == guess {
			if len(values) == 1 && likelyRequestID(values[0]) && m.guesses[i] == "" {
				m.guesses[i] = values[0]
			}
			return
		}
	}
	for _, v := range values {
		m.header.Add(name, v)
	}
}

// has reports whether the message has the header already.
func (m *message) has(name string) bool {
	switch name {
	case logTrace:
		return m.trace != ""
	case logSpan:
		return m.span != ""
	}
	for i, guess := range guessed {
		if name == guess {
			return m.guesses[i] != ""
		}
	}
	return len(m.header.Values(name)) > 0
}

// isID reports whether s is a hex ID of one of the lengths, in any case.
func isID(s string, lengths ...int) bool {
	if strings.Trim(s, "0123456789abcdefABCDEF") != "" {
		return false
	}
	for _, n := range lengths {
		if len(s) == n {
			return true
		}
	}
	return false
}

// likelyRequestID reports whether s looks like the request IDs of proxies. A
// field that is named request_id is not always one of HTTP's.
func likelyRequestID(s string) bool { return wire.IsUUID(s) || isID(s, 32) }

// spanOf returns a span that is told of, not one that a header names. The IDs
// of a tool are in any case and of any length.
func spanOf(kind, trace, span, parent string) wire.Context {
	return wire.Context{
		Format: wire.Format(kind), Trace: wire.Pad(strings.ToLower(trace)), Digits: len(trace),
		Span: strings.ToLower(span), Parent: strings.ToLower(parent),
	}
}

// The values that can be told by their form.
var (
	bareTraceparent = regexp.MustCompile(`\b[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\b`)
	bareB3          = regexp.MustCompile(`\b([0-9a-f]{32}|[0-9a-f]{16})-([0-9a-f]{16})(-[01d](?:-[0-9a-f]{16})?)?\b`)
	bareXRay        = regexp.MustCompile(`\bRoot=1-[0-9a-f]{8}-[0-9a-f]{24}[^\s"',]*`)
	bareSleuth      = regexp.MustCompile(`\[[^\[\],]*,([0-9a-f]{32}|[0-9a-f]{16}),([0-9a-f]{16})[\],]`)
)

// readShapes finds values whose names are not there: a traceparent by itself,
// and the IDs that Spring writes into logs.
func (p *paste) readShapes(text string) {
	const most = 1 << 20
	number := 0
	for row := range strings.SplitSeq(text[:min(len(text), most)], "\n") {
		number++
		at := func(what string) *message { return p.begin(fmt.Sprintf("%s by its form, in line %d", what, number)) }
		switch {
		case len(p.messages) > maxMessages:
			return
		case wire.IsUUID(strings.TrimSpace(row)):
			at("A request ID").put("x-request-id", strings.TrimSpace(row))
		case !hasID(row):
		case bareTraceparent.MatchString(row):
			for _, v := range bareTraceparent.FindAllString(row, maxMessages) {
				at("A traceparent").put("traceparent", v)
			}
		case bareXRay.MatchString(row):
			at("An x-amzn-trace-id").put("x-amzn-trace-id", bareXRay.FindString(row))
		case bareB3.MatchString(row):
			found := bareB3.FindStringSubmatch(row)
			if found[3] != "" {
				at("A b3").put("b3", found[0])
				continue
			}
			// Without a decision it is what Spring's logs have.
			m := at("A span")
			m.trace, m.span = found[1], found[2]
		case bareSleuth.MatchString(row):
			found := bareSleuth.FindStringSubmatch(row)
			m := at("A span")
			m.trace, m.span = found[1], found[2]
		}
	}
}

// hasID reports whether 16 hex digits stand in a row. The expressions, which
// need them, take ten times as long.
func hasID(s string) bool {
	n := 0
	for i := range len(s) {
		if c := s[i]; c >= '0' && c <= '9' || c >= 'a' && c <= 'f' {
			if n++; n == 16 {
				return true
			}
		} else {
			n = 0
		}
	}
	return false
}
