package hop

import (
	"fmt"
	"slices"

	"github.com/tracebaton/tracebaton/internal/wire"
)

// members are the headers that a format of B3 or W3C is made of. tracestate is
// not among them: it may change as it likes.
var members = map[wire.Format][]string{
	wire.B3Multi:  {"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"},
	wire.B3Single: {"b3"},
	wire.W3C:      {"traceparent"},
}

// traceHeaders are those that a new position in a trace replaces.
var traceHeaders = slices.Concat(members[wire.B3Multi], members[wire.B3Single], members[wire.W3C], []string{"tracestate"})

// FormatOf returns the format of B3 or W3C that the header belongs to, or "".
func FormatOf(header string) wire.Format {
	if header == "tracestate" {
		return wire.W3C
	}
	for f, names := range members {
		if slices.Contains(names, header) {
			return f
		}
	}
	return ""
}

// Renewed returns the formats that arrived with a new span if others arrived
// as they were sent beside them, and those others.
func Renewed(rows []Row) (renewed, stale []wire.Format) {
	for _, r := range rows {
		switch r.Name {
		case "x-b3-spanid", "b3", "traceparent":
		default:
			continue
		}
		switch {
		case len(r.Arrived) > 0 && r.Verdict == Reencoded:
			renewed = append(renewed, FormatOf(r.Name))
		case r.Verdict == Stale:
			stale = append(stale, FormatOf(r.Name))
		}
	}
	return renewed, stale
}

// Formats returns their names as a list in a sentence.
func Formats(formats []wire.Format) string {
	words := make([]string, len(formats))
	for i, f := range formats {
		words[i] = string(f)
	}
	return And(words)
}

func b3(f wire.Format) bool { return f == wire.B3Multi || f == wire.B3Single }

// positions compares what B3 and W3C said of the trace when they were sent and
// when they arrived.
func (c *comparison) positions() {
	in, out := c.read(c.sent), c.read(c.arrived)
	var fresh, same []wire.Context
	for _, o := range out {
		switch i, ok := origin(in, o); {
		case c.damaged(o.Format):
		case o.Err != nil:
			rows := append(c.open(Changed, members[o.Format]...), c.open(Invented, members[o.Format]...)...)
			if len(rows) > 0 {
				c.fault(Malformed, fmt.Sprintf("%s cannot be read: %s", o.Format, oneLine(o.Err)), rows...)
			}
		case o.HasIDs() && !ok:
			c.root(in, o)
		case o.HasIDs():
			switch c.joins(i, o) {
			case Reencoded:
				fresh = append(fresh, o)
			case Relayed:
				same = append(same, o)
			}
		default:
			c.decision(i, o)
			c.otherFormat(i, o)
		}
	}
	c.agree(fresh, same)
	c.notChild(in, fresh, same)
}

// read returns what h says in those formats that must arrive.
func (c *comparison) read(h map[string][]string) (found []wire.Context) {
	for _, p := range wire.Read(h) {
		if names := members[p.Format]; names != nil && slices.Contains(Names(c.want.Families), names[0]) {
			found = append(found, p)
		}
	}
	return found
}

// origin returns what was sent that o is to be compared with, and whether that
// holds IDs: the same format, or else the first that has them.
func origin(in []wire.Context, o wire.Context) (i wire.Context, hasIDs bool) {
	for _, p := range in {
		switch {
		case p.Err != nil:
		case p.Format == o.Format && (p.HasIDs() || !o.HasIDs()):
			return p, p.HasIDs()
		case p.HasIDs() && !hasIDs:
			i, hasIDs = p, true
		case i.Format == "":
			i = p
		}
	}
	return i, hasIDs
}

// damaged reports whether a fault of a value was found in the format already,
// of which what it means now only is a consequence.
func (c *comparison) damaged(f wire.Format) bool {
	for _, name := range members[f] {
		if r := c.row(name); r != nil && r.settled && r.Verdict != Relayed {
			return true
		}
	}
	return false
}

// root judges IDs that arrived where none were sent.
func (c *comparison) root(in []wire.Context, o wire.Context) {
	rows := append(c.open(Invented, members[o.Format]...), c.open(Changed, members[o.Format]...)...)
	if len(rows) == 0 {
		return // they were sent, beside something that made them unreadable and is gone
	}
	if c.want.Spans == NoSpans || c.want.Spans == DroppedSpans && o.Decision >= wire.Accepted {
		c.fault(NotSent, are(rows, "arrived and was not sent", "arrived and were not sent"), rows...)
		return
	}
	// A new trace says itself whether it is sampled. A tracer that cannot see
	// a decision without IDs may record what nobody asked for, but must not
	// leave out what somebody did.
	for _, i := range in {
		if i.Err == nil && i.Decision >= wire.Accepted && o.Decision < wire.Accepted {
			c.fault(DecisionChanged, fmt.Sprintf("%s was sent, and %s says %s", written(i), o.Format, o.Decision), rows...)
		}
	}
	settle(append(c.open(Lost, traceHeaders...), rows...), "")
}

// joins compares the IDs that arrived with those that were sent, and returns
// whether they are Reencoded, Relayed or neither.
func (c *comparison) joins(i, o wire.Context) Verdict {
	rows := c.at(o.Format, members[o.Format]...)
	padded := o.Trace != i.Trace && wire.Pad(o.Trace) == wire.Pad(i.Trace)
	switch {
	case o.Trace == i.Trace, padded && (o.Format == wire.W3C || i.Format == wire.W3C):
	case padded && len(o.Trace) > len(i.Trace):
		c.fault(Padded, fmt.Sprintf("the 64-bit trace ID arrived with 32 digits in %s", o.Format), c.at(o.Format, "x-b3-traceid")...)
	case len(o.Trace) == 16 && o.Trace == wire.Pad(i.Trace)[16:]:
		c.fault(Truncated, fmt.Sprintf("the 128-bit trace ID arrived with 16 digits in %s", o.Format), c.at(o.Format, "x-b3-traceid")...)
	default:
		// What was not written for the new trace is no loss of its own.
		rows = append(rows, c.open(Lost, traceHeaders...)...)
		c.fault(OtherTrace, fmt.Sprintf("%s names another trace than the one that was sent", o.Format), uniq(rows)...)
		return Changed
	}

	if o.Span == i.Span {
		c.parent(i, o)
		c.decision(i, o)
		c.otherFormat(i, o)
		return Relayed
	}
	if c.want.Spans.relays() {
		c.fault(Phantom, fmt.Sprintf("%s names a span that nobody exports", o.Format), rows...)
		c.settleOther(o.Format, "")
		return Changed
	}
	switch {
	case o.Span == i.Parent:
		c.fault(WrongParent, fmt.Sprintf("%s names the span's parent in place of the span", o.Format), rows...)
		return Changed
	case o.Parent != "" && o.Parent == i.Parent:
		c.fault(WrongParent, fmt.Sprintf("%s names a new span below the caller's own parent", o.Format), c.stale(o.Format)...)
	case o.Parent != "" && o.Parent == o.Span:
		c.fault(WrongParent, fmt.Sprintf("%s names a span that is its own parent", o.Format), c.stale(o.Format)...)
	}
	c.decision(i, o)
	settle(c.open(Lost, members[o.Format]...), Reencoded)
	settle(c.open(Changed, members[o.Format]...), Reencoded)
	settle(c.open(Invented, members[o.Format]...), Reencoded)
	c.settleOther(o.Format, Reencoded)
	return Reencoded
}

// settleOther settles what was lost of B3's other format: one of the two is
// enough to be written anew.
func (c *comparison) settleOther(f wire.Format, v Verdict) {
	if b3(f) {
		settle(c.open(Lost, slices.Concat(members[wire.B3Multi], members[wire.B3Single])...), v)
	}
}

// otherFormat finds what was sent in one format of B3 and arrived in the other.
func (c *comparison) otherFormat(i, o wire.Context) {
	if i.Format == o.Format || !b3(i.Format) || !b3(o.Format) {
		return
	}
	rows := append(c.open(Lost, members[i.Format]...), c.open(Invented, members[o.Format]...)...)
	if len(rows) > 0 {
		c.fault(OtherFormat, fmt.Sprintf("%s arrived as %s", i.Format, o.Format), rows...)
	}
}

// at returns those of the format's named headers that did not arrive as they
// were sent. Of a format that is one header, it returns that.
func (c *comparison) at(f wire.Format, names ...string) (rows []*Row) {
	if f != wire.B3Multi {
		return []*Row{c.row(members[f][0])}
	}
	for _, name := range names {
		if r := c.row(name); r != nil && r.Verdict != Relayed {
			rows = append(rows, r)
		}
	}
	return rows
}

func settle(rows []*Row, v Verdict) {
	for _, r := range rows {
		r.settled = true
		if v != "" {
			r.Verdict = v
		}
	}
}

func uniq(rows []*Row) (unique []*Row) {
	for _, r := range rows {
		if !slices.Contains(unique, r) {
			unique = append(unique, r)
		}
	}
	return unique
}

// stale returns the header in which the format names a parent that is wrong.
func (c *comparison) stale(f wire.Format) []*Row {
	name := members[f][0]
	if f == wire.B3Multi {
		name = "x-b3-parentspanid"
	}
	r := c.row(name)
	if r.Verdict == Relayed {
		r.Verdict = Stale
	}
	return []*Row{r}
}

// parent compares the parents of a span that was passed on as it came.
func (c *comparison) parent(i, o wire.Context) {
	switch {
	case i.Format != o.Format || i.Parent == o.Parent:
	case o.Parent == "":
		c.fault(ParentLost, fmt.Sprintf("the span's parent was lost from %s", o.Format), c.at(o.Format, "x-b3-parentspanid")...)
	default:
		c.fault(WrongParent, fmt.Sprintf("%s names another parent than was sent", o.Format), c.stale(o.Format)...)
	}
}

// decision compares what i and o say of sampling.
func (c *comparison) decision(i, o wire.Context) {
	rows := c.at(o.Format, "x-b3-sampled", "x-b3-flags")
	kind, what := DecisionChanged, fmt.Sprintf("%s was sent, and %s says %s", written(i), o.Format, o.Decision)
	switch was, is := i.Decision, o.Decision; {
	case was == is, len(rows) == 0:
		return
	case was == wire.Debug && is == wire.Accepted && !b3(o.Format):
		return // only B3 has a debug flag
	case is == wire.Deferred && o.Format == wire.B3Multi && o.Span == i.Span:
		return // x-b3-sampled was lost, like any header
	case was == wire.Deferred && o.HasIDs() && !c.want.Spans.relays():
		return // who makes spans may decide
	case is == wire.Denied && (was == wire.Deferred || !o.HasIDs()):
		kind = SampledInvented
	case was == wire.Deferred:
		kind = NotSent
	}
	if i.Decision == wire.Deferred {
		what = fmt.Sprintf("%s says %s, and no decision was sent", o.Format, o.Decision)
	}
	c.fault(kind, what, rows...)
}

// written returns how i says what is to be recorded.
func written(i wire.Context) string {
	yes := i.Decision != wire.Denied
	switch {
	case i.Format == wire.W3C:
		return "traceparent with the flags 0" + map[bool]string{false: "0", true: "1"}[yes]
	case i.Decision == wire.Debug && i.Format == wire.B3Multi:
		return "x-b3-flags: 1"
	case i.Format == wire.B3Multi:
		return "x-b3-sampled: " + map[bool]string{false: "0", true: "1"}[yes]
	default:
		return "b3 with the state " + map[wire.Decision]string{wire.Denied: "0", wire.Accepted: "1", wire.Debug: "d"}[i.Decision]
	}
}

// agree finds formats that name different spans.
func (c *comparison) agree(fresh, same []wire.Context) {
	if len(fresh) > 0 && len(same) > 0 {
		var rows []*Row
		for _, s := range same {
			for _, name := range members[s.Format] {
				if r := c.row(name); r != nil && len(r.Arrived) > 0 {
					r.Verdict = Stale
					rows = append(rows, r)
				}
			}
		}
		c.fault(Disagree, fmt.Sprintf("%s arrived as sent, beside %s, which names a new span", formatNames(same), formatNames(fresh)), rows...)
		return
	}
	for n, o := range fresh {
		for _, p := range fresh[:n] {
			if wire.Pad(o.Trace) != wire.Pad(p.Trace) || o.Span != p.Span {
				c.fault(Disagree, fmt.Sprintf("%s and %s name different spans", p.Format, o.Format), c.row(members[p.Format][0]), c.row(members[o.Format][0]))
			}
		}
	}
}

// notChild finds a sampled trace in which a service that makes spans left its
// own out.
func (c *comparison) notChild(in, fresh, same []wire.Context) {
	if c.want.Spans != OwnSpans || len(fresh) > 0 || len(same) == 0 {
		return
	}
	for _, i := range in {
		if i.HasIDs() && i.Decision >= wire.Accepted {
			var rows []*Row
			for _, s := range same {
				names := members[s.Format]
				if s.Format == wire.B3Multi {
					names = names[1:2]
				}
				rows = append(rows, c.row(names[0]))
			}
			c.fault(NotChild, are(rows, "still names the caller's span", "still name the caller's span"), rows...)
			return
		}
	}
}
