package audit

// The limits of what is kept of a pair, to tell its routes by.
const (
	maxSamples    = 256
	maxCandidates = 32
	maxSteps      = 4096 // back in time, from an orphan
	rounds        = 15
)

// samples is an evenly spaced subsample of a pair's orphans.
type samples struct {
	kept   []*sample
	stride int
	seen   int
}

// next returns where to put the next orphan, or nil if it is passed over.
func (s *samples) next() *sample {
	if len(s.kept) == 2*maxSamples {
		for i := range maxSamples {
			s.kept[i] = s.kept[2*i]
		}
		clear(s.kept[maxSamples:])
		s.kept = s.kept[:maxSamples]
		s.stride *= 2
	}
	s.stride = max(s.stride, 1)
	s.seen++
	if (s.seen-1)%s.stride != 0 {
		return nil
	}
	sm := &sample{}
	s.kept = append(s.kept, sm)
	return sm
}

// sample is an orphan, with the requests that may have caused it.
type sample struct {
	orphan     Ref
	length     int64
	known      bool // by the request ID
	candidates []candidate
}

// candidate is a request that may have caused an orphan.
type candidate struct {
	request    Ref
	begin, end int64 // relative to the orphan's start
	route      int32 // its place
	relayed    bool  // has relayed a call to the same callee
	sameID     bool  // has the orphan's request ID
}

// sample finds the candidates of an orphan.
func (g *segment) sample(sm *sample, o *record, r *requests, known bool) {
	*sm = sample{orphan: Ref{o.trace, o.id}, length: o.end - o.start, known: known}
	k := place(r.slack.at, o.start)
	for steps := 0; k >= 0 && steps < maxSteps && len(sm.candidates) < maxCandidates; k, steps = k-1, steps+1 {
		if r.slack.until[k]+tolerances[scales-1] < o.start {
			break // nothing before ends later than that
		}
		in := r.buf[k]
		if in.end+tolerances[scales-1] < o.start || known && in.request != o.request {
			continue
		}
		sm.candidates = append(sm.candidates, candidate{
			request: Ref{in.trace, in.id},
			begin:   in.start - o.start, end: in.end - o.start,
			route: in.name, relayed: g.relayed(in, o.name), sameID: o.request != 0 && in.request == o.request,
		})
	}
}

// relayed reports whether a call to that callee was relayed for the request.
func (g *segment) relayed(in *record, callee int32) bool {
	return g.children[child{mix(in.trace, in.id), callee}]
}

// weight returns how well the candidate goes with the orphan, on that scale.
func (c *candidate) weight(scale int, length int64) float64 {
	served := 1 / float64(max(1, c.end-c.begin))
	w, tolerance := 0.0, tolerances[scale]
	switch since := -c.end; {
	case scale == nested && c.end < length, scale < after && c.end < 0, since > tolerance:
		return 0
	case scale < begun:
		w = served
	case scale < after && -c.begin <= tolerance, scale >= after && since > 0:
		w = 1 / float64(tolerance)
	default:
		w = 0.1 * served
	}
	if c.relayed {
		w *= 0.1
	}
	return w
}

// attribution says which requests caused a pair's orphans.
type attribution struct {
	weight, rate []float64 // by place of the route: orphans, and orphans a request
	calls        []int     // orphans of which the route is the likeliest cause
	cause        []int     // by sample: the likeliest candidate, or -1
	sure         []float64 // by sample: how likely it is
}

// attribute estimates, by expectation and maximisation, how many calls a
// request of each route causes, and how many come of nothing stored. in has
// the requests of each route, and busy is how long the pods were watched.
func (s *samples) attribute(scale int, in []int, busy float64) attribution {
	a := attribution{
		weight: make([]float64, len(in)), rate: make([]float64, len(in)), calls: make([]int, len(in)),
		cause: make([]int, len(s.kept)), sure: make([]float64, len(s.kept)),
	}
	if s.seen == 0 {
		return a
	}
	share := float64(len(s.kept)) / float64(s.seen)
	for r := range a.rate {
		a.rate[r] = 0.3
	}
	background := 0.2 * float64(len(s.kept)) / busy
	for round := range rounds {
		clear(a.weight)
		noise := 0.0
		for i, sm := range s.kept {
			total, best := 0.0, 0.0
			a.cause[i], a.sure[i] = -1, 0
			if !sm.known {
				total = background
			}
			weights := make([]float64, len(sm.candidates))
			byRoute := make(map[int32]float64)
			for j := range sm.candidates {
				c := &sm.candidates[j]
				w := a.rate[c.route] * c.weight(scale, sm.length)
				if sm.known {
					w = a.rate[c.route] / float64(max(1, c.end-c.begin))
				}
				weights[j] = w
				byRoute[c.route] += w
				total += w
				if w > best {
					a.cause[i], best = j, w
				}
			}
			if total == 0 {
				continue
			}
			if !sm.known {
				noise += background / total
			}
			a.sure[i] = best / total
			likeliest, most := int32(-1), 0.0
			if !sm.known {
				most = background
			}
			for j := range sm.candidates {
				c := &sm.candidates[j]
				a.weight[c.route] += weights[j] / total
				if w := byRoute[c.route]; w > most {
					likeliest, most = c.route, w
				}
			}
			if round == rounds-1 && likeliest >= 0 {
				a.calls[likeliest]++
			}
		}
		if round == rounds-1 {
			break
		}
		for r := range a.rate {
			a.rate[r] = a.weight[r] / max(1, float64(in[r])*share)
		}
		background = noise / busy
	}
	return a
}

// sameID returns the share of the orphans, of those with a cause, that have the
// request ID of it.
func (s *samples) sameID(a *attribution) float64 {
	same, caused := 0, 0
	for i, sm := range s.kept {
		if a.cause[i] >= 0 {
			caused++
			if sm.candidates[a.cause[i]].sameID {
				same++
			}
		}
	}
	return float64(same) / float64(max(1, caused))
}

// losing returns the places of the routes that lose traces: each has caused
// some calls, and more of them the more of the calls chance would have
// coincide with any request.
func (a *attribution) losing(chance float64) (routes []int) {
	sum := 0.0
	for _, w := range a.weight {
		sum += w
	}
	for r, w := range a.weight {
		if w >= 2 && w >= max(0.05, 0.3*chance)*sum && a.rate[r] >= 0.02 && a.calls[r] > 0 {
			routes = append(routes, r)
		}
	}
	return routes
}
