package main

import (
	"fmt"
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
	if strings.Contains(text, "^\n") || strings.Contains(text, `^"`) {
		text = strings.NewReplacer("^\n", joined+" ", `^"`, `"`, "^%^", "%", "^&", "&", "^^", "^").Replace(text)
	}
	if strings.Contains(text, `\`) {
		text = unescape.Replace(text)
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

var unescape = strings.NewReplacer("\\\n", joined+" ", "\\r\\n\n", "\n", "\\n\n", "\n", `\r\n`, "\n"+split, `\n`, "\n"+split, `\r`, "\n"+split, `\t`, "\t", `\"`, `"`, `\'`, `'`)

// phpList is a value as PHP's print_r writes lists of one.
var phpList = regexp.MustCompile(`=> Array[ \t]*\n[ \t]*\([ \t]*\n[ \t]*\[0\] => (.*)\n[ \t]*\)\n\n?`)

// traceASCII is a line of curl --trace-ascii, which it breaks after 64
// characters.
var traceASCII = regexp.MustCompile(`(?m)^[0-9a-f]{4,8}: .{64}$`)

func joinTrace(text string) string {
	var b strings.Builder
	for row := range strings.Lines(text) {
		row = strings.TrimSuffix(row, "\n")
		offset, rest, ok := strings.Cut(row, ": ")
		if !ok || !isID(offset, 4, 5, 6, 7, 8) {
			b.WriteString(row + "\n")
			continue
		}
		b.WriteString(rest)
		if len(rest) != 64 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

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
	for _, c := range "hsu" { // http_, span_id, uberctx-
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

// header reads the value of the header whose name is the text from start to
// end. It returns where to go on, and reports false if there is no value. No
// values are those of a header that is said not to be there.
func (l *place) header(start, end int, name string) (f found, next int, ok bool) {
	f = found{place: *l, name: name}
	text := l.text[:min(len(l.text), end+window)]
	prefix := ""
	if start-l.start <= 256 {
		prefix = l.text[l.start:start]
	} else {
		prefix = "far" // from the start of the line
	}
	first := strings.Trim(prefix, " \t>*<-+|#•"+split) == ""
	var before byte
	if start > 0 {
		before = text[start-1]
	}
	if before == '*' { // Markdown's bold
		before = 0
	}
	outer := quote(before)

	// What closes the name.
	i, closed, angle := end, false, false
	for ; i < len(text) && i < end+6; i++ {
		switch c := text[i]; {
		case c == outer && outer != 0:
			closed = true
			continue
		case c == '*' || c == ')':
			continue
		case c == ']' && (strings.HasSuffix(prefix, "[") || strings.HasSuffix(prefix, `["`) || strings.HasSuffix(prefix, "['")):
			closed = true
			before = 0
			continue
		case c == '>' && (i == end || text[i-1] == '>' || closed):
			angle = true
			continue
		}
		break
	}
	afterName := i
	i = skip(text, i, " \t")
	tight := i == afterName
	tab := strings.Contains(text[afterName:i], "\t")

	// What stands between name and value.
	sep := ""
	rest := text[i:]
	switch {
	case namedValue.MatchString(rest[:min(len(rest), 64)]) && (outer == 0 || closed):
		i += len(namedValue.FindString(rest[:min(len(rest), 64)]))
		sep = "value"
	case hasAnyPrefix(rest, "=>", "->", ":=") != "":
		sep = rest[:2]
		i += 2
	case strings.HasPrefix(rest, "→"):
		sep = "→"
		i += len(sep)
	case strings.HasPrefix(rest, "=="), strings.HasPrefix(rest, "::"):
		return f, end, false
	case hasAnyPrefix(rest, "=", ":") != "":
		sep = rest[:1]
		i++
	case strings.HasPrefix(rest, "|") && strings.Contains(prefix, "|"):
		sep = "|"
		i++
	case strings.HasPrefix(rest, ",") && (closed || before == '[' || before == '(' || before == '{' || angle):
		sep = ","
		i++
	case (rest == "" || rest[0] == '\n') && first && (outer == 0 || closed) && afterName == end:
		sep = "below"
	case tab && first, angle && rest != "":
		sep = "\t"
	case closed && i > afterName && rest != "" && quote(rest[0]) != 0:
		sep = " "
	default:
		return f, end, false
	}
	if guess := slices.Contains(guessed[:], name); guess && sep != "=" && !closed {
		return f, end, false // not the field of a log
	}
	if sep == "=" && tight && i < len(text) && (text[i] == ' ' || text[i] == '\t') {
		return f, i, true // a field of a log, without a value
	}
	i = skip(text, i, " \t")

	// Values in the lines below.
	ends := i >= len(text) || text[i] == '\n'
	if ends && i < len(text) {
		below := skip(text, i, " \t\n"+split)
		nextRow, _, _ := strings.Cut(text[below:], "\n")
		switch {
		case sep == "below" || sep == ":" && first && panelValue(nextRow, name):
			if _, isName := canonical(strings.TrimRight(strings.TrimSpace(nextRow), ":")); isName || isHeaderLine(nextRow) || nextRow == "" || strings.Contains(text[i:below], "\n\n") {
				if sep == "below" {
					return f, end, false
				}
				break
			}
			value := strings.TrimSpace(nextRow)
			f.line = true
			f.values = []string{value}
			return f, below + len(nextRow), true
		case sep == ":" && strings.HasPrefix(nextRow, "- "):
			i, ends = below+2, false
		case sep == "," || sep == "=>" || closed && sep != "|":
			i, ends = below, false
		}
	}
	if sep == "below" {
		return f, end, false
	}
	bracket := byte(0)
	for !ends && i < len(text) {
		if n := len(wrapper.FindString(text[i:min(len(text), i+64)])); n > 0 {
			if strings.ContainsAny(text[i:i+n], "[({") {
				bracket = text[i+strings.LastIndexAny(text[i:i+n], "[({")]
			}
			i += n
			continue
		}
		break
	}
	if i >= len(text) || ends {
		// A header line may be empty; a field of a log that is has no header.
		if sep == ":" && (first || outer != 0) {
			f.values, f.line = []string{""}, true
		}
		return f, i, sep == ":" || sep == "="
	}

	if q := quote(text[i]); q != 0 && !(outer == q && !closed) {
		values, next := quotedValues(text, i, q, bracket != 0)
		if _, isName := canonical(values[0]); isName && (sep == "," || sep == " ") {
			return f, end, false
		}
		if len(values) == 1 && values[0] == "-" && sep != "," {
			values = nil
		}
		f.values = values
		return f, next, true
	}
	f.line = sep == ":" && bracket == 0 && (first || outer != 0 && !closed)
	until, bare := len(text), false
	enclosed := false
	stop := func(chars string) {
		if n := strings.IndexAny(text[i:until], chars); n >= 0 {
			until, enclosed = i+n, true
		}
	}
	stop("\n" + joined)
	enclosed = false
	switch {
	case outer != 0 && !closed:
		stop(string(outer))
	case bracket != 0 && !lists[name] || bracket == '[':
		stop(map[byte]string{'[': "]", '(': ")", '{': "}"}[bracket])
	case before == '|' && sep == ":":
		stop("|")
	case sep == ":" && first, sep == "value", sep == "\t" && !angle:
		cutAtName(text, i, &until)
	case lists[name]:
		switch {
		case sep == "=" && before != '{':
			stop(" \t\"'`)}]")
		case before == '[':
			stop("]")
		default:
			stop("\"'`)}]<|")
		}
		cutAtName(text, i, &until)
	default:
		bare = true
		stop(" \t,\"'`|)}]&<>")
	}
	value := strings.TrimSpace(text[i:until])
	if !enclosed {
		value = strings.TrimSpace(strings.TrimRight(value, ",'\"`\\"))
	}
	if bare || !f.line {
		value = strings.TrimRight(value, ";.")
	}
	switch {
	case absent[value] && !f.line, value == "" && sep == "=":
		return f, until, true
	case value == "" && !f.line && bracket == 0:
		return f, end, false
	case bracket == '[' && !lists[name]:
		f.values = strings.Fields(value)
		if value == "" {
			f.values = []string{""}
		}
	default:
		f.values = []string{value}
	}
	if _, isName := canonical(value); isName && sep == "," {
		return f, end, false
	}
	return f, until, true
}

// absent are what programs write where there is no value.
var absent = map[string]bool{
	"-": true, "null": true, "NULL": true, "(null)": true, "nil": true, "<nil>": true, "None": true, "undefined": true, "~": true,
}

// wrapper is what programs write around values: Go's and PHP's lists, C's
// types, Python's bytes.
var wrapper = regexp.MustCompile(`^(?:\s*(?:\[\](?:string|any|interface ?\{\}) ?\{|Array\b|string\(\d+\)|\[\d+\] ?=>|<<|Some\(|[\[({]))+\s*|^[ \t]+|^[bu]$|^[bu]["']`)

func quote(c byte) byte {
	if c == '"' || c == '\'' || c == '`' {
		return c
	}
	return 0
}

func skip(text string, i int, chars string) int {
	for i < len(text) && strings.IndexByte(chars, text[i]) >= 0 {
		i++
	}
	return i
}

func hasAnyPrefix(s string, prefixes ...string) string {
	for _, prefix := range prefixes {
		if strings.HasPrefix(s, prefix) {
			return prefix
		}
	}
	return ""
}

// quotedValues returns the value in quotes that begins at i, or all of a list.
func quotedValues(text string, i int, q byte, list bool) (values []string, next int) {
	for {
		i++
		rest := text[i:]
		n := strings.IndexByte(rest, q)
		if row := strings.IndexByte(rest, '\n'); n < 0 || row >= 0 && row < n {
			// The quote is not closed.
			if n = row; n < 0 {
				n = len(rest)
			}
		}
		values = append(values, strings.TrimSpace(rest[:n]))
		i += n
		if i < len(text) && text[i] == q {
			i++
		}
		after := skip(text, i, " \t\n"+split)
		if !list || after >= len(text) || text[after] != ',' {
			return values, i
		}
		after = skip(text, after+1, " \t\n"+split)
		if after >= len(text) || text[after] != q {
			return values, i
		}
		i = after
	}
}

// cutAtName ends a value where the next header begins in the same line.
func cutAtName(text string, i int, until *int) {
	row := text[i:*until]
	for at := 0; ; {
		start, end, name := nextName(row, at)
		if name == "" {
			return
		}
		at = end
		if start == 0 || end >= len(row) || row[end] != ':' && row[end] != '=' || strings.IndexByte(" \t,;|", row[start-1]) < 0 {
			continue
		}
		*until = i + len(strings.TrimRight(row[:start], " \t,;|"))
		return
	}
}

var headerLine = regexp.MustCompile(`^[>< \t]*:?[A-Za-z0-9!#$%&'*+.^_|~-]+:([ \t]|$)`)

// isHeaderLine reports whether a line is a header, so that one above it without
// a value is an empty one.
func isHeaderLine(row string) bool { return headerLine.MatchString(row) }

// panelValue reports whether the line below a name and a colon is its value, as
// browsers' panels are copied.
func panelValue(row, name string) bool {
	row = strings.TrimSpace(row)
	return row != "" && !isHeaderLine(row) && (lists[name] || !strings.ContainsAny(row, " \t")) && strings.Trim(row, "{}[]()<>-") != ""
}

// grouper puts the headers of a text that belong together into messages.
type grouper struct {
	paste   *paste
	title   string // of the text that this one is part of
	open    *message
	asLines map[string]bool // the headers of it that are lines
	last    place           // the line of its last header
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
		repeated := g.open != nil && g.open.has(f.name) && f.start != g.last.start && !(f.line && g.asLines[f.name])
		if g.open == nil || ended || g.own || record && f.start != g.last.start || repeated {
			g.begin(at, record)
			ended = false
		}
		g.open.put(f.name, f.values...)
		if f.line {
			g.asLines[f.name] = true
		}
		g.last = f.place
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
			if marked != direction || strings.Trim(row, " \t><*") == "" || command.MatchString(row) || strings.HasPrefix(row, "}") || strings.HasPrefix(row, "]") {
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
