package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tracebaton/tracebaton/internal/wire"
)

// read finds headers in a text: in the JSON values that stand in it, by their
// fields, and in all else by the scanner. The first line has the number.
func (p *paste) read(text string, number int, title string, nesting int) {
	// What does not end is read again from the next line that may begin JSON;
	// so much of that, and no more.
	budget := 4*len(text) + 1<<16
	from, fromNumber := 0, number // what comes before is read
	counted := 0
	// lineOf returns the number of the line that an offset is in. Offsets grow.
	lineOf := func(offset int) int {
		number += strings.Count(text[counted:offset], "\n")
		counted = offset
		return number
	}
	for at := 0; at < len(text) && p.names < maxNames; {
		end := len(text)
		if n := strings.IndexByte(text[at:], '\n'); n >= 0 {
			end = at + n
		}
		row := text[at:end]
		i := beginsJSON(row)
		// A line of JSON without names need not be decoded, which takes its time.
		whole := strings.HasSuffix(row, "}") && !hasName(row)
		if i < 0 || whole || budget <= 0 {
			at = end + 1
			continue
		}
		value, n := decodeJSON(text[at+i:], &budget)
		if n == 0 {
			at = end + 1
			continue
		}
		begin := at + i
		at = begin + n
		if !hasName(text[begin:at]) {
			continue
		}
		where := title
		if where == "" {
			where = fmt.Sprintf("JSON in line %d", lineOf(begin))
		}
		q := &paste{names: p.names, looked: p.looked, line: lineOf(begin)}
		if q.walk(value, where, "", nil, nesting); len(q.messages) == 0 && len(q.unread) == 0 {
			p.looked = q.looked
			continue // a list in a program, perhaps, whose names the scanner knows
		}
		p.scan(text[from:begin], fromNumber, title)
		from, fromNumber = at, lineOf(at)
		p.messages, p.unread = append(p.messages, q.messages...), append(p.unread, q.unread...)
		p.names, p.looked, p.more = q.names, q.looked, p.more || q.more
	}
	p.scan(text[from:], fromNumber, title)
}

// beginsJSON returns where in a line a JSON object or array may begin, or -1:
// at its start, or behind what a log puts in front of it.
func beginsJSON(row string) int {
	for i := 0; i < len(row); i++ {
		c := row[i]
		if c != '{' && c != '[' {
			continue
		}
		rest := strings.TrimLeft(row[i+1:], " \t")
		switch {
		case rest == "":
			return i
		case c == '{' && (rest[0] == '"' || rest[0] == '}'):
			return i
		case c == '[' && (rest[0] == '{' || rest[0] == '"' || rest[0] == '['):
			return i
		}
	}
	return -1
}

// decodeJSON returns the value that begins the text and its length, or 0. It
// takes what it read from the budget.
func decodeJSON(text string, budget *int) (v any, n int) {
	r := strings.NewReader(text)
	dec := json.NewDecoder(r)
	dec.UseNumber()
	err := dec.Decode(&v)
	*budget -= len(text) - r.Len()
	if err != nil {
		return nil, 0
	}
	return v, int(dec.InputOffset())
}

// walk finds headers in a JSON value: those that are fields of an object, those
// that a list has as pairs of name and value, and spans. Into is the message of
// the span that the value belongs to, or nil.
func (p *paste) walk(v any, where, path string, into *message, nesting int) {
	if p.names >= maxNames {
		p.more = true
		return
	}
	switch v := v.(type) {
	case string:
		if nesting < maxNesting && !isName(v) && hasName(v) {
			p.read(v, p.line, at(where, path), nesting+1)
		}
	case []any:
		if pairs := pairsOf(v); len(pairs) > 0 {
			m := into
			if m == nil {
				m = p.begin(at(where, path))
			}
			for _, pair := range pairs {
				p.names++
				m.put(pair.name, pair.values...)
			}
			return
		}
		for i, member := range v {
			p.walk(member, where, path+"["+strconv.Itoa(i)+"]", nil, nesting)
		}
	case map[string]any:
		p.walkObject(v, where, path, into, nesting)
	}
}

func (p *paste) walkObject(object map[string]any, where, path string, m *message, nesting int) {
	span, isSpan := readSpan(object)
	title := at(where, path)
	for _, key := range []string{"name", "operationName"} {
		if name, ok := object[key].(string); ok && isSpan {
			title += " " + name
		}
	}
	var below []string // keys of what is no header
	for _, key := range slices.Sorted(maps.Keys(object)) {
		name, known := canonical(lastWord(key))
		if isSpan && (name == logTrace || name == logSpan || name == "tracestate") {
			continue // the span's, and no header
		}
		values, ok := []string(nil), false
		if known {
			values, ok = texts(object[key])
		}
		switch {
		case !ok:
			below = append(below, key)
		case len(values) > 0:
			if m == nil {
				m = p.begin(title)
			}
			p.names++
			m.put(name, values...)
		}
	}
	if isSpan {
		if m == nil {
			m = p.begin(title)
		}
		p.names++
		m.spans = append(m.spans, span)
	}
	for _, key := range below {
		into := (*message)(nil)
		switch {
		case isSpan && (key == "tags" || key == "attributes"):
			into = m // sidecars and tracers write headers into spans
		case isSpan && (key == "references" || key == "links"):
			continue // they name other spans
		}
		p.walk(object[key], where, path+"."+key, into, nesting)
	}
}

// at says where in JSON a value is.
func at(where, path string) string {
	if path = strings.TrimPrefix(path, "."); path == "" {
		return where
	}
	return where + ": " + path
}

// lastWord returns the name of a header in a key such as
// http.request.header.traceparent or guid:x-request-id.
func lastWord(key string) string {
	return key[strings.LastIndexAny(key, ".:/ ")+1:]
}

// readSpan returns the span that an object of Jaeger's, OTLP's or Zipkin's JSON,
// or a log line, is of.
func readSpan(object map[string]any) (wire.Context, bool) {
	get := func(keys ...string) string {
		for _, key := range keys {
			if s, ok := object[key].(string); ok && s != "" {
				return s
			}
		}
		return ""
	}
	trace := get("traceID", "traceId", "trace_id", "traceid")
	span := get("spanID", "spanId", "span_id", "spanid")
	if span == "" && (object["kind"] != nil || object["parentId"] != nil || object["localEndpoint"] != nil) {
		span = get("id") // Zipkin's
	}
	if !isID(trace, 16, 32) || !isID(span, 16) {
		return wire.Context{}, false
	}
	parent := get("parentSpanId", "parentSpanID", "parentId", "parent_span_id")
	if references, ok := object["references"].([]any); ok && len(references) > 0 {
		if first, ok := references[0].(map[string]any); ok {
			parent, _ = first["spanID"].(string)
		}
	}
	if !isID(parent, 16) {
		parent = ""
	}
	return spanOf("the span", trace, span, parent), true
}

// texts returns the values of a header in JSON, which may be a number, or a
// list, and none if the header is not there. It reports false if v is something
// else.
func texts(v any) (values []string, ok bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case string:
		if v == "-" { // what logs have for none
			return nil, true
		}
		return []string{strings.TrimSpace(v)}, true
	case json.Number:
		return []string{v.String()}, true
	case bool:
		return []string{strconv.FormatBool(v)}, true
	case []any:
		for _, member := range v {
			one, ok := texts(member)
			if !ok {
				return nil, false
			}
			values = append(values, one...)
		}
		return values, true
	case map[string]any:
		// OTLP's values, and lists of them.
		for _, key := range []string{"stringValue", "intValue", "arrayValue", "values", "value"} {
			if inner, ok := v[key]; ok {
				return texts(inner)
			}
		}
	}
	return nil, false
}

type pair struct {
	name   string
	values []string
}

// pairsOf returns the headers in a list of names and values: objects, as HAR,
// OTLP and Envoy's taps have them, lists of two, or both in turn, as Node's
// rawHeaders.
func pairsOf(list []any) (pairs []pair) {
	for i, member := range list {
		var key, value any
		switch member := member.(type) {
		case map[string]any:
			key = first(member, "name", "key", "Name", "Key")
			value = first(member, "value", "Value", "values")
		case []any:
			if len(member) == 2 {
				key, value = member[0], member[1]
			}
		case string:
			// A list of names has no values, which have digits.
			if i+1 < len(list) {
				if next, ok := list[i+1].(string); ok && strings.ContainsAny(next, "0123456789") {
					key, value = member, next
				}
			}
		}
		text, ok := key.(string)
		if !ok || value == nil {
			continue
		}
		name, ok := canonical(lastWord(text))
		if !ok || isName(value) {
			continue
		}
		if values, ok := texts(value); ok && len(values) > 0 {
			pairs = append(pairs, pair{name, values})
		}
	}
	return pairs
}

func isName(v any) bool {
	s, ok := v.(string)
	if ok {
		_, ok = canonical(s)
	}
	return ok
}

// first returns the first of the fields that the object has.
func first(object map[string]any, fields ...string) any {
	for _, field := range fields {
		if v, ok := object[field]; ok {
			return v
		}
	}
	return nil
}
