package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tracebaton/tracebaton/internal/audit"
)

func (a *auditor) write(r *audit.Report) error {
	var b bytes.Buffer
	switch a.format {
	case "json":
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
	case "github":
		writeAnnotations(&b, r)
	default:
		a.writeText(&b, r)
	}
	_, err := b.WriteTo(a.stdout)
	return err
}

// auditRow is a line of the table: a callee, a route on which calls to it lose
// the trace, or what holds for all calls of a service.
type auditRow struct {
	service, route, calls string
	callee                string // empty: all
	verdict               string
	style                 style
}

func (a *auditor) writeText(b *bytes.Buffer, r *audit.Report) {
	if len(r.Services) > 0 {
		a.writeTable(b, rowsOf(r))
		b.WriteByte('\n')
	}
	for _, s := range r.Dropping() {
		for i := range s.Callees {
			if c := &s.Callees[i]; c.Verdict == audit.Drops {
				a.writeDetails(b, r, &s, c)
			}
		}
	}
	for _, p := range r.Problems {
		who := ""
		if p.Service != "" {
			who = printable(p.Service) + ": "
		}
		end := "."
		if strings.HasSuffix(p.Text, "?") {
			end = ""
		}
		fmt.Fprintf(b, "%s\n\n", wrap("Note: "+who+printable(p.Text)+end, ""))
	}
	n := len(r.Dropping())
	verdict, s := fmt.Sprintf("%s of %s.", several(n, "service loses", "services lose")+" the trace", strconv.Itoa(len(r.Services))), red
	if n == 0 {
		verdict, s = "No service is proven to lose the trace.", green
	}
	tail := fmt.Sprintf("%s of %s, from %s to %s.", several(r.Spans, "span", "spans"), several(r.Traces, "trace", "traces"),
		r.From.Format("2006-01-02 15:04:05"), r.To.Format("15:04:05 MST"))
	fmt.Fprintln(b, strings.Replace(wrap(verdict+" "+tail, ""), verdict, a.paint(s, verdict), 1))
}

func several(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + more
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func rowsOf(r *audit.Report) []auditRow {
	var rows []auditRow
	for _, s := range r.Services {
		if p := twoFormats(r, s.Service); p != nil {
			rows = append(rows, auditRow{service: printable(s.Service), route: "-", calls: thousands(p.Count), verdict: p.Verdict, style: red})
		}
		for _, c := range s.Callees {
			row := auditRow{service: printable(s.Service), route: "-", calls: thousands(c.Calls), callee: printable(beside(c.Service, s.Service))}
			switch c.Verdict {
			case audit.Drops:
				row.style = red
				for _, route := range c.Routes {
					row.route, row.calls = printable(route.Route), thousands(route.Calls)
					row.verdict = lost(&c, route.Begun, route.Calls)
					rows = append(rows, row)
				}
				if len(c.Routes) > 0 {
					continue
				}
				row.verdict = lost(&c, c.Begun, c.Calls)
			case audit.Likely:
				row.style, row.verdict = red, "likely drops the trace: "+c.Why
			case audit.Unclear:
				row.style, row.verdict = amber, "cannot tell: "+c.Why
			case audit.Begins:
				row.verdict = "begins its own: " + c.Why
			case audit.Origin:
				row.verdict = "begins its own (" + c.Why + ")"
			default:
				row.style, row.verdict = green, "passes it on"
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// beside is how a service is called by another: without the namespace if that
// is the same, as in Kubernetes.
func beside(callee, caller string) string {
	name, namespace, _ := strings.Cut(callee, ".")
	if _, own, ok := strings.Cut(caller, "."); ok && namespace == own {
		return name
	}
	return callee
}

// lost says in what way the calls of a route are lost.
func lost(c *audit.Callee, begun, calls int) string {
	of := thousands(begun) + " of " + thousands(calls)
	switch c.Kind {
	case audit.KindRequestID:
		return "passes on x-request-id alone: " + of + " begin a new trace"
	case audit.KindAfterAnswer:
		return "drops the trace of calls after its answer: " + of + " begin a new one"
	case audit.KindMadeUp:
		return "passes on parents that nobody stores: " + of
	}
	return "drops the trace: " + of + " begin a new one"
}

// doing says what those of the calls do that lose the trace.
func doing(c *audit.Callee) string {
	if c.Kind == audit.KindMadeUp {
		return "name a parent that nobody stores"
	}
	return "begin a new trace"
}

// The width of a table, and the least of its last column.
const (
	tableWidth   = 80
	verdictWidth = 27
)

func (a *auditor) writeTable(b *bytes.Buffer, rows []auditRow) {
	number := 0
	for _, r := range rows {
		number = max(number, len(r.calls))
	}
	cells := [][]string{{"SERVICE", "ROUTE", "CALLS"}}
	for _, r := range rows {
		calls := fmt.Sprintf("%*s", number, r.calls)
		if r.callee != "" {
			calls += " to " + r.callee
		}
		cells = append(cells, []string{r.service, r.route, calls})
	}
	width := make([]int, 3)
	for _, row := range cells {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for width[0]+width[1]+width[2]+6 > tableWidth-verdictWidth {
		widest := 0
		for i := range width {
			if width[i] > width[widest] {
				widest = i
			}
		}
		width[widest]--
	}
	left := width[0] + width[1] + width[2] + 6
	for i, row := range cells {
		var line strings.Builder
		for j, cell := range row {
			if j == 1 {
				cell = shorten(cell, width[j])
			} else if r := []rune(cell); len(r) > width[j] { // names are told apart by their beginnings
				cell = string(r[:width[j]-1]) + "…"
			}
			line.WriteString(cell + strings.Repeat(" ", width[j]-utf8.RuneCountInString(cell)+2))
		}
		if i == 0 {
			b.WriteString(a.paint(bold, line.String()+"VERDICT") + "\n")
			continue
		}
		b.WriteString(line.String())
		indent := strings.Repeat(" ", left)
		// wrap counts what is left of the column, too.
		for j, part := range strings.Split(wrap(printable(rows[i-1].verdict), indent), "\n") {
			if j > 0 {
				b.WriteString(indent)
			}
			b.WriteString(a.paint(rows[i-1].style, strings.TrimSpace(part)) + "\n")
		}
	}
}

// writeDetails says how it is known that a pair loses the trace, and what to
// do about it.
func (a *auditor) writeDetails(b *bytes.Buffer, r *audit.Report, s *audit.Service, c *audit.Callee) {
	title := fmt.Sprintf("%s to %s: %s of %s calls %s", printable(s.Service), printable(c.Service), thousands(c.Begun), thousands(c.Calls), doing(c))
	b.WriteString(a.paint(bold, wrap(title, "")) + "\n")
	part := func(name, text string) {
		fmt.Fprintf(b, "  %s %s\n", a.paint(faint, fmt.Sprintf("%-6s", name+":")), strings.TrimSpace(wrap(text, "         ")))
	}
	part("Why", upper(printable(c.Why))+".")
	when := fmt.Sprintf("From %s to %s", c.First.Format(time.TimeOnly), c.Last.Format(time.TimeOnly))
	if length := r.To.Sub(r.From); c.First.Sub(r.From) > length/10 {
		when += fmt.Sprintf(", not in the first %v of what is stored", c.First.Sub(r.From).Round(time.Second))
	}
	part("When", when+".")
	if len(c.Pods) > 0 {
		shown := c.Pods[:min(3, len(c.Pods))]
		text := fmt.Sprintf("%d of %d pods: %s", len(c.Pods), c.OfPods, printable(strings.Join(shown, ", ")))
		if len(shown) < len(c.Pods) {
			text += " and others"
		}
		part("Where", text+".")
	}
	for i, e := range c.Examples {
		name := "Open:"
		if i > 0 {
			name = ""
		}
		for j, line := range []string{a.open(e.Parent.Trace()) + " came in", a.open(e.Orphan.Trace()) + " went out"} {
			if j > 0 {
				name = ""
			}
			fmt.Fprintf(b, "  %s %s\n", a.paint(faint, fmt.Sprintf("%-6s", name)), line)
		}
	}
	if twoFormats(r, s.Service) == nil { // else the note says what to do
		part("Do", a.advice(s, c))
	}
	b.WriteByte('\n')
}

// twoFormats returns what is said of a service that speaks another format than
// its sidecars, or nil.
func twoFormats(r *audit.Report, service string) *audit.Problem {
	for i := range r.Problems {
		if p := &r.Problems[i]; p.Verdict != "" && p.Service == service {
			return p
		}
	}
	return nil
}

// open returns where to look at a trace.
func (a *auditor) open(trace string) string {
	if a.link == nil {
		return trace
	}
	return printable(a.link(trace))
}

func (a *auditor) advice(s *audit.Service, c *audit.Callee) string {
	switch c.Kind {
	case audit.KindMadeUp:
		return "see that the service's own tracer exports its spans to this store."
	case audit.KindAfterAnswer:
		return "keep the headers for work that outlives the request: relayvet finds the line in Go."
	}
	// A route that is none of HTTP, such as a job's name, has no URL to check.
	check := "tracebaton check"
	if len(c.Routes) > 0 {
		if method, path, _ := strings.Cut(c.Routes[0].Route, " "); strings.HasPrefix(path, "/") {
			if method != http.MethodGet {
				check += " -X " + printable(method)
			}
			check += fmt.Sprintf(" 'http://%s%s'", printable(s.Service), printable(path))
		}
	}
	return fmt.Sprintf("%s sees it happen, with check in the place of %s; relayvet finds the line in Go.", check, printable(c.Service))
}

// writeAnnotations writes errors for what is proven, and warnings for what is
// likely and for two formats.
func writeAnnotations(b *bytes.Buffer, r *audit.Report) {
	for _, s := range r.Services {
		if p := twoFormats(r, s.Service); p != nil {
			fmt.Fprintf(b, "::warning title=%s::%s\n", annotation(s.Service+" "+p.Verdict, true), annotation(p.Text, false))
		}
		for _, c := range s.Callees {
			level := "error"
			switch c.Verdict {
			case audit.Drops:
			case audit.Likely:
				level = "warning"
			default:
				continue
			}
			routes := make([]string, 0, len(c.Routes))
			for _, route := range c.Routes {
				routes = append(routes, route.Route)
			}
			where := ""
			if len(routes) > 0 {
				where = " on " + strings.Join(routes, ", ")
			}
			text := fmt.Sprintf("%d of %d calls to %s%s %s: %s", c.Begun, c.Calls, c.Service, where, doing(&c), c.Why)
			fmt.Fprintf(b, "::%s title=%s::%s\n", level, annotation(s.Service+" loses the trace", true), annotation(text, false))
		}
	}
}

// annotation escapes what stands in a command to GitHub Actions:
// https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts.
func annotation(s string, property bool) string {
	s = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
	if property {
		s = strings.NewReplacer(":", "%3A", ",", "%2C").Replace(s)
	}
	return s
}
