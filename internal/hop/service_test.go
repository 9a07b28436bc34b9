package hop_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/internal/hop"
)

// outcome is a probe and the calls that it led to, each of its own path.
func outcome(probe, sent string, arrived ...string) hop.Outcome {
	o := hop.Outcome{Probe: hop.Probe{Name: probe, Sent: header(sent)}}
	for i, a := range arrived {
		h := header(a)
		o.Calls = append(o.Calls, hop.Call{
			Name: "GET /" + string(rune('a'+i)), Header: h,
			Judgment: hop.Judge(o.Probe.Sent, h, hop.Expect{Families: istio}),
		})
	}
	return o
}

func TestAFindingNamesEachCallThatItShowsIn(t *testing.T) {
	const nothing, noState = "accept: */*", sampled + "\ntraceparent: 00-" + trace + "-" + span + "-01"
	sent := noState + "\ntracestate: a=1"
	tests := map[string]struct {
		arrived []string
		want    []string
	}{
		"the only one":      {[]string{nothing}, []string{"GET /a"}},
		"one of two":        {[]string{sent, nothing}, []string{"GET /b, call 2 of 2"}},
		"two of three":      {[]string{nothing, sent, nothing}, []string{"GET /a and GET /c, calls 1 and 3 of 3"}},
		"five of five":      {[]string{nothing, nothing, nothing, nothing, nothing}, []string{"GET /a, GET /b, GET /c and 2 more, 5 of 5 calls"}},
		"each in its way":   {[]string{nothing, noState}, []string{"GET /a, call 1 of 2", "GET /b, call 2 of 2"}},
		"a later one alone": {[]string{sent, sent, noState}, []string{"GET /c, call 3 of 3"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			first := outcome("every family", sent, test.arrived...)
			again := outcome("another", sent, test.arrived...)
			var got []string
			for _, f := range hop.Summarize(istio, []hop.Outcome{first, again}).Findings {
				assert.Equal(t, "every family", f.Probe)
				got = append(got, f.Call)
			}
			assert.Equal(t, test.want, got)
		})
	}
}

func TestEmptyHeadersAreToldOfTheRequestsThatTheyShowIn(t *testing.T) {
	got := hop.Summarize(istio, []hop.Outcome{
		outcome("x-b3-* alone", sampled, sampled+"\nb3: \ntraceparent: "),
		outcome("no trace headers", "accept: */*", "x-b3-sampled: \nb3: "),
	}).Findings
	require.Len(t, got, 1)
	assert.Equal(t, "b3 and traceparent arrived empty", got[0].What)
	assert.Equal(t, "x-b3-* alone", got[0].Probe)
	assert.Equal(t, []string{"x-b3-sampled did so in other requests"}, got[0].Also)
	assert.Equal(t, []string{"b3", "x-b3-sampled", "traceparent"}, got[0].Headers)
}

func TestANoteHidesNoFaultOfItsKind(t *testing.T) {
	note := outcome("a request ID that is no UUID", "x-request-id: order-7", "accept: */*")
	fault := outcome("every family", id, "accept: */*")
	for _, outcomes := range [][]hop.Outcome{{note, fault}, {fault, note}} {
		got := hop.Summarize(istio, outcomes)
		require.Len(t, got.Findings, 1)
		assert.Equal(t, hop.RequestIDLost, got.Findings[0].Kind)
		assert.Equal(t, hop.Lost, got.Severity)
		assert.Equal(t, "drops x-request-id", got.Headline)
	}
}
