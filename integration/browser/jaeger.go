package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Found is a trace in the list that a search has for result.
type Found struct {
	ID    string
	Title string // "sleep: GET"
	Spans int

	// Services are the trace's, and how many spans each has.
	Services map[string]int
}

// Span is a line of the timeline of a trace.
type Span struct {
	Depth              int // 0 is the root
	Service, Operation string
	Failed             bool // marked as an error
}

// Call is an arrow in the graph of the system's architecture.
type Call struct{ From, To string }

// Search chooses a service, one that Jaeger knows, in the search form and
// returns the traces that are found, from top to bottom.
func (ui *UI) Search(t testing.TB, service string) []Found {
	t.Helper()
	const field = `[name="service"] input`
	ui.visit(t, "/search")
	ui.do(t,
		chromedp.Click(chromedp.CSS(field)),
		chromedp.SendKeys(chromedp.CSS(field), service+"\n"),
		poll[chromedp.Void](fmt.Sprintf(`document.querySelector('[name="service"] .ant-select-selection-item')?.title === %q`, service)),
		chromedp.Click(chromedp.CSS(`[data-test="submit-btn"]`)),
	)
	return run(ui, t, poll[[]Found](`(() => {
		const items = [...document.querySelectorAll(".ResultItem")];
		const none = document.body.innerText.includes("No trace results");
		return (items.length > 0 || none) && items.map(item => ({
			ID: item.querySelector("a").href.split("/").pop(),
			Title: item.querySelector(".TraceName").innerText,
			Spans: parseInt(item.querySelector('[data-test="num-spans"]').innerText),
			Services: Object.fromEntries([...item.querySelectorAll(".ResultItem--serviceTag")].map(tag => {
				const [, name, spans] = tag.innerText.match(/^(.*) \((\d+)\)$/);
				return [name, parseInt(spans)];
			})),
		}));
	})()`))
}

// Follow clicks on a trace in the list of a search, and returns its timeline.
func (ui *UI) Follow(t testing.TB, id string) []Span {
	t.Helper()
	ui.do(t, chromedp.Click(chromedp.CSS(fmt.Sprintf(`.ResultItem a[href$="/trace/%s"]`, id))))
	return ui.timeline(t)
}

// Trace opens the page of a trace, as a link to it does, and returns its
// timeline.
func (ui *UI) Trace(t testing.TB, id string) []Span {
	t.Helper()
	ui.visit(t, "/trace/"+id)
	return ui.timeline(t)
}

// Widen gives the names of the spans that part of the timeline's width.
func (ui *UI) Widen(t testing.TB, part float64) {
	t.Helper()
	ui.do(t, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => {
		const handle = document.querySelector(".VerticalResizer--dragger");
		const x = document.querySelector(".VerticalResizer").getBoundingClientRect().width * %g;
		const mouse = (target, type) => target.dispatchEvent(new MouseEvent(type, {bubbles: true, cancelable: true, clientX: x}));
		mouse(handle, "mousedown");
		mouse(window, "mousemove");
		mouse(window, "mouseup");
	})()`, part)))
}

// Expand opens the first span of the timeline, and returns what is to be read
// there.
func (ui *UI) Expand(t testing.TB) string {
	t.Helper()
	ui.do(t, chromedp.Click(chromedp.CSS(".span-row .span-view")))
	return run(ui, t, poll[string](`document.querySelector(".detail-row")?.innerText`))
}

// timeline returns the lines of the trace on the page, all of which fit on it.
func (ui *UI) timeline(t testing.TB) []Span {
	t.Helper()
	return run(ui, t, poll[[]Span](`(() => {
		const rows = [...document.querySelectorAll(".span-row")];
		const total = [...document.querySelectorAll(".LabeledList--item")].find(i => i.innerText.startsWith("Total Spans"));
		if (!total || parseInt(total.querySelector("strong").innerText) !== rows.length) return false;
		const indent = row => row.querySelectorAll(".SpanTreeOffset--indentGuide").length - 1;
		return rows.map(row => ({
			Depth: indent(row),
			Service: row.querySelector(".span-svc-name").innerText.trim(),
			Operation: row.querySelector(".endpoint-name").innerText,
			Failed: row.querySelector(".SpanBarRow--errorIcon") !== null,
		}));
	})()`))
}

// Outline returns the lines of a trace in writing, each below its parent:
//
//	sleep GET
//	  flaskapp GET /fetch
func Outline(spans []Span) string {
	var b strings.Builder
	for _, s := range spans {
		fmt.Fprintf(&b, "%s%s %s\n", strings.Repeat("  ", s.Depth), s.Service, s.Operation)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Compare opens the page that compares two traces, and returns the services
// that it shows: of a alone, of both, and of b alone.
func (ui *UI) Compare(t testing.TB, a, b string) (onlyA, both, onlyB []string) {
	t.Helper()
	ui.visit(t, "/trace/"+a+"..."+b)
	boxes := run(ui, t, poll[map[string][]string](`(() => {
		const boxes = [...document.querySelectorAll(".DiffNode")];
		if (boxes.length === 0 || !drawn(boxes)) return false;
		const services = filter => boxes.filter(filter).map(box => box.querySelector("strong").innerText);
		const is = (box, name) => box.classList.contains(name);
		return {
			onlyA: services(box => is(box, "is-removed")),
			onlyB: services(box => is(box, "is-added")),
			both: services(box => !is(box, "is-removed") && !is(box, "is-added")),
		};
		`+drawn+`
	})()`))
	return boxes["onlyA"], boxes["both"], boxes["onlyB"]
}

// Architecture opens the page of the system's architecture and returns the
// calls that its graph shows.
func (ui *UI) Architecture(t testing.TB) []Call {
	t.Helper()
	ui.visit(t, "/dependencies")
	return run(ui, t, poll[[]Call](`(() => {
		const nodes = [...document.querySelectorAll(".DAG--node")];
		const paths = [...document.querySelectorAll(".plexus-Digraph--SvgEdgesLayer > g path")];
		if (nodes.length === 0 || paths.length === 0 || !drawn(nodes)) return false;

		// An arrow says nothing of what it joins: it is where it begins and
		// ends that does.
		const at = (path, length) => path.getPointAtLength(length).matrixTransform(path.getScreenCTM());
		const away = (point, box) => Math.hypot(
			Math.max(box.left - point.x, 0, point.x - box.right),
			Math.max(box.top - point.y, 0, point.y - box.bottom));
		const nearest = point => nodes.reduce((a, b) =>
			away(point, b.getBoundingClientRect()) < away(point, a.getBoundingClientRect()) ? b : a).innerText;
		return paths.map(path => ({From: nearest(at(path, 0)), To: nearest(at(path, path.getTotalLength()))}));
		`+drawn+`
	})()`))
}

// drawn is a function in the page: whether the graph with these boxes has got
// its layout, and has come to rest.
const drawn = `
	function drawn(boxes) {
		const places = JSON.stringify(boxes.map(box => box.getBoundingClientRect()));
		const rest = places === window.placesBefore;
		window.placesBefore = places;
		const tops = new Set(boxes.map(box => box.getBoundingClientRect()).map(r => r.top + " " + r.left));
		return rest && tops.size === boxes.length;
	}
`
