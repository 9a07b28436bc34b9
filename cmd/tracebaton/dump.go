package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

const (
	maxDump = 1 << 20 // bytes of standard input
	maxJSON = 64      // JSON values that are looked for in it
)

// message is the headers that belong together in a dump.
type message struct {
	title  string
	header http.Header
}

var (
	escapes   = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")
	startLine = regexp.MustCompile(`^(HTTP/[0-9.]+ [0-9]{3}|[A-Z]+ \S+ HTTP/[0-9.]+)`)
	field     = regexp.MustCompile("^([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*(.*)$")
)

// readDump finds headers in what a client printed.
func readDump(dump []byte) []message {
	var messages []message
	var open *message // which the lines belong to
	begin := func(title string) {
		messages = append(messages, message{title: title, header: make(http.Header)})
		open = &messages[len(messages)-1]
	}
	var direction byte
	tries := maxJSON
	for rest := escapes.ReplaceAll(dump, nil); len(rest) > 0; {
		if rest[0] == '{' && open == nil && tries > 0 {
			tries--
			h, n := readJSON(rest)
			for _, header := range h {
				begin("The headers in a JSON object")
				open.header = header
			}
			if open = nil; n > 0 {
				rest = rest[n:]
				continue
			}
		}
		raw, more, _ := bytes.Cut(rest, []byte("\n"))
		rest = more
		line := strings.TrimRight(string(raw), "\r")
		if len(line) > 1 && (line[:2] == "> " || line[:2] == "< ") || line == ">" || line == "<" {
			if line[0] != direction {
				direction, open = line[0], nil
			}
			line = strings.TrimPrefix(line[1:], " ")
		}
		switch f := field.FindStringSubmatch(line); {
		case strings.TrimSpace(line) == "":
			open = nil
		case startLine.MatchString(line):
			begin(line)
		case f != nil:
			if open == nil {
				begin("Headers")
			}
			open.header.Add(f[1], strings.TrimSpace(f[2]))
		}
	}
	return messages
}

// readJSON returns the objects with strings in them in the JSON value that
// begins b, and the value's length, or 0 if none does.
func readJSON(b []byte) (headers []http.Header, n int) {
	dec := json.NewDecoder(bytes.NewReader(b))
	var v map[string]any
	if dec.Decode(&v) != nil {
		return nil, 0
	}
	var walk func(map[string]any)
	walk = func(object map[string]any) {
		h := make(http.Header)
		for _, name := range slices.Sorted(maps.Keys(object)) {
			switch value := object[name].(type) {
			case string:
				h.Add(name, value)
			case []any:
				for _, member := range value {
					if s, ok := member.(string); ok {
						h.Add(name, s)
					}
				}
			case map[string]any:
				walk(value)
			}
		}
		if len(h) > 0 {
			headers = append(headers, h)
		}
	}
	walk(v)
	return headers, int(dec.InputOffset())
}
