package main

import (
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
)

// hexRow is a row of a hex dump: where it is, and its bytes by one, two or more,
// as curl --trace, tcpdump -X, xxd, hexdump -C and Wireshark write them.
var hexRow = regexp.MustCompile(`^\s*(?:0x)?([0-9a-fA-F]{4,8})(?:: ?| ) *((?:[0-9a-fA-F]{2}){1,2}(?:  ?(?:[0-9a-fA-F]{2}){1,2}){0,15})(?:\s|$)`)

// undump puts the text of hex dumps in their place. The bytes of a dump follow
// each other, which what only looks like one does not do for two rows.
func undump(text string) string {
	if !strings.Contains(text, "0000") {
		return text
	}
	var out, dump strings.Builder
	var raw []string // the rows that dump is of
	next := 0        // where the dump goes on
	flush := func() {
		switch len(raw) {
		case 0:
		case 1:
			out.WriteString(raw[0] + "\n")
		default:
			out.WriteString(printableDump(dump.String()) + strings.Repeat(joined, len(raw)-1) + "\n")
		}
		raw = raw[:0]
		dump.Reset()
	}
	for row := range strings.Lines(text) {
		row = strings.TrimSuffix(row, "\n")
		at, bytes, ok := hexBytes(row)
		if len(raw) > 0 && (!ok || at != next) {
			flush()
		}
		if !ok || len(raw) == 0 && at != 0 {
			out.WriteString(row + "\n")
			continue
		}
		raw = append(raw, row)
		dump.Write(bytes)
		next = at + len(bytes)
	}
	flush()
	return out.String()
}

// hexBytes returns the bytes of a row, at most 16, and where they are.
func hexBytes(row string) (at int, bytes []byte, ok bool) {
	const longest = 16
	m := hexRow.FindStringSubmatch(row[:min(len(row), 128)])
	if m == nil {
		return 0, nil, false
	}
	n, err := strconv.ParseUint(m[1], 16, 32)
	if err != nil {
		return 0, nil, false
	}
	digits := strings.ReplaceAll(m[2], " ", "")
	bytes, err = hex.DecodeString(digits[:min(len(digits), 2*longest)])
	return int(n), bytes, err == nil
}

// printableDump makes lines of the bytes, with blanks for what is no text.
func printableDump(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.Map(func(c rune) rune {
		if c == '\n' || c >= ' ' && c <= '~' {
			return c
		}
		return ' '
	}, s)
	return strings.ReplaceAll(s, "\n", "\n"+split)
}

// traceASCII is a line of curl --trace-ascii, which it breaks after 64
// characters.
var traceASCII = regexp.MustCompile(`(?m)^[0-9a-f]{4,8}: .{64}$`)

// joinTrace joins the lines that curl broke.
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
