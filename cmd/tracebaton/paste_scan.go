package main

import (
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
)

// place is where the scanner is in a text.
type place struct {
	text   string
	start  int // of the line
	number int // of the line
	// What of the line comes before at was seen.
	at int
}

// found is a header in a text.
type found struct {
	place
	name   string
	values []string
	// line says that the header is a line, name and value, as clients print
	// them and HTTP has them. Only such can be there twice; another form that is
	// there again belongs to another message.
	line bool
	// pair says that name and value are two fields.
	pair bool
}

// scan finds headers in a text without JSON: the name of one, then what stands
// between a name and its value in the languages and tools of the world, then
// the value.
func (p *paste) scan(text string, number int, title string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	text = unfold(text)
	lines := &place{text: text, number: number}
	g := grouper{paste: p, title: title}
	var row []found // of one line
	emit := func(f found) {
		p.names++
		if len(row) > 0 && row[0].start != f.start {
			g.add(row)
			row = nil
		}
		row = append(row, f)
	}
	for at := 0; ; {
		start, end, name := nextName(text, at)
		for p.names < maxNames {
			f, ok := lines.accessLog(start)
			if !ok {
				break
			}
			emit(f)
		}
		if p.looked++; name == "" || p.names >= maxNames || p.looked > maxLooks {
			p.more = p.more || name != ""
			break
		}
		lines.moveTo(start)
		f, next, ok := lines.header(start, end, name)
		at = next
		switch {
		case ok && f.values != nil:
			emit(f)
		case !ok && name != logTrace && name != logSpan && !slices.Contains(guessed[:], name) && !strings.HasSuffix(text[:start], "</"):
			p.leave(lines, name)
		}
	}
	g.add(row)
}

// leave notes that a name stands in a line without a value, but for the lists
// of names that CORS has.
func (p *paste) leave(at *place, name string) {
	if n := len(p.unread); n > 0 && p.unread[n-1].number == at.number || n >= maxMessages {
		return
	}
	text := at.line()
	if hasPrefixFold(strings.TrimLeft(text, "> <*-\t"), "access-control-") {
		return
	}
	p.unread = append(p.unread, line{at.number, name, text})
}

const window = 16 << 10 // bytes that a value and what is around it may have

// moveTo makes the line that offset is in the place's.
func (l *place) moveTo(offset int) {
	for {
		n := strings.IndexByte(l.text[l.at:offset], '\n')
		if n < 0 {
			l.number += strings.Count(l.text[l.at:offset], joined)
			l.at = offset
			return
		}
		l.number += strings.Count(l.text[l.at:l.at+n], joined)
		l.at += n + 1
		l.start = l.at
		if !strings.HasPrefix(l.text[l.at:], split) {
			l.number++
		}
	}
}

// Marks in an unfolded text, for counting its lines as they were: at the
// beginning of those that were none, and where two were joined.
const (
	split  = "\x00"
	joined = "\x01"
)

// line returns the line, or the beginning of a long one.
func (l *place) line() string {
	rest := l.text[l.start:min(len(l.text), l.start+window)]
	row, _, _ := strings.Cut(rest, "\n")
	return strings.TrimPrefix(row, split)
}

// accessLog returns the request ID of the next line of Envoy's own access log
// before the offset, in Envoy's or Istio's default format: both end in user
// agent, request ID, authority and upstream host, in quotes.
func (l *place) accessLog(before int) (f found, ok bool) {
	for {
		i := strings.Index(l.text[l.at:before], "[2")
		if i < 0 {
			return found{}, false
		}
		l.moveTo(l.at + i)
		rest := l.text[l.at:min(len(l.text), l.at+window)]
		l.at += len("[2")
		// A short look first: there may be a million of these.
		if !envoyLog.MatchString(rest[:min(len(rest), 1024)]) {
			continue
		}
		row, _, _ := strings.Cut(rest, "\n")
		l.moveTo(min(before, l.at+len(row)-len("[2")))
		quoted := quotedParts.FindAllStringSubmatch(row, -1)
		if len(quoted) < 4 {
			continue
		}
		if id := quoted[len(quoted)-3][1]; id != "-" && id != "" {
			return found{place: *l, name: "x-request-id", values: []string{id}}, true
		}
	}
}

var (
	envoyLog    = regexp.MustCompile(`^\[2\d{3}-\d\d-\d\dT[^\]]{0,32}\] "[A-Z]{1,16} \S+ HTTP/[0-9.]+" \d+ `)
	quotedParts = regexp.MustCompile(` "([^"]*)"`)
)

// unfold undoes what shells, programs and debuggers do to lines: it joins those
// that are continued, and splits those in which line ends are written out.
func unfold(text string) string {
	text = undump(text)
	if strings.Contains(text, "^\n") || strings.Contains(text, `^"`) {
		text = strings.NewReplacer("^\n", joined+" ", `^"`, `"`, "^%^", "%", "^&", "&", "^^", "^").Replace(text)
	}
	if strings.Contains(text, `\`) {
		for strings.Contains(text, `\\`) { // JSON in JSON in JSON
			text = strings.ReplaceAll(text, `\\`, `\`)
		}
		text = unescape.Replace(text)
	}
	if strings.Contains(text, "&quot;") || strings.Contains(text, "&#3") {
		text = html.UnescapeString(text)
	}
	if strings.Contains(text, " `\n") {
		text = strings.ReplaceAll(text, " `\n", joined+" ")
	}
	if strings.Contains(text, "=> Array") {
		text = phpList.ReplaceAllString(text, "=> $1"+strings.Repeat(joined, 3)+"\n")
	}
	if strings.Contains(text, "0000: ") && traceASCII.MatchString(text) {
		text = joinTrace(text)
	}
	return text
}

var unescape = strings.NewReplacer("\\\n", joined+" ", "\\r\\n\n", "\n", "\\n\n", "\n", `\r\n`, "\n"+split, `\n`, "\n"+split, `\r`, "\n"+split, `\t`, "\t", `\"`, `"`, `\'`, `'`, `\u0022`, `"`, `\u0027`, `'`, `\u003d`, "=")

// phpList is a value as PHP's print_r writes lists of one.
var phpList = regexp.MustCompile(`=> Array[ \t]*\n[ \t]*\([ \t]*\n[ \t]*\[0\] => (.*)\n[ \t]*\)\n\n?`)

// word says which bytes the names of headers are made of.
var word = func() (is [256]bool) {
	for c := range is {
		is[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
	}
	return is
}()

// mayBegin says which bytes the names that are looked for begin with.
var mayBegin = func() (may [256]bool) {
	for name := range kinds {
		may[name[0]] = true
	}
	for _, c := range "dhsu" { // downstream_, http_, span_id, uberctx-
		may[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		may[c-'a'+'A'] = may[c]
	}
	return may
}()

// nextName returns the next name of a header in the text, or no name, and the
// text's length, if there is none.
func nextName(text string, from int) (start, end int, name string) {
	for i := from; i < len(text); i++ {
		if !word[text[i]] {
			continue
		}
		start = i
		for i < len(text) && word[text[i]] {
			i++
		}
		// Options stand before the names in curl's -H and in bullets.
		for start < i && text[start] == '-' {
			start++
		}
		if start == i || !mayBegin[text[start]] {
			continue
		}
		if name, ok := canonical(text[start:i]); ok {
			return start, i, name
		}
		if rest, ok := strings.CutPrefix(text[start:i], "H"); ok {
			if name, ok := canonical(rest); ok && start > 0 && text[start-1] == '-' {
				return start + 1, i, name
			}
		}
	}
	return len(text), len(text), ""
}

// hasName reports whether the text names a header, be it behind a line end that
// is written out.
func hasName(text string) bool {
	if _, _, name := nextName(text, 0); name != "" {
		return true
	}
	if !strings.Contains(text, `\`) {
		return false
	}
	_, _, name := nextName(unescape.Replace(text), 0)
	return name != ""
}

// namedValue is the field that has the value where another has the name:
// name="traceparent" value="…", or in the line below.
var namedValue = regexp.MustCompile(`^[\s,;]*(?:- *)?["']?(?i:value|values|stringvalue)["']?[ \t]*[:=][ \t]*`)

// cells are the tags between a name and its value in a table of HTML.
var cells = regexp.MustCompile(`^(?:</\w+>\s*)+(?:<\w+[^<>]*>\s*)+`)

// wrapper is what programs write around values: Go's and PHP's lists, C's
// types, Erlang's binaries.
var wrapper = regexp.MustCompile(`^(?:\s*(?:\[\](?:string|any|interface ?\{\}) ?\{|Array\b|string\(\d+\)|\[\d+\] ?=>|<<|Some\(|[\[({]))+\s*|^[ \t]+`)

// absent are what programs write where there is no value.
var absent = map[string]bool{
	"-": true, "null": true, "NULL": true, "(null)": true, "nil": true, "<nil>": true, "None": true, "undefined": true, "~": true,
}

// reading is a header that is being read: where the reader is in the text, and
// what it has seen around the name.
type reading struct {
	found
	text   string
	at     int
	prefix string // of the line, before the name
	before byte   // the name, if it opens something; or 0
	outer  byte   // the quote before the name, or 0
	closed bool   // the quote or bracket before the name ends behind it
	first  bool   // nothing but marks stands before the name in its line
	sep    string // between name and value: below is the line's end
	open   byte   // the bracket that the value is in, or 0
}

const (
	below = "below"
	none  = "none"
	named = "value"
)

// header reads the value of the header whose name is the text from start to
// end. It returns where to go on, and reports false if there is no value. No
// values are those of a header that is said not to be there.
func (l *place) header(start, end int, name string) (f found, next int, ok bool) {
	r := &reading{found: found{place: *l, name: name}, text: l.text[:min(len(l.text), end+window)], at: end}
	r.prefix = "far from the line's start"
	if start-l.start <= 256 {
		r.prefix = strings.TrimPrefix(l.text[l.start:start], split)
	}
	r.first = strings.Trim(r.prefix, " \t>*<-+|#•") == ""
	if start > 0 && l.text[start-1] != '*' { // which is Markdown's bold
		r.before = l.text[start-1]
	}
	r.outer = quote(r.before)
	if !r.separator() {
		return r.found, end, false
	}
	if ok = r.value(); !ok {
		return r.found, end, false
	}
	return r.found, r.at, true
}

// separator goes past what stands between name and value. It reports false if
// that is nothing which does so in any language.
func (r *reading) separator() bool {
	end := r.at
	tag := false // an element of XML, or a binary of Erlang
	bracket := strings.HasSuffix(strings.TrimRight(r.prefix, `"'`), "[")
	for ; r.at < min(len(r.text), end+6); r.at++ {
		c := r.text[r.at]
		switch {
		case c == r.outer && c != 0:
			r.closed = true
			continue
		case c == '*' || c == ')':
			continue
		case c == ']' && bracket:
			r.closed, r.before = true, 0
			continue
		case c == '>' && (r.at == end || r.closed):
			tag = true
			continue
		}
		break
	}
	nameEnd := r.at
	r.skip(" \t")
	blanks := r.text[nameEnd:r.at]
	rest := r.text[r.at:]
	near := rest[:min(len(rest), 64)]
	closed := r.outer == 0 || r.closed
	take := func(sep string, n int) {
		r.sep = sep
		r.at += n
	}
	token := r.token()
	switch {
	case closed && namedValue.MatchString(near):
		take(named, len(namedValue.FindString(near)))
	case closed && cells.MatchString(near):
		take("cells", len(cells.FindString(near)))
	case strings.HasPrefix(rest, "=>"), strings.HasPrefix(rest, "->"), strings.HasPrefix(rest, ":="):
		take(rest[:2], 2)
	case strings.HasPrefix(rest, "→"):
		take("→", len("→"))
	case strings.HasPrefix(rest, "=="), strings.HasPrefix(rest, "::"):
		return false
	case strings.HasPrefix(rest, "="), strings.HasPrefix(rest, ":"):
		take(rest[:1], 1)
	case strings.HasPrefix(rest, "|") && strings.Contains(r.prefix, "|"):
		take("|", 1)
	case strings.HasPrefix(rest, ",") && (r.closed || tag || strings.IndexByte("[({", r.before) >= 0):
		take(",", 1)
	case (rest == "" || rest[0] == '\n') && r.first && closed && nameEnd == end:
		take(below, 0)
	case rest == "" || rest[0] == '\n' || !closed:
		return false
	case tag, strings.Contains(blanks, "\t"):
		take("\t", 0)
	case r.closed && blanks != "" && quote(rest[0]) != 0: // Lisps
		take(" ", 0)
	case r.first && len(blanks) > 1, blanks != "" && plausible(r.name, token): // columns
		take("  ", 0)
	default:
		return false
	}
	if slices.Contains(guessed[:], r.name) && r.sep != "=" && !r.closed {
		return false // not the field of a log
	}
	if r.sep == "=" && blanks == "" && strings.IndexAny(r.text[r.at:min(len(r.text), r.at+1)], " \t") == 0 {
		r.sep = none // a field of a log, without a value
		return true
	}
	r.skip(" \t")
	return true
}

// token returns what is up to the next blank.
func (r *reading) token() string {
	rest := r.text[r.at:min(len(r.text), r.at+128)]
	if n := strings.IndexAny(rest, " \t\n;,"); n >= 0 {
		return rest[:n]
	}
	return rest
}

// plausible reports whether a word behind a name is a value, and not the next
// word of a sentence.
func plausible(name, token string) bool {
	switch name {
	case "x-b3-sampled", "x-b3-flags":
		return token == "0" || token == "1"
	case "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", logTrace, logSpan:
		return isID(token, 16, 32)
	case "x-request-id":
		return likelyRequestID(token)
	}
	return bareTraceparent.MatchString(token) || bareB3.MatchString(token) || bareXRay.MatchString(token)
}

// value reads the value. It reports false if there is none.
func (r *reading) value() bool {
	if r.sep == none {
		return true
	}
	r.pair = r.sep == named
	empty := r.at >= len(r.text) || r.text[r.at] == '\n'
	if empty && r.at < len(r.text) {
		next := skip(r.text, r.at, " \t\n"+split)
		row, _, _ := strings.Cut(r.text[next:], "\n")
		switch {
		case r.sep == below, r.sep == ":" && r.first && isPanelValue(row, r.name):
			_, isName := canonical(strings.TrimRight(strings.TrimSpace(row), ":"))
			if !isName && row != "" && !headerLine.MatchString(row) && !strings.Contains(r.text[r.at:next], "\n\n") {
				r.values, r.line, r.at = []string{strings.TrimSpace(row)}, true, next+len(row)
				return true
			}
			if r.sep == below {
				return false
			}
		case r.sep == ":" && strings.HasPrefix(row, "- "): // YAML
			r.at, empty = next+len("- "), false
		case r.sep == ",", r.sep == "=>", r.closed && r.sep != "|":
			r.at, empty = next, false
		}
	}
	if r.sep == below {
		return false
	}
	for !empty && r.at < len(r.text) {
		around := wrapper.FindString(r.text[r.at:min(len(r.text), r.at+64)])
		if around == "" {
			break
		}
		if n := strings.LastIndexAny(around, "[({"); n >= 0 {
			r.open = around[n]
		}
		r.at += len(around)
	}
	if empty || r.at >= len(r.text) {
		// A header's line may be empty; a log's field that is has no header.
		if r.sep == ":" && (r.first || r.outer != 0) {
			r.values, r.line = []string{""}, true
		}
		return r.sep == ":" || r.sep == "="
	}
	if two := r.text[r.at:min(len(r.text), r.at+2)]; len(two) == 2 && (two[0] == 'b' || two[0] == 'u') && r.opens(two[1]) {
		r.at++ // Python's
	}
	if q := r.text[r.at]; r.opens(q) {
		r.quoted(q)
		switch {
		case len(r.values) == 1 && r.values[0] == "-" && r.sep != ",":
			r.values = nil
			return true
		case r.sep == "," || r.sep == " ":
			// A list of names has no values.
			_, isName := canonical(r.values[0])
			return !isName
		}
		return true
	}
	return r.unquoted()
}

// opens reports whether c is a quote that opens a value, and not the one that
// ends a name and its value together.
func (r *reading) opens(c byte) bool { return quote(c) != 0 && (r.closed || c != r.outer) }

// quoted reads a value in quotes, or all of a list.
func (r *reading) quoted(q byte) {
	for {
		rest := r.text[r.at+1:]
		n := strings.IndexAny(rest, string(q)+"\n")
		if n < 0 {
			n = len(rest)
		}
		r.values = append(r.values, strings.TrimSpace(rest[:n]))
		if r.at += 1 + n; r.at < len(r.text) && r.text[r.at] == q {
			r.at++
		}
		next := skip(r.text, r.at, " \t\n"+split)
		if r.open == 0 || next >= len(r.text) || r.text[next] != ',' {
			return
		}
		next = skip(r.text, next+1, " \t\n"+split)
		if next >= len(r.text) || r.text[next] != q {
			return
		}
		r.at = next
	}
}

// unquoted reads a value without quotes of its own, which ends where its form
// ends: at the line's end, at the quote or bracket that it stands in, or at what
// no ID has.
func (r *reading) unquoted() bool {
	r.line = r.sep == ":" && r.open == 0 && (r.first || r.outer != 0 && !r.closed)
	list := lists[r.name]
	until, enclosed := len(r.text), false
	stop := func(chars string) {
		if n := strings.IndexAny(r.text[r.at:until], chars); n >= 0 {
			until, enclosed = r.at+n, true
		}
	}
	stop("\n" + joined)
	enclosed = false
	switch {
	case r.outer != 0 && !r.closed:
		stop(string(r.outer))
	case r.open == '[', r.open != 0 && !list:
		stop(map[byte]string{'[': "]", '(': ")", '{': "}"}[r.open])
	case r.before == '|' && r.sep == ":": // Apache's
		stop("|")
	case r.first && r.sep == ":", r.sep == named:
		if until = r.cut(until); !list {
			stop("\t") // LTSV
			until = r.cutOther(until)
		}
	case !list:
		stop(" \t,\"'`|)}]&<>")
	case r.sep == "=":
		stop(" \t\"'`)}]")
	case r.before == '[':
		stop("]")
	default:
		stop("\"'`)}]<|")
		until = r.cutOther(r.cut(until))
	}
	value := strings.TrimSpace(r.text[r.at:until])
	if object, ok := strings.CutSuffix(value, ","); ok && absent[object] { // of JavaScript
		r.at = until
		return true
	}
	if !enclosed {
		value = strings.TrimSpace(strings.TrimRight(value, ",'\"`\\"))
	}
	if !r.line {
		value = strings.TrimRight(value, ";.,")
	}
	r.at = until
	_, isName := canonical(value)
	switch {
	case absent[value] && !r.line, value == "" && r.sep == "=":
		return true
	case value == "" && !r.line && r.open == 0, isName && r.sep == ",":
		return false
	case r.open == '[' && !list && value != "":
		r.values = strings.Fields(value)
	case r.open == '[':
		r.values = strings.Split(goLines.ReplaceAllString(value, "$1\n$2"), "\n")
	default:
		r.values = []string{value}
	}
	return true
}

// goLines is where the next line of a list begins in what Go prints of several:
// [a=1,b=2 c=3]. A blank within a member has no key behind it, and one between
// members a comma before it.
var goLines = regexp.MustCompile(`([^\s,;=])[ \t]+([^\s,;=]+=)`)

// otherHeader is where a header that is none of traces begins in a line.
var otherHeader = regexp.MustCompile(`[,;]\s*:?[A-Za-z][A-Za-z0-9-]*: `)

// cutOther returns where such a header begins in the line that ends at until.
func (r *reading) cutOther(until int) int {
	if next := otherHeader.FindStringIndex(r.text[r.at:until]); next != nil {
		return r.at + next[0]
	}
	return until
}

// cut returns where the next header begins in the line that ends at until.
func (r *reading) cut(until int) int {
	row := r.text[r.at:until]
	for at := 0; ; {
		start, end, name := nextName(row, at)
		if name == "" {
			return until
		}
		if at = end; start > 0 && end < len(row) && (row[end] == ':' || row[end] == '=') && strings.IndexByte(" \t,;|", row[start-1]) >= 0 {
			return r.at + len(strings.TrimRight(row[:start], " \t,;|"))
		}
	}
}

func (r *reading) skip(chars string) { r.at = skip(r.text, r.at, chars) }

func skip(text string, i int, chars string) int {
	for i < len(text) && strings.IndexByte(chars, text[i]) >= 0 {
		i++
	}
	return i
}

func quote(c byte) byte {
	if c == '"' || c == '\'' || c == '`' {
		return c
	}
	return 0
}

var headerLine = regexp.MustCompile(`^[>< \t]*:?[A-Za-z0-9!#$%&'*+.^_\x60|~-]+:([ \t]|$)`)

// isPanelValue reports whether the line below a name and a colon is its value,
// as browsers' panels are copied.
func isPanelValue(row, name string) bool {
	row = strings.TrimSpace(row)
	return row != "" && (lists[name] || !strings.ContainsAny(row, " \t")) && strings.Trim(row, "{}[]()<>-") != ""
}

// grouper puts the headers of a text that belong together into messages.
type grouper struct {
	paste   *paste
	title   string // of the text that this one is part of
	open    *message
	asLines map[string]bool // the headers of it that are lines
	last    place           // the line of its last header
	pairs   bool            // its last header is a pair of fields
	own     bool            // it is one line
	started string          // a request or status line that came before
}

// add adds the headers of a line.
func (g *grouper) add(row []found) {
	if len(row) == 0 {
		return
	}
	at := row[0].place
	record := len(row) > 1 // a line of a log has a request's headers by itself
	ended := g.boundary(at)
	for _, f := range row {
		repeated := g.open != nil && g.open.has(f.name) && f.start != g.last.start && (!f.line || !g.asLines[f.name])
		if g.open == nil || ended || g.own || record && f.start != g.last.start || repeated {
			g.begin(at, record)
			ended = false
		}
		g.open.put(f.name, f.values...)
		if f.line {
			g.asLines[f.name] = true
		}
		g.last, g.pairs = f.place, f.pair
		g.own = false
	}
	g.own = record
}

func (g *grouper) begin(at place, record bool) {
	title := fmt.Sprintf("Line %d", at.number)
	switch {
	case g.title != "":
		title = g.title
	case g.started != "" && !record:
		title = g.started + fmt.Sprintf(" (line %d)", at.number)
	}
	g.open = g.paste.begin(title)
	g.asLines = make(map[string]bool)
}

var (
	startLine = regexp.MustCompile(`HTTP/[0-9.]+ [0-9]{3}\b[^"]*|\b[A-Z]{3,7} \S+ HTTP/[0-9.]+`)
	command   = regexp.MustCompile(`^\W*(?:\w+@\S+ )?(?:curl(?:\.exe)?|http|https|wget|grpcurl|fetch|await fetch|Invoke-\w+)[ (]`)
)

// boundary reports whether another message begins between the last header and
// the line.
func (g *grouper) boundary(at place) bool {
	const far = 16 << 10
	if g.open == nil {
		g.last.start = max(0, at.start-far)
	}
	ended := false
	between := at.text[g.last.start:at.start]
	if len(between) > far {
		ended, between = true, between[len(between)-far:]
	}
	between += at.line()
	direction := byte(0)
	i := 0
	for row := range strings.Lines(between) {
		row = strings.TrimPrefix(strings.TrimRight(row, "\n"), split)
		marked := byte(0)
		if len(row) > 0 && strings.IndexByte("><*", row[0]) >= 0 && (len(row) == 1 || row[1] == ' ') {
			marked = row[0]
		}
		if i > 0 {
			if marked != direction || strings.Trim(row, " \t><*") == "" || command.MatchString(row) || !g.pairs && row != "" && strings.IndexByte("}]", row[0]) >= 0 {
				ended, g.started = true, ""
			}
		}
		direction = marked
		if strings.Contains(row, "HTTP/") {
			if start := startLine.FindString(row); start != "" && (i > 0 || g.open == nil) {
				ended, g.started = true, start
			}
		}
		i++
	}
	return ended
}
