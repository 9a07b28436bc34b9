package audit

import "time"

// periods are those of clocks that services go by.
var periods = [...]time.Duration{
	100 * time.Millisecond, 200 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	1 * time.Second, 2 * time.Second, 3 * time.Second, 5 * time.Second, 6 * time.Second, 10 * time.Second,
	15 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute,
}

// byClock finds the calls of one service that come at the same moment of every
// second, minute or the like, and returns the period that most of them keep,
// or 0. A caller that goes by the clock and a timer that does so too coincide,
// and neither causes the other.
func byClock(calls []*record, found map[*record]bool) (period int64) {
	const apart = 250_000
	var starts []int64
	for _, c := range calls {
		if len(starts) == 0 || c.start >= starts[len(starts)-1]+apart {
			starts = append(starts, c.start)
		}
	}
	if len(starts) < 4 {
		return 0
	}
	length := starts[len(starts)-1] - starts[0]
	most := 0
	for _, d := range periods {
		t := d.Microseconds()
		if 3*t > length {
			break
		}
		width := min(max(t/20, 10_000), 100_000)
		bins := t / width
		for _, offset := range []int64{0, width / 2} {
			bin := func(start int64) int64 { return mod(start+offset, t) / width }
			counts := make([]int, bins+1)
			fullest := int64(0)
			for _, start := range starts {
				b := bin(start)
				counts[b]++
				if counts[b] > counts[fullest] {
					fullest = b
				}
			}
			k := counts[fullest]
			if k < 4 || atLeast(k, len(starts), float64(width)/float64(t))*float64(bins)*float64(2*len(periods)) >= 0.001 {
				continue
			}
			// What comes once a second comes at one moment of each tenth of a
			// second, too: the longest period that keeps them together is
			// theirs, but for a few that fall into the next bin.
			if 10*k >= 9*most {
				period, most = t, max(most, k)
			}
			for _, c := range calls {
				if away := mod(bin(c.start)-fullest, bins); away <= 1 || away == bins-1 {
					found[c] = true
				}
			}
		}
	}
	return period
}

func mod(a, b int64) int64 { return (a%b + b) % b }
