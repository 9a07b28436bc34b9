package audit

import (
	"math"
	"slices"
	"sort"
)

// cover is a set of moments: of those from at[k] on, until at[k+1], the ones
// up to until[k] - less.
type cover struct {
	at, until []int64
	less      int64
	before    []int64 // before[k] is the measure of what lies before at[k]
}

func (c *cover) measureUp(less int64) {
	c.less = less
	c.before = slices.Grow(c.before[:0], len(c.at))[:len(c.at)]
	sum := int64(0)
	for k := range c.at {
		c.before[k] = sum
		if k+1 < len(c.at) {
			sum += c.piece(k, c.at[k+1])
		}
	}
}

// piece returns the measure of what lies between at[k] and x.
func (c *cover) piece(k int, x int64) int64 {
	return max(0, min(x, c.until[k]-c.less)-c.at[k])
}

// upTo returns the measure of what lies before x, where k is the place of x.
func (c *cover) upTo(x int64, k int) int64 {
	if k < 0 {
		return 0
	}
	return c.before[k] + c.piece(k, x)
}

// share returns which share of the span is covered.
func (c *cover) share(s reach) float64 {
	if s.to <= s.from {
		return 1 // of a single moment, nothing is known
	}
	return float64(c.upTo(s.to, s.toPlace)-c.upTo(s.from, s.fromPlace)) / float64(s.to-s.from)
}

// has reports whether the moment is covered.
func (c *cover) has(x int64, k int) bool { return k >= 0 && x <= c.until[k]-c.less }

// place returns the place of the last of the moments that is not after x, or -1.
func place(at []int64, x int64) int {
	return sort.Search(len(at), func(i int) bool { return at[i] > x }) - 1
}

// reach is a stretch of time, with its ends' places in a cover.
type reach struct {
	from, to           int64
	fromPlace, toPlace int
}

func reachOf(c *cover, from, to int64) reach {
	return reach{from, to, place(c.at, from), place(c.at, to)}
}

// The scales on which an orphan may coincide with a request.
const (
	nested = iota      // it lies wholly within a request
	within             // it begins within one
	begun              // it begins at most tolerances[begun+…] after one has begun
	after  = begun + 3 // or after the answer to one
	scales = after + 4
)

// tolerances are in µs.
var tolerances = [scales]int64{begun: 5_000, 25_000, 125_000, after: 5_000, 25_000, 125_000, 625_000}

// tally sums up what a list of orphans shows on each scale.
type tally [scales]struct {
	events, hits int
	chance       [3]float64 // sums over the events: by the near, the wide and the whole window
}

// expected returns how many hits chance would give.
func (t *tally) expected(scale int) float64 {
	c := t[scale].chance
	return max(c[0], c[1], c[2])
}

// minHits is how many hits there must be for any conclusion. Two were not
// enough, however unlikely.
const minHits = 3

// best returns the scale that tells most, and how likely so many hits are by
// chance, for the best of all scales.
func (t *tally) best() (scale int, p float64) {
	p = 1
	for s := range t {
		n, h := t[s].events, t[s].hits
		if h < minHits {
			continue
		}
		if q := atLeast(h, n, t.expected(s)/float64(n)); q < p {
			scale, p = s, q
		}
	}
	// What follows short requests begins soon after them, too.
	if scale >= begun && scale < after && 2*t[within].hits < t[scale].hits {
		scale += after - begun
	}
	return scale, min(1, scales*p)
}

// against returns how unlikely so few hits are if that share of the requests
// that caused the calls is stored: the larger of the probabilities on two
// scales.
func (t *tally) against(stored float64) float64 {
	p := 0.0
	for _, s := range []int{within, after + 2} {
		n := t[s].events
		if n == 0 {
			return 1
		}
		chance := t.expected(s) / float64(n)
		caused := 0.8 * stored
		p = max(p, atMost(t[s].hits, n, caused+(1-caused)*chance))
	}
	return p
}

// evidence is what one orphan shows on each scale.
type evidence [scales]struct {
	hit    bool
	chance [3]float64
}

// requests is what came in at a pod.
type requests struct {
	slack  cover         // at the starts, until the latest end so far
	since  [scales]cover // at the starts or ends, until a tolerance later
	narrow int64         // half the near window's width
	ends   []int64
	buf    []*record
}

// newRequests takes what came in, in the order of its start.
func newRequests(in []*record) *requests {
	r := &requests{buf: in}
	lengths := make([]int64, 0, len(in))
	latest := int64(math.MinInt64)
	for _, s := range in {
		latest = max(latest, s.end)
		r.slack.at = append(r.slack.at, s.start)
		r.slack.until = append(r.slack.until, latest)
		r.ends = append(r.ends, s.end)
		lengths = append(lengths, s.end-s.start)
	}
	slices.Sort(r.ends)
	slices.Sort(lengths)
	r.narrow = max(1_000_000, 8*lengths[len(lengths)/2])
	for s := begun; s < scales; s++ {
		c := &r.since[s]
		c.at = r.slack.at
		if s >= after {
			c.at = r.ends
		}
		c.until = make([]int64, len(c.at))
		for k, t := range c.at {
			c.until[k] = t + tolerances[s]
		}
		c.measureUp(0)
	}
	return r
}

// judge returns the evidence of orphans of that pod, given in the order of
// their start. They may have begun between from and to.
func (r *requests) judge(orphans []*record, from, to int64) []evidence {
	out := make([]evidence, len(orphans))
	windows := make([][3]reach, len(orphans))
	r.slack.measureUp(0)
	whole := [2]reach{reachOf(&r.slack, from, to), reachOf(&r.since[after], from, to)}
	byLength := make(map[int64][]int)
	for i, o := range orphans {
		t := o.start
		k := place(r.slack.at, t)
		wideFrom, wideTo := t-10_000_000, t+10_000_000
		if j := k - 15; j >= 0 {
			wideFrom = min(wideFrom, r.slack.at[j])
		} else {
			wideFrom = from
		}
		if j := k + 16; j < len(r.slack.at) {
			wideTo = max(wideTo, r.slack.at[j])
		} else {
			wideTo = to
		}
		wideFrom, wideTo = max(wideFrom, from), min(wideTo, to)
		near := reachOf(&r.slack, max(t-r.narrow, from), min(t+r.narrow, to))
		wide := reachOf(&r.slack, wideFrom, wideTo)
		windows[i] = [3]reach{near, wide, whole[0]}

		out[i][within].hit = r.slack.has(t, k)
		out[i][nested].hit = k >= 0 && r.slack.until[k]-t >= o.end-t
		for w, window := range windows[i] {
			out[i][within].chance[w] = r.slack.share(window)
		}
		level := powerBelow(o.end - o.start)
		byLength[level] = append(byLength[level], i)

		ended := place(r.ends, t)
		wides := [2]reach{wide, reachOf(&r.since[after], wideFrom, wideTo)}
		for s := begun; s < scales; s++ {
			c, at, side := &r.since[s], k, 0
			if s >= after {
				at, side = ended, 1
			}
			out[i][s].hit = c.has(t, at)
			half := r.narrow + 4*tolerances[s]
			near := reachOf(c, max(t-half, from), min(t+half, to))
			out[i][s].chance = [3]float64{c.share(near), c.share(wides[side]), c.share(whole[side])}
		}
	}
	for level, places := range byLength {
		r.slack.measureUp(level)
		for _, i := range places {
			for w, window := range windows[i] {
				out[i][nested].chance[w] = r.slack.share(window)
			}
		}
	}
	return out
}

// powerBelow rounds a length down to a power of 1.25, which makes chance
// larger, and covers fewer.
func powerBelow(length int64) int64 {
	if length < 1 {
		return 0
	}
	return int64(math.Pow(1.25, math.Floor(math.Log(float64(length))/math.Log(1.25))))
}

// count adds the orphans of one pod, in the order of their start. Those that
// come together are one event: a batch of calls is one piece of evidence.
func (t *tally) count(orphans []*record, shown []evidence, use func(i int) bool) {
	for s := range t {
		g := tolerances[s]
		var first, last int64
		open := false
		for i, o := range orphans {
			if !use(i) {
				continue
			}
			if open && o.start < last+10_000+g && o.start < first+250_000+g {
				last = max(last, o.end)
				continue
			}
			open, first, last = true, o.start, o.end
			t[s].events++
			if shown[i][s].hit {
				t[s].hits++
			}
			for w := range t[s].chance {
				t[s].chance[w] += shown[i][s].chance[w]
			}
		}
	}
}
