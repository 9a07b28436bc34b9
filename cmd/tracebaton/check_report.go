package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tracebaton/tracebaton/internal/hop"
)

// checkReport is what check found out. It is what -format json writes.
type checkReport struct {
	URL      string        `json:"url"`
	Verdict  string        `json:"verdict"`
	Headline string        `json:"headline,omitempty"`
	Reason   string        `json:"reason,omitempty"`
	Language string        `json:"language,omitempty"`
	Sidecar  bool          `json:"sidecar"`
	Readers  []checkReader `json:"readers"`
	Probes   []checkProbe  `json:"probes"`
	Faults   []checkFault  `json:"faults"`
	Notes    []checkFault  `json:"notes"`

	flags checkFlags
}

type checkReader struct {
	Family  string      `json:"family"`
	Verdict hop.Verdict `json:"verdict"`
}

type checkProbe struct {
	Name   string      `json:"name"`
	Status int         `json:"status,omitempty"`
	Calls  []checkCall `json:"calls"`

	worst int // which of Calls shows most
	took  time.Duration
}

type checkCall struct {
	Name    string    `json:"name"`
	Headers []hop.Row `json:"headers"`
}

type checkFault struct {
	Kind     hop.Kind     `json:"kind"`
	Severity hop.Severity `json:"severity"`
	Family   string       `json:"family,omitempty"`
	Probe    string       `json:"probe,omitempty"`
	Call     string       `json:"call,omitempty"`
	Headers  []string     `json:"headers,omitempty"`
	What     string       `json:"what"`
	Also     []string     `json:"also,omitempty"`
	Rule     string       `json:"rule,omitempty"`
	Why      string       `json:"why"`
	Do       string       `json:"do,omitempty"`
	Hint     string       `json:"hint,omitempty"` // in the service's language

	sent, arrived []string // lines of the headers
}

// conclude writes down what the probes say.
func (r *checkReport) conclude(probes []*probe, outcomes []hop.Outcome) *checkReport {
	r.Readers, r.Probes, r.Faults, r.Notes = []checkReader{}, []checkProbe{}, []checkFault{}, []checkFault{}
	sum := hop.Summarize(r.flags.families, outcomes)
	clues := hop.Clues{}
	for _, p := range probes {
		if len(p.judged) == 0 && len(probes) > 1 && p.status == 0 {
			continue // it was not answered
		}
		cp := checkProbe{Name: p.Name, Status: p.status, Calls: []checkCall{}, took: p.took,
			worst: hop.Outcome{Probe: p.Probe, Calls: p.judged}.Worst()}
		for _, c := range p.judged {
			cp.Calls = append(cp.Calls, checkCall{c.Name, c.Judgment.Rows})
			clues.Sidecar = clues.Sidecar || c.Judgment.Sidecar
			clues.Proxy = clues.Proxy || c.Header.Get(marker) != ""
			if clues.Language == "" {
				clues.Language = hop.LanguageOf(c.Header, p.answer)
			}
		}
		r.Probes = append(r.Probes, cp)
	}
	for _, reader := range sum.Readers {
		r.Readers = append(r.Readers, checkReader{reader.Family.Title, reader.Verdict})
		clues.Spans = clues.Spans || reader.Verdict == hop.Continued && !clues.Sidecar
	}
	if clues.Proxy {
		clues.Language = "" // it is the caller's that goes through
	}
	r.Language, r.Sidecar = string(clues.Language), clues.Sidecar
	for _, f := range sum.Findings {
		r.Faults = append(r.Faults, fault(f, clues))
	}
	for _, f := range sum.Notes {
		r.Notes = append(r.Notes, fault(f, clues))
	}
	r.note(sum, probes)

	for _, p := range probes {
		if p.failed != "" && r.Reason == "" {
			r.Reason = p.failed
		}
	}
	if len(outcomes) > 0 && len(outcomes[0].Calls) > 0 {
		r.Headline = sum.Headline
	}
	switch {
	case sum.Severity > hop.Note:
		r.Verdict = sum.Severity.String()
	case r.Reason != "":
		r.Verdict = "unknown"
	default:
		r.Verdict = "whole"
	}
	return r
}

func fault(f hop.Finding, clues hop.Clues) checkFault {
	c := checkFault{
		Kind: f.Kind, Severity: f.Severity, Family: f.Family, Probe: f.Probe, Call: f.Call,
		Headers: f.Headers, What: f.What, Also: f.Also, Rule: f.Rule(), Why: f.Why(), Do: f.Do(clues), Hint: f.Hint(clues),
	}
	for _, name := range f.Headers {
		c.sent = append(c.sent, lines(name, f.Sent)...)
		c.arrived = append(c.arrived, lines(name, f.Arrived)...)
	}
	return c
}

// lines returns those of a header as they are written, up to a length that
// fits a line.
func lines(name string, h http.Header) (lines []string) {
	for _, v := range h.Values(name) {
		if v == "" {
			v = "(empty)"
		}
		lines = append(lines, name+": "+shorten(printable(v), 68-len(name)))
	}
	return lines
}

// note adds what is good to know and shows in no single call.
func (r *checkReport) note(sum hop.Summary, probes []*probe) {
	add := func(kind hop.Kind, what, why string) {
		r.Notes = append(r.Notes, checkFault{Kind: kind, What: what, Why: why})
	}
	var spans []string
	for _, reader := range sum.Readers {
		if reader.Verdict == hop.Continued {
			spans = append(spans, reader.Family.Title)
		}
	}
	if len(spans) > 0 {
		add("span", "a span was made on the way, in "+hop.And(spans),
			"If whoever made it exports it, the tree is whole. If not, what is called hangs from a span that is in no store; check cannot see that.")
	}
	if sum.Advice != "" {
		format, provider := "W3C", "opentelemetry"
		if !strings.Contains(sum.Advice, "w3c") {
			format, provider = "B3", "zipkin"
		}
		add("one-format", fmt.Sprintf("the trace goes on in %s", format),
			fmt.Sprintf("That is enough where the sidecars read it, as with Istio's %s provider: check it with -families %s.", provider, sum.Advice))
	}
	for _, p := range probes {
		if p.Name != "every family" || len(p.judged) < 2 {
			continue
		}
		carried, broken := "", []string(nil)
		for _, c := range p.judged {
			switch c.Judgment.Worst() {
			case hop.Note:
				carried = cmp.Or(carried, printable(c.Name))
			case hop.Broken:
				broken = append(broken, printable(c.Name))
			}
		}
		if carried == "" || len(broken) == 0 {
			continue
		}
		why := fmt.Sprintf("If %s is not made for the request, as a health check is not, it is right without.", broken[0])
		if len(broken) > 1 {
			why = "If those without are not made for the request, as health checks are not, they are right."
		}
		add("other-call", "another call carried the trace: "+carried, why)
	}
}

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

// writeGitHub writes annotations of a workflow:
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
func (r *checkReport) writeGitHub(e env) error {
	var b bytes.Buffer
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	write := func(level, title, text string) {
		fmt.Fprintf(&b, "::%s title=%s::%s\n", level, property.Replace(title), data.Replace(text))
	}
	level := "error"
	if r.Verdict == "whole" {
		level = "notice"
	}
	verdict, headline := r.sentence()
	write(level, "tracebaton check", verdict+" "+headline+"\n"+printable(r.URL))
	for _, f := range r.Faults {
		write("error", string(f.Kind), upper(printable(f.What))+" (with "+f.Probe+", in "+printable(f.Call)+").\n"+f.Why+"\n"+f.Do+" "+f.Hint)
	}
	for _, n := range r.Notes {
		write("notice", string(n.Kind), upper(printable(n.What))+". "+n.Why)
	}
	_, err := b.WriteTo(e.stdout)
	return err
}

// sentence is the headline, and the verdict that comes before it.
func (r *checkReport) sentence() (verdict, headline string) {
	switch {
	case r.Verdict == "unknown" && r.Headline != "":
		return "Could not tell:", r.Reason + ". So far, it " + printable(r.Headline) + "."
	case r.Verdict == "unknown":
		return "Could not tell:", r.Reason + "."
	case strings.HasPrefix(r.Headline, "whole where"):
		word, rest, _ := strings.Cut(upper(r.Headline), " ")
		return word, rest + "."
	}
	return upper(r.Verdict) + ":", printable(r.Headline) + "."
}

func (r *checkReport) writeText(e env) error {
	var b bytes.Buffer
	verdict, headline := r.sentence()
	color := map[string]style{"whole": green, "unknown": amber, "lost": amber}[r.Verdict]
	switch {
	case verdict == "Whole" && r.Verdict != "whole":
		color = amber // in one of two formats
	case color == "":
		color = red
	}
	fmt.Fprintln(&b, strings.Replace(e.wrap(verdict+" "+headline, ""), verdict, e.paint(color, verdict), 1))
	shown := 0
	for _, p := range r.Probes {
		for i := range p.Calls {
			if r.flags.verbose || shown == 0 && i == p.worst {
				shown++
				b.WriteByte('\n')
				r.writeTable(&b, e, p, i)
			}
		}
	}
	hinted := make(map[string]bool)
	for i, f := range r.Faults {
		where := "with " + f.Probe
		if len(r.Probes) > 0 && f.Call != "" {
			where += ", in " + f.Call
		}
		text := fmt.Sprintf("%s: %s (%s).", upper(f.Severity.String()), printable(f.What), printable(where))
		for _, also := range f.Also {
			text += " " + upper(printable(also)) + "."
		}
		fmt.Fprintf(&b, "\n%d. %s\n", i+1, e.paint(bold, strings.TrimSpace(e.wrap(text, "   "))))
		if f.Probe != r.Probes[0].Name && f.Kind != hop.Empty {
			f.writeLines(&b, e)
		}
		do := f.Do
		if !hinted[f.Hint] {
			hinted[f.Hint] = true
			do += " " + f.Hint
		}
		for _, part := range [][2]string{{"Why:     ", f.Why}, {"Do:      ", do}} {
			fmt.Fprintf(&b, "   %s%s\n", e.paint(faint, part[0]), strings.TrimSpace(e.wrap(part[1], "            ")))
		}
	}
	if r.Verdict != "unknown" && r.Reason != "" {
		fmt.Fprintf(&b, "\n%s\n", e.wrap("Could not tell more: "+r.Reason+".", ""))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\n%s\n", e.wrap("Note: "+printable(strings.Join(append([]string{n.What}, n.Also...), "; "))+". "+n.Why, ""))
	}
	if len(r.Probes) > 0 && !r.flags.verbose {
		fmt.Fprintf(&b, "\n%s\n", e.faint(e.wrap("Sent: "+hop.And(r.names())+". -v shows what arrived of each.", "")))
	}
	_, err := b.WriteTo(e.stdout)
	return err
}

// writeLines shows the headers that a fault is about.
func (f checkFault) writeLines(b *bytes.Buffer, e env) {
	const most = 4
	for _, part := range []struct {
		name  string
		lines []string
	}{{"Sent:    ", f.sent}, {"Arrived: ", f.arrived}} {
		if len(part.lines) == 0 {
			part.lines = []string{"nothing"}
		}
		if n := len(part.lines); n > most {
			part.lines = append(part.lines[:most:most], fmt.Sprintf("and %d more", n-most))
		}
		fmt.Fprintf(b, "   %s%s\n", e.paint(faint, part.name), strings.Join(part.lines, "\n            "))
	}
}

// faint paints each line.
func (e env) faint(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = e.paint(faint, line)
	}
	return strings.Join(lines, "\n")
}

// names returns those of the probes, each once.
func (r *checkReport) names() (names []string) {
	for _, p := range r.Probes {
		if len(names) == 0 || names[len(names)-1] != p.Name {
			names = append(names, p.Name)
		}
	}
	return names
}

// writeTable shows what became of the headers in one call.
func (r *checkReport) writeTable(b *bytes.Buffer, e env, p checkProbe, n int) {
	answer := "did not answer"
	if p.Status != 0 {
		answer = fmt.Sprintf("answered %s in %s", strings.TrimSpace(fmt.Sprintf("%d %s", p.Status, http.StatusText(p.Status))), p.took.Round(time.Millisecond))
	}
	text := fmt.Sprintf("With %s, the service %s and called its upstream %s", p.Name, answer, times(len(p.Calls)))
	if len(p.Calls) == 1 {
		text += fmt.Sprintf(", %s:", shorten(printable(p.Calls[n].Name), 60))
	} else {
		var others []string
		for i, c := range p.Calls {
			if i != n {
				others = append(others, shorten(printable(c.Name), 60))
			}
		}
		text += fmt.Sprintf(". This is call %d, %s (beside it: %s):", n+1, shorten(printable(p.Calls[n].Name), 60), hop.And(others))
	}
	fmt.Fprintf(b, "%s\n\n", e.wrap(text, ""))
	rows, left := asked(p.Calls[n].Headers)
	writeRows(b, e, rows)
	if len(left) > 0 {
		b.WriteString(e.faint("\n"+e.wrap("Not asked for with -families, sent all the same, and lost: "+hop.And(left)+".", "")) + "\n")
	}
}
