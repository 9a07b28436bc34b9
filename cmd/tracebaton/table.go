package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tracebaton/tracebaton/internal/hop"
	"github.com/tracebaton/tracebaton/propagation"
)

func (r *checkReport) writeJSON(e env) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return err
	}
	_, err := b.WriteTo(e.stdout)
	return err
}

func (r *checkReport) writeText(e env) error {
	var b bytes.Buffer
	if len(r.Probes) > 0 && r.Probes[0].Calls > 0 {
		r.Probes[0].writeTable(&b, e)
		b.WriteByte('\n')
	}
	switch r.Verdict {
	case "whole":
		fmt.Fprintln(&b, wrapTail(e.paint(green, "Whole."), "Whole.", "What must arrive did, with "+hop.And(names(r.Probes))+"."))
	case "unknown":
		fmt.Fprintf(&b, "%s\n", wrapTail(e.paint(amber, "Could not tell:"), "Could not tell:", r.Reason+"."))
	default:
		fmt.Fprintf(&b, "%s %s\n", e.paint(red, "Broken."), count(len(r.Faults), "fault"))
		for i, f := range r.Faults {
			fmt.Fprintf(&b, "\n%d. %s\n", i+1, e.paint(bold, strings.TrimSpace(wrap(upper(printable(f.What))+" (with "+f.Probe+").", "   "))))
			for _, part := range [][2]string{{"Rule:", f.Rule}, {"Why: ", f.Why}, {"Do:  ", f.Do}} {
				text := strings.TrimSpace(wrap(part[1], "         "))
				fmt.Fprintf(&b, "   %s %s\n", e.paint(faint, part[0]), text)
			}
		}
		if r.Reason != "" {
			fmt.Fprintf(&b, "\n%s\n", wrap("Could not tell more: "+r.Reason+".", ""))
		}
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\n%s\n", wrap("Note: "+note, ""))
	}
	_, err := b.WriteTo(e.stdout)
	return err
}

func (p *probe) writeTable(b *bytes.Buffer, e env) {
	fmt.Fprintf(b, "The service answered %d %s in %s and called its upstream %s.",
		p.Status, http.StatusText(p.Status), p.took.Round(time.Millisecond), times(p.Calls))
	if p.Calls > 1 {
		fmt.Fprintf(b, " This is call %d, %s:", p.shown+1, shorten(printable(p.Call), 60))
	}
	b.WriteString("\n\n")
	var cells bytes.Buffer
	w := tabwriter.NewWriter(&cells, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "HEADER\tSENT\tARRIVED\tVERDICT")
	rows, left := asked(p.Headers)
	for _, row := range rows {
		arrived := value(row.Arrived)
		if row.Verdict == hop.Relayed && value(row.Sent) == arrived {
			arrived = "the same"
		}
		verdict := string(row.Verdict)
		if !row.Required {
			verdict += " (not asked for)"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", row.Name, value(row.Sent), arrived, verdict)
	}
	_ = w.Flush() // into memory
	for i, line := range strings.SplitAfter(cells.String(), "\n") {
		switch {
		case i == 0:
			b.WriteString(e.paint(bold, strings.TrimSuffix(line, "\n")) + "\n")
		case i > len(rows):
		default:
			b.WriteString(paintRow(e, line, rows[i-1]))
		}
	}
	if len(left) > 0 {
		text := wrap("Not asked for with -families, sent all the same, and lost: "+hop.And(left)+".", "")
		for line := range strings.SplitSeq("\n"+text, "\n") {
			b.WriteString(e.paint(faint, line) + "\n")
		}
	}
}

// asked returns the rows to show, and the families that nobody asked for and of
// which nothing arrived.
func asked(all []hop.Row) (rows []hop.Row, left []string) {
	hide := make(map[string]bool)
	for _, f := range hop.Known {
		names := hop.Names(propagation.Of(f.Family))
		lost := 0
		for _, row := range all {
			if !slices.Contains(names, row.Name) {
				continue
			}
			if row.Required || row.Verdict != hop.Lost {
				lost = -len(names)
			}
			lost++
		}
		if lost > 0 {
			left = append(left, f.Name)
			for _, name := range names {
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

// paintRow colours a line of the table by its verdict.
func paintRow(e env, line string, row hop.Row) string {
	line = strings.TrimSuffix(line, "\n")
	if !row.Required {
		return e.paint(faint, line) + "\n"
	}
	at := strings.LastIndex(line, string(row.Verdict))
	color := red
	switch row.Verdict {
	case hop.Relayed, hop.Reencoded:
		color = green
	case hop.Stale:
		color = amber
	}
	return line[:at] + e.paint(color, line[at:]) + "\n"
}

// value returns what fits into a table.
func value(values []string) string {
	switch {
	case len(values) == 0:
		return "-"
	case len(values) == 1 && values[0] == "":
		return "(empty)"
	}
	v := shorten(printable(values[0]), 36)
	if n := len(values) - 1; n > 0 {
		v += fmt.Sprintf(" (and %d more)", n)
	}
	return v
}

func names(probes []*probe) []string {
	var names []string
	for _, p := range probes {
		names = append(names, p.Name)
	}
	return names
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	default:
		return fmt.Sprintf("%d times", n)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what + ":"
	}
	return fmt.Sprintf("%d %ss:", n, what)
}

// wrapTail breaks the text behind a word that may be coloured.
func wrapTail(painted, plain, text string) string {
	return strings.Replace(wrap(plain+" "+text, ""), plain, painted, 1)
}
