// Package real_test runs services as they are in other languages, installed by
// the clients of those languages, and holds what tracebaton check says of them
// against what a listener receives that shares no code with check.
package real_test

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/envoy"
	"github.com/tracebaton/tracebaton/integration/process"
)

// The requests that rows tell the truth of, as check names them.
const (
	every     = "every family"
	unsampled = "a trace that is not sampled"
	high      = "a high trace ID"
	several   = "headers in several lines"
	short     = "a trace ID of 64 bits"
	denied    = "x-b3-sampled: 0 alone"
	debug     = "x-b3-flags: 1 alone"
	nothing   = "no trace headers"
)

// service is a program that runs at addr and calls upstream, or the URL that it
// is told.
type service struct {
	says    string
	start   func(t *testing.T, addr, upstream string)
	between envoy.Tracer // of its sidecars; empty: it has none
	rows    []row
}

// row is one way to check a service.
type row struct {
	path     string // "" is /?url={upstream}
	families string
	calls    int // that the service makes for a request; 0 is 1

	// truth is what arrives at the listener, as changes writes it. Nothing is
	// said of the requests that it does not have.
	truth    map[string][]string
	headline string
	exit     int
}

func TestCheckSaysOfRealServicesWhatAListenerReceives(t *testing.T) {
	for _, s := range slices.Concat(pythonServices, nodeServices, proxies, pods, springServices) {
		t.Run(s.says, func(t *testing.T) {
			t.Parallel()
			// Requests go to addr, and the service calls via.
			addr, upstream := process.FreeAddr(t), process.FreeAddr(t)
			program, via := addr, upstream
			if s.between != "" {
				program, via = process.FreeAddr(t), process.FreeAddr(t)
				sidecars(t, s.between, addr, program, via, upstream)
			}
			s.start(t, program, via)
			for _, r := range s.rows {
				t.Run(strings.TrimSpace(r.path+" "+r.families), func(t *testing.T) { r.test(t, addr, via, upstream) })
			}
		})
	}
}

func (r row) test(t *testing.T, addr, via, upstream string) {
	to := "http://" + addr + cmp.Or(r.path, "/?url={upstream}")
	made := max(r.calls, 1)
	said := check(t, "-families", r.families, "-expect-calls", strconv.Itoa(made), "-upstream-addr", upstream, "-upstream-url", "http://"+via, to)
	assert.Equal(t, r.headline, said.Headline)
	assert.Equal(t, r.exit, said.exit)
	require.Empty(t, said.Reason)

	l := listen(t, upstream)
	defer func() { _ = l.Close() }()
	verdict := map[string]string{}
	var seen []string
	for _, p := range said.Probes {
		get(t, strings.ReplaceAll(to, "{upstream}", "http://"+via+"/"), p.sent().lines())
		calls := l.take(t, made)
		truth, checks := []string{}, []string{}
		for i, of := range p.arrived() {
			arrived, ok := calls[p.Calls[i].path()]
			require.True(t, ok, "check saw a call that the listener does not: %s", p.Calls[i].Name)
			for _, reader := range said.Readers {
				f := families[reader.Family]
				truth = append(truth, changes(p.sent(), arrived, f.headers)...)
				checks = append(checks, changes(p.sent(), of, f.headers)...)
				if !strings.HasPrefix(p.Name, "b3") { // nobody begins a trace in b3 alone
					v := f.judge(p.sent(), arrived)
					verdict[reader.Family] = verdicts[max(slices.Index(verdicts, v), slices.Index(verdicts, verdict[reader.Family]))]
				}
			}
		}
		assert.Equal(t, truth, checks, "what arrived at the listener, and at check, with %s", p.Name)
		if want, ok := r.truth[p.Name]; ok {
			seen = append(seen, p.Name)
			assert.Equal(t, want, truth, "what arrived at the listener with %s", p.Name)
		}
	}
	assert.Len(t, seen, len(r.truth), "the requests of the row, and those that check made")
	worst := ""
	for _, reader := range said.Readers {
		whole := slices.Contains([]string{"relayed", "continued", "begun", ""}, reader.Verdict)
		assert.Equal(t, verdict[reader.Family] == "whole", whole, "%s: the listener says %s, and check %s", reader.Family, verdict[reader.Family], reader.Verdict)
		worst = verdicts[max(slices.Index(verdicts, worst), slices.Index(verdicts, verdict[reader.Family]))]
	}
	assert.Equal(t, worst, said.Verdict)
}
