package audit

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The levels of the decisions. With the first, a service is named; with the
// second, a callee of a named service. They were found by measuring.
const (
	level       = 0.001
	calleeLevel = 0.01
	// clearLevel is how unlikely it must be that calls that match no request
	// were caused by requests, to say that a service begins them itself, and
	// likelyLevel the same for a callee of a service that is named.
	clearLevel  = 0.005
	likelyLevel = 0.05
	// surest is the highest confidence that is claimed: the level holds for
	// meshes like those that were simulated.
	surest = 0.9999
)

// suspect is a service's calls of one class, on trial.
type suspect struct {
	service, class int
	p, weight      float64
}

// naming says how a service is named, if it is.
type naming struct {
	byID bool
	q    [classes]float64 // 1 if it is not named for that class
}

func (n *naming) named() bool { return n.byID || n.q[orphaned] <= level || n.q[madeUp] <= level }

// try names services, by Holm's procedure with weights: whoever never relays to
// a callee is likelier to lose the trace, and that does not depend on times.
func (a *Auditor) try() []naming {
	named := make([]naming, len(a.service))
	var suspects []suspect
	left := 0.0
	for i, s := range a.service {
		named[i].q = [classes]float64{1, 1}
		if s.gateway {
			continue
		}
		for class := range s.tests {
			if s.tests[class][within].events == 0 {
				continue
			}
			x := suspect{service: i, class: class, weight: 1}
			_, x.p = s.tests[class].best()
			for _, p := range s.pairs {
				if class == orphaned && p.begun > 0 && p.relayed == 0 {
					x.weight = 9
				}
			}
			left += x.weight
			suspects = append(suspects, x)
		}
		for _, p := range s.pairs {
			named[i].byID = named[i].byID || p.byRequest > 0
		}
	}
	slices.SortStableFunc(suspects, func(x, y suspect) int { return cmp.Compare(x.p/x.weight, y.p/y.weight) })
	q := 0.0
	for _, x := range suspects {
		q = min(1, max(q, x.p*left/x.weight))
		left -= x.weight
		named[x.service].q[x.class] = q
	}
	return named
}

// finding is what is known of a pair whose service is named.
type finding struct {
	class, scale int
	p            float64
	named        bool
}

func (a *Auditor) find(s *service, n naming, p *pair) finding {
	best := finding{p: 1}
	callees := 0
	for _, q := range s.pairs {
		if q.begun > 0 {
			callees++
		}
	}
	for class := range p.tests {
		if n.q[class] > level && (class != orphaned || !n.byID) {
			continue
		}
		scale, chance := p.tests[class].best()
		if chance = min(1, chance*float64(max(callees, 1))); chance < best.p {
			best = finding{class: class, scale: scale, p: chance, named: chance <= calleeLevel}
		}
	}
	if p.byRequest > 0 {
		if best.class != orphaned {
			best = finding{class: orphaned, p: 1}
		}
		best.named = true
	}
	return best
}

// stored estimates which share of the requests is stored: what is given, less
// what was lost on the way, or, if nothing is given, what the clearest of the
// named pairs shows. It returns 0 if there is no telling.
func (a *Auditor) stored(named []naming) float64 {
	if a.Sampling > 0 {
		return a.Sampling * (1 - a.loss())
	}
	most := 0.0
	for i, s := range a.service {
		if !named[i].named() {
			continue
		}
		for _, p := range s.pairs {
			f := a.find(s, named[i], p)
			t := &p.tests[orphaned][f.scale]
			if !f.named || f.class != orphaned || t.events < 8 {
				continue
			}
			e := p.tests[orphaned].expected(f.scale)
			most = max(most, (float64(t.hits)-e)/max(1, float64(t.events)-e))
		}
	}
	return min(most, 1)
}

func (a *Auditor) loss() float64 {
	if a.total.child == 0 {
		return 0
	}
	return float64(a.total.lost) / float64(a.total.child)
}

func (a *Auditor) judge(s *service, n naming, stored float64) Service {
	out := Service{Service: s.name, Callees: []Callee{}}
	received := 0
	for _, c := range s.in {
		received += c
	}
	for _, id := range s.order {
		p := s.pairs[id]
		c := Callee{Service: a.hostName(id), Calls: p.relayed + p.begun, Begun: p.begun}
		f := a.find(s, n, p)
		switch {
		case s.gateway && p.begun > 0:
			c.Verdict, c.Why = Origin, "it is a gateway"
		case received == 0 && s.long == 0 && p.relayed == 0:
			c.Verdict, c.Why = Origin, "nothing came in"
		case n.named() && f.named:
			a.accuse(&c, s, n, p, f)
		case p.begun == 0:
			c.Verdict, c.Why = Relays, fmt.Sprintf("%d calls, none begins a trace", p.relayed)
		case n.named() && p.relayed == 0 && (stored == 0 || p.tests[orphaned].against(stored) > likelyLevel):
			c.Verdict = Likely
			c.Why = fmt.Sprintf("none of %s passes the trace on, and other calls of the service lose it", plural(p.begun, "call"))
		default:
			a.excuse(&c, s, p, stored)
		}
		out.Callees = append(out.Callees, c)
	}
	slices.SortStableFunc(out.Callees, func(x, y Callee) int {
		return cmp.Or(worse(x.Verdict, y.Verdict), cmp.Compare(y.Begun, x.Begun), strings.Compare(x.Service, y.Service))
	})
	out.Verdict = out.Callees[0].Verdict
	return out
}

// accuse fills in why the pair is named, and for which routes.
func (a *Auditor) accuse(c *Callee, s *service, n naming, p *pair, f finding) {
	c.Verdict = Drops
	t := &p.tests[f.class][f.scale]
	expected := p.tests[f.class].expected(f.scale)
	chance := fmt.Sprintf("%d of %d, where chance would give %.1f", t.hits, t.events, expected)
	q := max(n.q[f.class], f.p)
	if p.byRequest > 0 {
		q = 0
	}
	c.Confidence = math.Round(min(1-q, surest)*1e4) / 1e4

	seen := &p.seen[f.class]
	c.First, c.Last = time.UnixMicro(seen.first).UTC(), time.UnixMicro(seen.last).UTC()
	busy := max(1, float64(a.total.to-a.total.from)*float64(len(seen.pods)))
	sm := &p.samples[f.class]
	at := sm.attribute(f.scale, s.in, busy)
	switch {
	case f.class == orphaned && (2*float64(p.byRequest) > float64(t.hits)-expected || sm.sameID(&at) > 0.5):
		c.Kind = KindRequestID
		c.Why = "they have the x-request-id of a request that came in with another trace"
		if t.hits >= minHits {
			c.Why += ": " + chance
		}
	case f.class == madeUp:
		c.Kind = KindMadeUp
		c.Begun = int(min(int64(c.Calls), int64(p.samples[madeUp].seen)))
		c.Why = fmt.Sprintf("the parents of %.0f %% of its calls are not stored, of others' %.0f %%, and the calls lie inside requests: %s",
			100*float64(s.missing)/float64(s.relayed), 100*a.loss(), chance)
	case f.scale >= after:
		c.Kind = KindAfterAnswer
		c.Why = fmt.Sprintf("they begin within %d ms of an answer: %s", tolerances[f.scale]/1000, chance)
	case f.scale == nested:
		c.Kind = KindDrops
		c.Why = "they lie inside a request: " + chance
	case f.scale == within:
		c.Kind = KindDrops
		c.Why = "they begin during a request: " + chance
	default:
		c.Kind = KindDrops
		c.Why = fmt.Sprintf("they begin within %d ms after a request: %s", tolerances[f.scale]/1000, chance)
	}

	if len(sm.kept) > 0 {
		scale := float64(sm.seen) / float64(len(sm.kept))
		for _, r := range at.losing(expected / float64(max(1, t.events))) {
			begun := int(math.Round(at.weight[r] * scale))
			relayed := 0
			if r < len(p.relayedBy) {
				relayed = p.relayedBy[r]
			}
			c.Routes = append(c.Routes, Route{Route: a.routes.all[s.routes[r]], Calls: relayed + begun, Begun: begun})
		}
		slices.SortStableFunc(c.Routes, func(x, y Route) int { return cmp.Compare(y.Begun, x.Begun) })
	}
	c.Examples = sm.examples(&at)
	c.Pods, c.OfPods = a.podsOf(s, seen)
}

// examples returns the two pairs that are surest.
func (s *samples) examples(at *attribution) []Example {
	var places []int
	for i := range s.kept {
		if at.cause[i] >= 0 {
			places = append(places, i)
		}
	}
	slices.SortStableFunc(places, func(x, y int) int { return cmp.Compare(at.sure[y], at.sure[x]) })
	var out []Example
	for _, i := range places[:min(2, len(places))] {
		sm := s.kept[i]
		out = append(out, Example{Parent: sm.candidates[at.cause[i]].request, Orphan: sm.orphan})
	}
	return out
}

// podsOf returns the pods whose calls to the callee begin traces, unless all
// of the service's do.
func (a *Auditor) podsOf(s *service, seen *sightings) (names []string, of int) {
	for id, pod := range a.pod {
		if a.service[pod.service] != s || pod.in == 0 {
			continue
		}
		of++
		if seen.pods[int32(id)] > 0 { // #nosec G115 -- at most maxNames
			name := pod.name
			if pod.version != "" {
				name += " (" + pod.version + ")"
			}
			names = append(names, name)
		}
	}
	if len(names) == of {
		names = nil
	}
	slices.Sort(names)
	return names, of
}

// enough is how many of a service's calls must be caused by stored requests
// for a name: with twenty stored whole, all were found, and under sampling
// eight true matches.
const enough, enoughMatches = 20, 8

// least is the share of the requests that is recorded at least: Istio's
// default.
const least = 0.01

// excuse says why the pair is not named although its calls begin traces. That
// share of the requests is stored, or it is not known if it is 0.
func (a *Auditor) excuse(c *Callee, s *service, p *pair, stored float64) {
	t := &p.tests[orphaned]
	counts := fmt.Sprintf("%d of %d match a request, chance would give %.1f", t[within].hits, t[within].events, t.expected(within))
	clocked := 10*p.clocked >= 9*p.begun
	clock := fmt.Sprintf("they go by a clock, every %v", time.Duration(s.period)*time.Microsecond)
	need := enough
	if a.Sampling > 0 {
		need = max(enough, int(math.Ceil(enoughMatches/max(stored, least))))
	}
	// Long requests that overlap make a pod busy, too, though not on the scales
	// of what begins soon after one.
	busy := t[within].events > 0
	for scale := range t {
		busy = busy && t.expected(scale) > 0.5*float64(t[scale].events)
	}
	busy = busy || t.expected(within) > 0.9*float64(t[within].events)
	c.Verdict = Unclear
	switch {
	case s.long > 0:
		c.Why = "it serves requests that last for more than a minute, and they may cause calls at any time"
	case clocked && 2*p.clockHits > p.clocked && atLeast(p.clockHits, p.clocked, p.clockChance/float64(p.clocked)) <= calleeLevel:
		c.Why = clock + ", and so do requests"
	case clocked && stored < 0.5:
		c.Why = clock + ", and so may requests that are not recorded"
	case clocked && 2*p.clockHits > p.clocked:
		c.Why = fmt.Sprintf("%s; %d of %d coincide with a request, chance would give %.1f", clock, p.clockHits, p.clocked, p.clockChance)
	case clocked:
		c.Verdict, c.Why = Begins, clock
	case t[within].events == 0:
		c.Why = "no request is stored of the pods that made them"
	case t.against(max(stored, least)) <= clearLevel:
		c.Verdict, c.Why = Begins, "they are not tied to requests: "+counts
	case p.begun < need:
		c.Why = fmt.Sprintf("%s; %d would do", plural(p.begun, "call"), need)
	case busy:
		c.Why = "its pods are busy all the time, so that every call coincides with a request"
	case stored == 0:
		c.Why = "which share of the requests is recorded is not known; " + counts
	default:
		c.Why = counts
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// hostName returns the name of the service that answers at the host, as its
// spans have it, or the host's without what all have.
func (a *Auditor) hostName(callee int32) string {
	h := a.callee[callee]
	if h.service >= 0 {
		return a.service[h.service].name
	}
	name := h.host
	if i := strings.Index(name, ".svc."); i > 0 {
		name = name[:i]
	} else {
		name = strings.TrimSuffix(name, ".svc")
	}
	if !a.known(name) {
		if short, _, ok := strings.Cut(name, "."); ok && a.known(short) {
			return short
		}
	}
	return name
}

func (a *Auditor) known(name string) bool {
	_, app := a.svcs.ids[serviceKey{name, false}]
	return app || a.hasProxy(name)
}
