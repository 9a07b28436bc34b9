package audit_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/internal/audit"
	"github.com/tracebaton/tracebaton/internal/audit/meshsim"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// recording is spans that a test makes up. Times are in milliseconds.
type recording struct {
	*rand.Rand
	spans []audit.Span
	last  uint64
}

func record() *recording { return &recording{Rand: rand.New(rand.NewPCG(7, 7))} }

func (r *recording) span(s audit.Span, start, length float64) audit.Span {
	r.last++
	s.ID = r.last
	if s.Trace == (audit.TraceID{}) {
		s.Trace = audit.TraceID{High: 1, Low: r.last}
	}
	s.Proxy = true
	s.Start = noon.Add(time.Duration(start * float64(time.Millisecond)))
	s.Duration = time.Duration(length * float64(time.Millisecond))
	r.spans = append(r.spans, s)
	return s
}

// request is one to cart, that takes 20 ms, or as long as given.
func (r *recording) request(start, length float64, change ...func(*audit.Span)) audit.Span {
	s := audit.Span{Service: "cart.shop", Pod: "cart-1", Kind: audit.Server, Route: "GET /cart"}
	for _, c := range change {
		c(&s)
	}
	return r.span(s, start, length)
}

// call is one from cart to prices.
func (r *recording) call(start, length float64, change ...func(*audit.Span)) audit.Span {
	s := audit.Span{Service: "cart.shop", Pod: "cart-1", Kind: audit.Client, Callee: "prices.shop.svc.cluster.local"}
	for _, c := range change {
		c(&s)
	}
	return r.span(s, start, length)
}

func below(parent audit.Span) func(*audit.Span) {
	return func(s *audit.Span) { s.Trace, s.Parent = parent.Trace, parent.ID }
}

func at(route string) func(*audit.Span)     { return func(s *audit.Span) { s.Route = route } }
func to(host string) func(*audit.Span)      { return func(s *audit.Span) { s.Callee = host } }
func with(request string) func(*audit.Span) { return func(s *audit.Span) { s.RequestID = request } }
func on(pod string) func(*audit.Span)       { return func(s *audit.Span) { s.Pod = pod } }
func gateway(s *audit.Span)                 { s.Gateway = true }
func from(service string) func(*audit.Span) {
	return func(s *audit.Span) { s.Service, s.Pod = service, service }
}

// when returns the moments of n requests, about half a second apart.
func (r *recording) when(n int) []float64 {
	var at []float64
	t := 0.0
	for range n {
		t += 100 + 800*r.Float64()
		at = append(at, t)
	}
	return at
}

func report(a *audit.Auditor, spans []audit.Span) audit.Report {
	for _, s := range spans {
		a.Add(s)
	}
	return a.Report()
}

// verdict returns that on a service's calls to another.
func verdict(t *testing.T, r audit.Report, service, callee string) audit.Callee {
	t.Helper()
	for _, s := range r.Services {
		for _, c := range s.Callees {
			if s.Service == service && c.Service == callee {
				return c
			}
		}
	}
	require.FailNow(t, "no verdict", "on %s to %s: %+v", service, callee, r.Services)
	return audit.Callee{}
}

func TestVerdicts(t *testing.T) {
	tests := []struct {
		name    string
		record  func(*recording)
		verdict audit.Verdict
		kind    string
	}{
		{"calls that begin a trace inside a request are dropped headers", func(r *recording) {
			for _, t := range r.when(20) {
				r.request(t, 20)
				r.call(t+5, 10)
			}
		}, audit.Drops, audit.KindDrops},
		{"calls that begin in a request and outlast it are, too", func(r *recording) {
			for _, t := range r.when(20) {
				r.request(t, 20)
				r.call(t+5, 100)
			}
		}, audit.Drops, audit.KindDrops},
		{"calls soon after an answer are dropped headers of another kind", func(r *recording) {
			for _, t := range r.when(20) {
				r.request(t, 20)
				r.call(t+25+10*r.Float64(), 10)
			}
		}, audit.Drops, audit.KindAfterAnswer},
		{"children of requests are relayed", func(r *recording) {
			for _, t := range r.when(20) {
				r.call(t+5, 10, below(r.request(t, 20)))
			}
		}, audit.Relays, ""},
		{"three coincidences are enough where requests are rare", func(r *recording) {
			for _, t := range r.when(3) {
				r.request(100*t, 20)
				r.call(100*t+5, 10)
			}
		}, audit.Drops, audit.KindDrops},
		{"two are not, however rare", func(r *recording) {
			for _, t := range r.when(2) {
				r.request(1000*t, 2)
				r.call(1000*t+1, 1)
			}
		}, audit.Unclear, ""},
		{"a batch of calls counts as one", func(r *recording) {
			for _, t := range r.when(2) {
				r.request(100*t, 200)
				for i := range 10 {
					r.call(100*t+5+15*float64(i), 10)
				}
			}
		}, audit.Unclear, ""},
		{"calls that do not heed requests are the service's own", func(r *recording) {
			for _, t := range r.when(200) {
				r.request(t, 20)
				r.call(200*1000*r.Float64(), 10)
			}
		}, audit.Begins, ""},
		{"a caller and a timer that go by one clock prove nothing", func(r *recording) {
			for t := range 60 {
				r.request(1000*float64(t)+2*r.Float64(), 20)
				r.call(1000*float64(t)+5+2*r.Float64(), 10)
			}
		}, audit.Unclear, ""},
		{"a timer that goes by a clock of its own does not", func(r *recording) {
			for t := range 60 {
				r.request(1000*float64(t)+700*r.Float64(), 20)
				r.call(1000*float64(t)+900+2*r.Float64(), 10)
			}
		}, audit.Begins, ""},
		{"a service without requests begins traces", func(r *recording) {
			for _, t := range r.when(20) {
				r.call(t, 10)
			}
		}, audit.Origin, ""},
		{"a gateway begins traces, whatever coincides", func(r *recording) {
			for _, t := range r.when(20) {
				r.request(t, 20, gateway)
				r.call(t+5, 10, gateway)
			}
		}, audit.Origin, ""},
		{"a request's ID in another trace is proof, once", func(r *recording) {
			r.request(0, 20, with("a"))
			r.call(5, 10, with("a"))
		}, audit.Drops, audit.KindRequestID},
		{"so it is on the caller's span, where the own one is lost", func(r *recording) {
			front := r.span(audit.Span{Service: "front.shop", Kind: audit.Client, Callee: "cart.shop"}, 0, 30)
			r.request(1, 20, below(front)) // says whose host that is
			r.span(audit.Span{Service: "front.shop", Kind: audit.Client, Callee: "cart.shop", RequestID: "a"}, 1000, 30)
			r.call(1005, 10, with("a"), on("cart-2"))
		}, audit.Drops, audit.KindRequestID},
		{"an ID that comes with many requests is not", func(r *recording) {
			for i := range 10 {
				r.request(100*float64(i), 20, with("load-test"))
			}
			r.call(2005, 10, with("load-test"))
		}, audit.Unclear, ""},
		{"nor one that came back later", func(r *recording) {
			r.call(0, 100, with("a"))
			r.request(50, 20, with("a"))
		}, audit.Unclear, ""},
		{"nor one of the same trace", func(r *recording) {
			own := r.call(0, 100, with("a"))
			r.request(0, 20, with("a"), below(own)) // it came back
		}, audit.Unclear, ""},
		{"a parent that is not stored is not a header that is missing", func(r *recording) {
			for _, t := range r.when(40) {
				front := r.span(audit.Span{Service: "front.shop", Kind: audit.Client, Callee: "cart.shop"}, t-1, 30)
				in := r.request(t, 20, below(front))
				r.call(t+5, 10, below(in))
				if r.IntN(2) == 0 { // the store loses both
					r.spans = slices.Delete(r.spans, len(r.spans)-3, len(r.spans)-1)
				}
			}
		}, audit.Relays, ""},
		{"but parents that nobody stores are made up", func(r *recording) {
			for _, t := range r.when(40) {
				front := r.span(audit.Span{Service: "front.shop", Kind: audit.Client, Callee: "cart.shop"}, t-1, 30)
				r.request(t, 20, below(front))
				r.call(t+5, 10, func(s *audit.Span) { s.Parent = r.Uint64() })
			}
		}, audit.Drops, audit.KindMadeUp},
		{"nor are they where the trace comes to the service itself", func(r *recording) {
			for _, t := range r.when(40) {
				r.request(t, 20)
				out := r.call(t+5, 10, func(s *audit.Span) { s.Parent = r.Uint64() })
				r.request(t+8, 2, below(out))
			}
		}, audit.Relays, ""},
		{"nor where another service has a span before", func(r *recording) {
			for _, t := range r.when(40) {
				r.request(t, 20)
				out := r.call(t+5, 10, func(s *audit.Span) { s.Parent = r.Uint64() })
				r.span(audit.Span{Service: "front.shop", Kind: audit.Server, Trace: out.Trace}, t-1, 30)
			}
		}, audit.Relays, ""},
		{"a span ID that both sides share is no parent that is missing", func(r *recording) {
			for _, t := range r.when(40) {
				front := r.span(audit.Span{Service: "front.shop", Kind: audit.Client, Callee: "cart.shop"}, t-1, 30)
				in := r.request(t, 20, func(s *audit.Span) { s.Trace = front.Trace })
				r.spans[len(r.spans)-1].ID = front.ID
				in.ID = front.ID
				r.call(t+5, 10, below(in))
			}
		}, audit.Relays, ""},
		{"a request of more than a minute tells nothing", func(r *recording) {
			r.request(0, 90_000)
			for _, t := range r.when(20) {
				r.call(t, 10)
			}
		}, audit.Unclear, ""},
		{"so no calls of a service with such requests are its own", func(r *recording) {
			r.request(0, 90_000)
			for _, t := range r.when(200) {
				r.request(t, 20)
				r.call(200*1000*r.Float64(), 10)
			}
		}, audit.Unclear, ""},
		{"calls that follow the load, and no request, are not dropped", func(r *recording) {
			for burst := range 6 {
				from := 30_000 * float64(burst)
				for range 100 {
					r.request(from+5000*r.Float64(), 20)
				}
				for range 10 {
					r.call(from+5000*r.Float64(), 10)
				}
			}
		}, audit.Unclear, ""},
		{"a request to another pod tells nothing", func(r *recording) {
			for _, t := range r.when(20) {
				r.request(t, 20, on("cart-2"))
				r.call(t+5, 10)
			}
		}, audit.Unclear, ""},
		{"pods that are always busy tell nothing", func(r *recording) {
			for i := range 40 {
				r.request(500*float64(i), 5000)
			}
			for _, t := range r.when(30) {
				r.call(t, 10)
			}
		}, audit.Unclear, ""},
		{"a call to itself, inside its request, is dropped as others are", func(r *recording) {
			for _, t := range r.when(20) {
				r.request(t, 20)
				r.request(t+6, 5, below(r.call(t+5, 10, to("cart.shop.svc.cluster.local"))))
			}
		}, audit.Drops, audit.KindDrops},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := record()
			tt.record(r)
			rep := report(&audit.Auditor{Sampling: 1}, r.spans)
			require.Len(t, rep.Services[0].Callees, 1)
			c := rep.Services[0].Callees[0]
			assert.Equal(t, tt.verdict, c.Verdict, c.Why)
			assert.Equal(t, tt.kind, c.Kind)
			assert.NotEmpty(t, c.Why)
		})
	}
}

func TestWhatIsNotRecordedClearsNobody(t *testing.T) {
	r := record()
	for _, t := range r.when(200) {
		r.request(t, 20)
		r.call(200*1000*r.Float64(), 10)
	}
	c := verdict(t, report(&audit.Auditor{}, r.spans), "cart.shop", "prices.shop")
	assert.Equal(t, audit.Unclear, c.Verdict)
	assert.Contains(t, c.Why, "is not known")

	// Where another service shows that nearly all requests are stored, they are.
	for _, t := range r.when(100) {
		r.request(t, 20, from("bad.shop"))
		r.call(t+5, 10, from("bad.shop"))
	}
	c = verdict(t, report(&audit.Auditor{}, r.spans), "cart.shop", "prices.shop")
	assert.Equal(t, audit.Begins, c.Verdict)
}

func TestWhyNothingCanBeToldIsSaid(t *testing.T) {
	few := func(r *recording) {
		for _, t := range r.when(3) {
			r.request(t, 20)
			r.call(t+400*r.Float64(), 10)
		}
	}
	tests := map[string]struct {
		record   func(*recording)
		sampling float64
		why      string
	}{
		"too few calls":           {few, 1, "3 calls; 20 would do"},
		"too few of those stored": {few, 0.1, "3 calls; 80 would do"},
		"pods that are always busy": {func(r *recording) {
			for i := range 40 {
				r.request(500*float64(i), 5000)
			}
			for _, t := range r.when(30) {
				r.call(t, 10)
			}
		}, 1, "its pods are busy all the time, so that every call coincides with a request"},
		"streams": {func(r *recording) {
			r.request(0, 90_000)
			few(r)
		}, 1, "it serves requests that last for more than a minute, and they may cause calls at any time"},
		"requests of other pods": {func(r *recording) {
			for _, t := range r.when(30) {
				r.request(t, 20, on("cart-2"))
				r.call(t, 10)
			}
		}, 1, "no request is stored of the pods that made them"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := record()
			tt.record(r)
			c := verdict(t, report(&audit.Auditor{Sampling: tt.sampling}, r.spans), "cart.shop", "prices.shop")
			assert.Equal(t, audit.Unclear, c.Verdict)
			assert.Equal(t, tt.why, c.Why)
		})
	}
}

func TestReportNamesRoutesExamplesPodsAndMoments(t *testing.T) {
	nobody := func(s *audit.Span) { s.Parent = s.ID + 1<<40 }
	for name, begin := range map[string]func(*audit.Span){"of orphans": func(*audit.Span) {}, "of made-up parents": nobody} {
		t.Run(name, func(t *testing.T) {
			r := record()
			var parents, orphans []audit.Span
			for i, t := range r.when(60) {
				switch i % 3 {
				case 0:
					parents = append(parents, r.request(t, 20, at("GET /cart/1234?x=1")))
					orphans = append(orphans, r.call(t+5, 10, begin))
				case 1:
					r.call(t+5, 10, below(r.request(t, 20, at("GET /good"))))
				case 2:
					r.request(t, 20, at("GET /quiet"), on("cart-2"))
				}
			}
			rep := report(&audit.Auditor{}, r.spans)
			require.Len(t, rep.Dropping(), 1)
			c := verdict(t, rep, "cart.shop", "prices.shop")
			assert.Equal(t, []audit.Route{{Route: "GET /cart/{id}", Calls: 20, Begun: 20}}, c.Routes)
			assert.Equal(t, 40, c.Calls)
			assert.Equal(t, 20, c.Begun)
			assert.Equal(t, []string{"cart-1"}, c.Pods)
			assert.Equal(t, 2, c.OfPods)
			assert.Equal(t, orphans[0].Start.Truncate(time.Microsecond), c.First)
			assert.Equal(t, orphans[len(orphans)-1].Start.Truncate(time.Microsecond), c.Last)
			assert.Greater(t, c.Confidence, 0.99)
			require.Len(t, c.Examples, 2)
			for _, e := range c.Examples {
				found := false
				for i := range parents {
					found = found || e.Parent.Trace() == parents[i].Trace.String() && e.Orphan.Trace() == orphans[i].Trace.String()
				}
				assert.True(t, found, "%+v", e)
			}
			b, err := json.Marshal(c.Examples[0])
			require.NoError(t, err)
			assert.Regexp(t, `^\{"parent":\{"trace":"[0-9a-f]{32}","span":"[0-9a-f]{16}"\},"orphan":\{"trace":"[0-9a-f]{32}","span":"[0-9a-f]{16}"\}\}$`, string(b))
		})
	}
}

func TestAClockIsToldByItsPeriodAndNotByChance(t *testing.T) {
	tests := map[string]struct {
		every, apart float64 // ms: of the timer, and of the requests
		sampling     float64
		verdict      audit.Verdict
		why          string
	}{
		"once a second":               {1000, 900, 1, audit.Begins, "they go by a clock, every 1s"},
		"every 300 ms":                {300, 900, 1, audit.Begins, "they go by a clock, every 100ms"},
		"every ten seconds":           {10_000, 3000, 1, audit.Begins, "they go by a clock, every 10s"},
		"among requests all the time": {1000, 150, 1, audit.Unclear, "they go by a clock, every 1s; "},
		"of nobody knows how many":    {1000, 150, 0, audit.Unclear, "they go by a clock, every 1s, and so may requests that are not recorded"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := record()
			const length = 120_000
			for at := 0.0; at < length; at += tt.apart * r.ExpFloat64() {
				r.request(at, 20)
			}
			for at := 70.0; at < length; at += tt.every {
				r.call(at+2*r.Float64(), 10)
			}
			c := verdict(t, report(&audit.Auditor{Sampling: tt.sampling}, r.spans), "cart.shop", "prices.shop")
			assert.Equal(t, tt.verdict, c.Verdict)
			assert.Regexp(t, "^"+tt.why, c.Why)
		})
	}
}

func TestCalleeOfANamedServiceIsLikely(t *testing.T) {
	r := record()
	for i, t := range r.when(40) {
		r.request(t, 20)
		r.call(t+5, 10)
		if i == 7 {
			r.call(t+6, 10, to("tax.shop.svc.cluster.local"))
		}
	}
	c := verdict(t, report(&audit.Auditor{}, r.spans), "cart.shop", "tax.shop")
	assert.Equal(t, audit.Likely, c.Verdict)
}

func TestOriginsAreNotCounted(t *testing.T) {
	r := record()
	for _, t := range r.when(20) {
		r.call(t, 10, from("cron.shop"))
	}
	rep := report(&audit.Auditor{}, r.spans)
	assert.Empty(t, rep.Dropping())
	assert.Equal(t, 20, rep.Spans)
	assert.Equal(t, 20, rep.Traces)
}

func TestApplicationsSpansAreEvidenceToo(t *testing.T) {
	r := record()
	for _, t := range r.when(20) {
		r.span(audit.Span{Service: "job", Kind: audit.Other, Route: "nightly"}, t, 20)
		r.span(audit.Span{Service: "job", Kind: audit.Client, Callee: "prices"}, t+5, 10)
	}
	for i := range r.spans {
		r.spans[i].Proxy = false
	}
	c := verdict(t, report(&audit.Auditor{}, r.spans), "job", "prices")
	assert.Equal(t, audit.Drops, c.Verdict)
	assert.Equal(t, []audit.Route{{Route: "nightly", Calls: 20, Begun: 20}}, c.Routes)
}

func TestOrderWithinTheWindowDoesNotMatter(t *testing.T) {
	spans, _ := meshsim.Run(meshsim.Config{Seed: 28, Rate: 8, Seconds: 60})
	want := report(&audit.Auditor{}, spans)
	require.NotEmpty(t, want.Dropping())
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(spans), func(i, j int) { spans[i], spans[j] = spans[j], spans[i] })
	got := report(&audit.Auditor{}, spans)
	assert.Equal(t, names(want), names(got))
}

func names(r audit.Report) (names []string) {
	for _, s := range r.Dropping() {
		names = append(names, s.Service)
	}
	slices.Sort(names)
	return names
}

func TestWindowSettlesWhatIsOld(t *testing.T) {
	spans, _ := meshsim.Run(meshsim.Config{Seed: 28, Rate: 8, Seconds: 100})
	want := report(&audit.Auditor{}, spans)
	require.NotEmpty(t, want.Dropping())
	a := &audit.Auditor{}
	a.SetWindow(len(spans) / 10)
	got := report(a, spans)
	assert.Equal(t, names(want), names(got))
	assert.Equal(t, want.Traces, got.Traces)
	for i, s := range want.Services {
		for _, c := range s.Callees {
			assert.Equal(t, c.Calls, verdict(t, got, s.Service, c.Service).Calls, "%d", i)
		}
	}
	a.Add(spans[0])
	assert.Equal(t, []audit.Problem{{Kind: "late", Count: 1, Text: "spans left out, since they came after more than 524288 later ones: 1"}}, a.Report().Problems)
}

func TestProblems(t *testing.T) {
	const most = 1000 // pods
	tests := []struct {
		name   string
		record func(*recording)
		kinds  []string
	}{
		{"none with what is whole", func(r *recording) {
			r.call(5, 10, below(r.request(0, 20)))
		}, nil},
		{"no span of a call", func(r *recording) { r.request(0, 20) }, []string{"no-proxy-spans"}},
		{"a span that is stored twice", func(r *recording) {
			r.call(5, 10, below(r.request(0, 20)))
			r.spans = append(r.spans, r.spans[1])
		}, []string{"duplicate-ids"}},
		{"a span that ends before it begins", func(r *recording) {
			r.call(5, -10, below(r.request(0, 20)))
		}, []string{"clock"}},
		{"a request that came before it was sent", func(r *recording) {
			r.request(0, 20, below(r.call(5000, 10)))
		}, []string{"clock"}},
		{"parents that are not stored", func(r *recording) {
			for _, t := range r.when(20) {
				out := r.call(t, 10, from("front.shop"))
				r.request(t, 20, below(out))
			}
			r.spans = r.spans[1:]
		}, []string{"missing-parent"}},
		{"one service whose requests all lack their parents", func(r *recording) {
			for _, t := range r.when(40) {
				out := r.call(t, 10, from("front.shop"))
				r.request(t, 20, below(out), from("good.shop"))
				r.request(t, 20, func(s *audit.Span) { s.Parent = r.Uint64() })
			}
		}, []string{"missing-parent", "sampling-split"}},
		{"one service whose calls lack their parents", func(r *recording) {
			for _, t := range r.when(40) {
				in := r.request(t, 20)
				r.call(t+5, 10, below(in), from("good.shop"))
				r.call(t+5, 10, below(in), func(s *audit.Span) { s.Parent = r.Uint64() })
			}
		}, []string{"missing-parent"}},
		{"a span of no time", func(r *recording) {
			r.call(5, 10, below(r.request(0, 20)))
			r.call(5, 10)
			r.spans[2].Start = time.Unix(0, 0)
		}, []string{"clock"}},
		{"more pods than anybody has", func(r *recording) {
			for i := range most + 1 {
				r.request(0, 20, on(fmt.Sprint(i)))
			}
			r.call(5, 10, below(r.spans[0]), on("0"))
		}, []string{"names"}},
		{"a stream", func(r *recording) {
			r.call(5, 10, below(r.request(0, 90_000)))
		}, []string{"long-requests"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := record()
			tt.record(r)
			a := &audit.Auditor{}
			a.SetPods(most)
			var kinds []string
			for _, p := range report(a, r.spans).Problems {
				kinds = append(kinds, p.Kind)
				assert.Positive(t, p.Count)
				assert.NotEmpty(t, p.Text)
			}
			assert.Equal(t, tt.kinds, kinds)
		})
	}
}

func TestTwoFormats(t *testing.T) {
	// interlocking are calls of cart, by its sidecar and, around them, by its own
	// tracer.
	interlocking := func(own, sidecar audit.Format, change func(in, ownIn, ownOut, out *audit.Span)) func(*recording) {
		return func(r *recording) {
			for _, t := range r.when(20) {
				in := r.request(t+1, 20)
				ownIn := r.span(audit.Span{Service: "cart", Kind: audit.Server}, t+2, 15)
				ownOut := r.span(audit.Span{Service: "cart", Kind: audit.Client, Callee: "prices", Trace: ownIn.Trace, Parent: ownIn.ID}, t+4, 12)
				out := r.call(t+5, 10)
				spans := r.spans[len(r.spans)-4:]
				change(&in, &ownIn, &ownOut, &out)
				for i, s := range []audit.Span{in, ownIn, ownOut, out} {
					s.Format, s.Proxy = sidecar, i == 0 || i == 3
					if !s.Proxy {
						s.Format = own
					}
					spans[i] = s
				}
			}
		}
	}
	below := func(parent, s *audit.Span) { s.Trace, s.Parent = parent.Trace, parent.ID }
	apart := func(_, _, _, _ *audit.Span) {}
	tests := []struct {
		name    string
		record  func(*recording)
		verdict string // empty: none
		cart    audit.Verdict
	}{
		{"W3C and B3", interlocking(audit.W3C, audit.B3, apart), "speaks W3C, its sidecars B3", audit.Drops},
		{"Jaeger's and W3C", interlocking(audit.Jaeger, audit.W3C, apart), "speaks Jaeger's, its sidecars W3C", audit.Drops},
		{"a tracer that was told not to speak what it does by default", interlocking(audit.W3C, audit.W3C, apart), "does not speak W3C, as its sidecars do", audit.Drops},
		{"a tracer of which nothing is known", interlocking(audit.Unknown, audit.B3, apart), "does not speak B3, as its sidecars do", audit.Drops},
		{"sidecars of which nothing is known", interlocking(audit.W3C, audit.Unknown, apart), "speaks W3C, its sidecars another format", audit.Drops},
		{"nothing is known", interlocking(audit.Unknown, audit.Unknown, apart), "speaks another format than its sidecars", audit.Drops},
		{"both trees are whole, since the service relays what its tracer does not speak", interlocking(audit.W3C, audit.B3, func(in, _, _, out *audit.Span) {
			below(in, out)
		}), "speaks W3C, its sidecars B3", audit.Relays},
		{"one tree", interlocking(audit.W3C, audit.W3C, func(in, ownIn, ownOut, out *audit.Span) {
			below(in, ownIn)
			below(ownIn, ownOut)
			below(ownOut, out)
		}), "", audit.Relays},
		{"a tracer that reads the sidecar's headers, and does not write them", interlocking(audit.W3C, audit.W3C, func(in, ownIn, ownOut, _ *audit.Span) {
			below(in, ownIn)
			below(ownIn, ownOut)
		}), "", audit.Drops},
		{"a tracer that begins a trace, which the sidecar continues", interlocking(audit.W3C, audit.W3C, func(_, _, ownOut, out *audit.Span) {
			below(ownOut, out)
		}), "", audit.Relays},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := record()
			tt.record(r)
			got := report(&audit.Auditor{}, r.spans)
			assert.Equal(t, tt.cart, verdict(t, got, "cart.shop", "prices.shop").Verdict)
			if tt.verdict == "" {
				assert.Empty(t, got.Problems)
				return
			}
			require.Len(t, got.Problems, 1)
			p := got.Problems[0]
			assert.Equal(t, "two-formats", p.Kind)
			assert.Equal(t, "cart.shop", p.Service)
			assert.Equal(t, 20, p.Count)
			assert.Equal(t, tt.verdict, p.Verdict)
			assert.Contains(t, p.Text, tt.verdict+". 20 of its sidecars' 20 calls lie inside")
		})
	}
}

func TestNothingIsNoReason(t *testing.T) {
	r := (&audit.Auditor{}).Report()
	assert.Empty(t, r.Dropping())
	b, err := json.Marshal(r)
	require.NoError(t, err)
	assert.JSONEq(t, `{"spans":0,"traces":0,"from":"0001-01-01T00:00:00Z","to":"0001-01-01T00:00:00Z","services":[],"problems":[]}`, string(b))
}

func TestTemplate(t *testing.T) {
	for route, want := range map[string]string{
		"GET /cart":            "GET /cart",
		"GET /cart?id=1":       "GET /cart",
		"GET /cart/12/items/3": "GET /cart/{id}/items/{id}",
		"GET /v1/users":        "GET /v1/users",
		"GET /u/0af76519-16cd-43dd-8448-eb211c80319c": "GET /u/{id}",
		"GET /h/deadbeef01":                           "GET /h/{id}",
		"GET /face/decade":                            "GET /face/decade",
		"POST /pkg.v1.Service/Get":                    "POST /pkg.v1.Service/Get",
		"":                                            "",
	} {
		assert.Equal(t, want, audit.Template(route))
	}
}

func TestBinomialTailsAreTheSumsOfTheirTerms(t *testing.T) {
	for _, n := range []int{1, 2, 7, 40, 300} {
		for _, p := range []float64{1e-6, 0.01, 0.3, 0.5, 0.97} {
			terms := make([]float64, n+1)
			for k := range terms {
				terms[k] = math.Exp(lgamma(n+1) - lgamma(k+1) - lgamma(n-k+1) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
			}
			for h := range n + 2 {
				up, down := 0.0, 0.0
				for k := n; k >= h; k-- {
					up += terms[k]
				}
				for _, term := range terms[:min(h, n)+1] {
					down += term
				}
				assert.InDelta(t, up, audit.AtLeast(h, n, p), 1e-9+1e-6*up, "P[Bin(%d, %v) >= %d]", n, p, h)
				assert.InDelta(t, down, audit.AtMost(h, n, p), 1e-9+1e-6*down, "P[Bin(%d, %v) <= %d]", n, p, h)
			}
		}
	}
	assert.Zero(t, audit.AtLeast(900_000, 1_000_000, 0.01))
	assert.InDelta(t, 0.5, audit.AtLeast(500_000, 1_000_000, 0.5), 1e-3)
}

func lgamma(n int) float64 { v, _ := math.Lgamma(float64(n)); return v }

func TestShareIsWhatCountingFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var requests [][2]int64
		for range 1 + r.IntN(8) {
			start := r.Int64N(900)
			requests = append(requests, [2]int64{start, start + r.Int64N(120)})
		}
		slices.SortFunc(requests, func(x, y [2]int64) int { return int(x[0] - y[0]) })
		from := r.Int64N(900)
		to, less := from+1+r.Int64N(200), r.Int64N(50)
		covered := 0
		for u := from; u < to; u++ {
			for _, q := range requests {
				if q[0] <= u && u < q[1]-less {
					covered++
					break
				}
			}
		}
		assert.InDelta(t, float64(covered)/float64(to-from), audit.Share(requests, less, from, to), 1e-9,
			fmt.Sprint(requests, less, from, to))
	}
}

func FuzzAdd(f *testing.F) {
	f.Add([]byte("a call and a request, and some more of both"), uint8(8))
	f.Fuzz(func(t *testing.T, data []byte, window uint8) {
		a := &audit.Auditor{Sampling: 0.5}
		a.SetWindow(2 + int(window))
		data = data[:min(len(data), 2048)] // more takes long, and shows no more
		for len(data) >= 8 {
			b := data[:8]
			data = data[8:]
			a.Add(audit.Span{
				Service: string(b[0] % 4), Pod: string(b[1] % 3), Kind: audit.Kind(b[2] % 3), Gateway: b[2] > 250,
				Trace: audit.TraceID{Low: uint64(b[3] % 8)}, ID: uint64(b[4] % 16), Parent: uint64(b[5] % 16),
				Start: time.UnixMilli(int64(b[6]) << (b[7] % 40)), Duration: time.Duration(int8(b[7])) << (b[6] % 40),
				Route: string(b[:3]), Callee: string(b[0] % 5), RequestID: string(b[5] % 5),
			})
		}
		r := a.Report()
		_, err := json.Marshal(r)
		require.NoError(t, err)
		for _, s := range r.Services {
			for _, c := range s.Callees {
				if c.Begun > c.Calls || c.Confidence < 0 || c.Confidence > 1 {
					t.Fatalf("%+v", c)
				}
			}
		}
	})
}
