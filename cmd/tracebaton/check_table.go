package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tracebaton/tracebaton/internal/hop"
)

// writeRows writes a table within the width of the terminal: the values give
// way.
func writeRows(b *bytes.Buffer, e env, rows []hop.Row) {
	cells := [][4]string{{"HEADER", "SENT", "ARRIVED", "BECAME"}}
	for _, row := range rows {
		arrived := value(row.Arrived)
		if slices.Equal(row.Sent, row.Arrived) {
			arrived = "the same"
		}
		became := row.Became
		if !row.Promised {
			became += " (not asked for)"
		}
		cells = append(cells, [4]string{row.Name, value(row.Sent), arrived, became})
	}
	var widths [4]int
	for _, c := range cells {
		for i := range c {
			widths[i] = max(widths[i], utf8.RuneCountInString(c[i]))
		}
	}
	room := 80
	if e.width > 0 {
		room = e.width
	}
	// Two values share what the other columns leave over.
	room -= widths[0] + widths[3] + 3*2
	for widths[1]+widths[2] > room && max(widths[1], widths[2]) > 12 {
		if widths[1] >= widths[2] {
			widths[1]--
		} else {
			widths[2]--
		}
	}
	for i, c := range cells {
		line := ""
		for j := range 3 {
			text := shorten(c[j], widths[j])
			line += text + strings.Repeat(" ", widths[j]-utf8.RuneCountInString(text)+2)
		}
		switch {
		case i == 0:
			b.WriteString(e.paint(bold, line+c[3]))
		case !rows[i-1].Promised:
			b.WriteString(e.paint(faint, line+c[3]))
		default:
			b.WriteString(line + e.paint(rowColor(rows[i-1]), c[3]))
		}
		b.WriteByte('\n')
	}
}

func rowColor(row hop.Row) style {
	switch {
	case row.Wrong:
		return red
	case row.Became == hop.RowStale, row.Became == hop.RowLeftOut:
		return amber
	}
	return green
}

// asked returns the rows to show, and the families that nobody asked for and of
// which nothing arrived.
func asked(all []hop.Row) (rows []hop.Row, left []string) {
	hide := make(map[string]bool)
	for _, f := range hop.Known {
		lost := 0
		for _, row := range all {
			if !slices.Contains(f.Headers, row.Name) {
				continue
			}
			if row.Promised || row.Became != hop.RowLost {
				lost = -len(f.Headers)
			}
			lost++
		}
		if lost > 0 {
			left = append(left, f.Name)
			for _, name := range f.Headers {
				hide[name] = true
			}
		}
	}
	for _, row := range all {
		if !hide[row.Name] {
			rows = append(rows, row)
		}
	}
	return rows, left
}

// value returns what fits into a table.
func value(values []string) string {
	switch {
	case len(values) == 0:
		return "-"
	case len(values) == 1 && values[0] == "":
		return "(empty)"
	}
	v := printable(values[0])
	if n := len(values) - 1; n > 0 {
		v = shorten(v, 36) + fmt.Sprintf(" (and %d more)", n)
	}
	return v
}
