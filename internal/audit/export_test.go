package audit

// SetWindow makes the window smaller.
func (a *Auditor) SetWindow(n int) { a.window = n }

// SetPods makes the number of pods smaller.
func (a *Auditor) SetPods(n int) { a.pods.most = n }

// What the tests hold against a truth of their own.
var (
	AtLeast  = atLeast
	AtMost   = atMost
	Template = template
)

// Share returns which share of the time between from and to is at most less
// before the end of one of the requests, each a start and an end.
func Share(requests [][2]int64, less, from, to int64) float64 {
	var in []*record
	for _, r := range requests {
		in = append(in, &record{start: r[0], end: r[1]})
	}
	c := &newRequests(in).slack
	c.measureUp(less)
	return c.share(reachOf(c, from, to))
}
