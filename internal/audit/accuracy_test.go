package audit_test

import (
	"flag"
	"fmt"
	"sync"
	"testing"

	"github.com/tracebaton/tracebaton/internal/audit"
	"github.com/tracebaton/tracebaton/internal/audit/meshsim"
)

var (
	meshes = flag.Int("meshes", 0, "meshes a condition, for the whole table of accuracy (200); 0 is a short version")
	first  = flag.Uint64("seed", 1, "first seed")
)

type score struct {
	meshes, spans, named, falseNamed, lost, found, many, manyFound              int
	pairs, falsePairs, manyPairs, manyPairsFound, likely, falseLikely           int
	routes, falseRoutes, kinds, drops, dropsFound, id, idFound, late, lateFound int
	cleared, clearedWrongly                                                     int
	wrong                                                                       []string
}

func (s *score) add(seed uint64, r audit.Report, truth meshsim.Truth, spans int) {
	s.meshes++
	s.spans += spans
	type pair struct{ service, callee string }
	pairs, edges := map[pair]int{}, map[meshsim.Edge]bool{}
	for e, n := range truth.Lost {
		pairs[pair{e.Service, e.Callee}] += n
		edges[e] = true
	}
	services := truth.Services()
	named, namedPairs := map[string]bool{}, map[pair]bool{}
	for _, v := range r.Services {
		if v.Verdict == audit.Drops {
			s.named++
			named[v.Service] = true
			if services[v.Service] == 0 {
				s.falseNamed++
				s.wrong = append(s.wrong, fmt.Sprintf("seed %d: %s: %s", seed, v.Service, v.Callees[0].Why))
			}
		}
		for _, c := range v.Callees {
			p := pair{v.Service, c.Service}
			switch c.Verdict {
			case audit.Drops:
				s.pairs++
				namedPairs[p] = true
				if pairs[p] == 0 {
					s.falsePairs++
				}
				if c.Kind == truth.Kinds[v.Service] {
					s.kinds++
				}
				for _, route := range c.Routes {
					s.routes++
					if !edges[meshsim.Edge{Service: v.Service, Route: route.Route, Callee: c.Service}] {
						s.falseRoutes++
					}
				}
			case audit.Likely:
				s.likely++
				if pairs[p] == 0 {
					s.falseLikely++
				}
			case audit.Begins:
				s.cleared++
				if pairs[p] > 0 {
					s.clearedWrongly++
				}
			}
		}
	}
	for name, n := range services {
		all, found := &s.drops, &s.dropsFound
		switch truth.Kinds[name] {
		case audit.KindRequestID:
			all, found = &s.id, &s.idFound
		case audit.KindAfterAnswer:
			all, found = &s.late, &s.lateFound
		}
		*all++
		s.lost++
		if n >= 20 {
			s.many++
		}
		if named[name] {
			*found++
			s.found++
			if n >= 20 {
				s.manyFound++
			}
		}
	}
	for p, n := range pairs {
		if n >= 5 {
			s.manyPairs++
			if namedPairs[p] {
				s.manyPairsFound++
			}
		}
	}
}

func (s *score) String() string {
	return fmt.Sprintf("%4d | %6d | %d | %d/%d | %d/%d | %d/%d | %d/%d | %d/%d | %d of %d | %d/%d | %d of %d | %d of %d | %d/%d | %d of %d",
		s.meshes, s.spans/max(1, s.meshes), s.falseNamed, s.found, s.lost, s.manyFound, s.many,
		s.dropsFound, s.drops, s.idFound, s.id, s.lateFound, s.late,
		s.falsePairs, s.pairs, s.manyPairsFound, s.manyPairs, s.falseLikely, s.likely, s.falseRoutes, s.routes, s.kinds, s.pairs, s.clearedWrongly, s.cleared)
}

type condition struct {
	name string
	meshsim.Config
}

func run(t *testing.T, c condition, first, n uint64) *score {
	t.Helper()
	var s score
	var mu sync.Mutex
	var wait sync.WaitGroup
	for worker := range uint64(2) {
		wait.Go(func() {
			for seed := first + worker; seed < first+n; seed += 2 {
				cfg := c.Config
				cfg.Seed = seed
				spans, truth := meshsim.Run(cfg)
				a := audit.Auditor{Sampling: cfg.Sampling}
				if cfg.Sampling == 0 {
					a.Sampling = 1
				}
				for _, span := range spans {
					a.Add(span)
				}
				r := a.Report()
				mu.Lock()
				s.add(seed, r, truth, len(spans))
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return &s
}

func TestAccuracy(t *testing.T) {
	n := uint64(*meshes) // #nosec G115 -- a flag
	if n == 0 {
		n = 3
	}
	var conditions []condition
	for _, rate := range []float64{1, 8, 60, 300} {
		for _, sampling := range []float64{1, 0.1} {
			for _, loss := range []float64{0, 0.2} {
				c := meshsim.Config{Rate: rate, Seconds: 60, Sampling: sampling, Loss: loss}
				switch rate {
				case 60:
					c.Seconds = 30
				case 300:
					c.Seconds = 10
				}
				conditions = append(conditions, condition{fmt.Sprintf("%v/s, %.0f %%, %.0f %% lost", rate, 100*sampling, 100*loss), c})
			}
		}
	}
	for _, loss := range []float64{0, 0.2} {
		conditions = append(conditions,
			condition{fmt.Sprintf("8/s, bursts and polling, %.0f %% lost", 100*loss), meshsim.Config{Rate: 8, Seconds: 60, Loss: loss, Bursts: true, Poll: true}},
			condition{fmt.Sprintf("8/s, honest, bursts and polling, %.0f %% lost", 100*loss), meshsim.Config{Rate: 8, Seconds: 60, Loss: loss, Bursts: true, Poll: true, Honest: true}},
			condition{fmt.Sprintf("8/s, odd, %.0f %% lost", 100*loss), meshsim.Config{Rate: 8, Seconds: 60, Loss: loss, Odd: true}},
			condition{fmt.Sprintf("8/s, honest, odd, bursts and polling, %.0f %% lost", 100*loss), meshsim.Config{Rate: 8, Seconds: 60, Loss: loss, Odd: true, Honest: true, Bursts: true, Poll: true}},
		)
	}
	conditions = append(conditions,
		condition{"8/s, 10 % by request ID", meshsim.Config{Rate: 8, Seconds: 60, Sampling: 0.1, ByID: true}},
		condition{"8/s, 10 %, honest, bursts and polling", meshsim.Config{Rate: 8, Seconds: 60, Sampling: 0.1, Honest: true, Bursts: true, Poll: true}},
	)
	var all, wrong int
	for _, c := range conditions {
		t.Run(c.name, func(t *testing.T) {
			if *meshes == 0 && c.Rate > 8 {
				t.Skip("takes long: run with -meshes 200")
			}
			s := run(t, c, *first, n)
			t.Logf("%-50s | %s", c.name, s)
			for _, w := range s.wrong {
				t.Log(w)
			}
			all, wrong = all+s.meshes, wrong+s.falseNamed
			if c.Sampling == 1 && c.Rate <= 8 && 10*s.manyFound < 9*s.many {
				t.Errorf("of %d that lose twenty traces or more only %d are found", s.many, s.manyFound)
			}
		})
	}
	if wrong > 1+all/1000 {
		t.Errorf("%d false names in %d meshes", wrong, all)
	}
}
