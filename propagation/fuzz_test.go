package propagation_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/propagation"
)

var errDialed = errors.New("the request was good enough to dial")

// refuses is a transport that comes as far as dialing with every request that
// net/http would send.
var refuses = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
	return nil, errDialed
}}

// FuzzRelay reads its input as header lines, relays them, and compares with
// the rules: identity on what may be sent, families whole or not at all, and
// nothing that net/http refuses.
func FuzzRelay(f *testing.F) {
	for _, seed := range []string{
		"x-request-id: r\nx-b3-traceid: t\nx-b3-sampled: 1",
		"traceparent: 00-1-2-01\ntracestate: a=1\ntracestate: \ntracestate: b=2",
		"b3: \x00\nx-b3-flags: 1\nx-request-id: \tr\x7f",
		"tracestate: \r\ntraceparent: p",
		"x-ot-span-context: " + strings.Repeat("x", 8193),
		"x-b3-sampled:  \nx-b3-flags: \t",
		strings.Repeat("b3: 1\n", 300) + "x-request-id: r",
	} {
		f.Add(seed)
	}
	groups := [][]string{
		{"X-Request-Id"},
		{"X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags", "B3"},
		{"Traceparent", "Tracestate"},
		{"X-Ot-Span-Context"},
	}
	bad := regexp.MustCompile(`[\x00-\x08\x0a-\x1f\x7f]`)
	f.Fuzz(func(t *testing.T, lines string) {
		in := header(strings.Split(lines, "\n")...)
		out := inject(propagation.Istio().Extract(in))

		want := sendable(in)
		for name := range want {
			known := false
			for _, group := range groups {
				for _, member := range group {
					known = known || member == name
				}
			}
			if !known {
				delete(want, name)
			}
		}
		for _, group := range groups {
			size, lines, good := 0, 0, true
			for _, name := range group {
				joined := strings.Join(want[name], ",")
				s, n := size+len(joined), lines+len(want[name])
				if fits := s <= 8192 && n <= 64 && !bad.MatchString(joined); !fits && name == "Tracestate" && good {
					delete(want, name)
				} else {
					size, lines, good = s, n, good && fits
				}
			}
			if !good {
				for _, name := range group {
					delete(want, name)
				}
			}
		}
		require.Equal(t, want, out)
		require.Equal(t, want, inject(propagation.Istio().Extract(amongOthers(in))), "among others")

		r, err := http.NewRequest(http.MethodGet, "http://httpbin/", nil)
		require.NoError(t, err)
		r.Header = out
		_, err = refuses.RoundTrip(r) //nolint:bodyclose // there is no response
		require.ErrorIs(t, err, errDialed)
	})
}

// FuzzCustom checks that a custom header is refused when the program starts,
// or is relayed whatever its name.
func FuzzCustom(f *testing.F) {
	f.Add("end-user", "jason")
	f.Fuzz(func(t *testing.T, name, value string) {
		var family propagation.Family
		refused := func() (v any) {
			defer func() { v = recover() }()
			family = propagation.Custom(name)
			return nil
		}()
		if refused != nil {
			require.Contains(t, refused, "propagation: cannot relay ")
			return
		}
		lower := strings.ToLower(name)
		for _, hop := range []string{"connection", "te", "trailer", "transfer-encoding", "upgrade", "host", "cookie", "authorization", "proxy-authorization", "content-length"} {
			require.NotEqual(t, hop, lower)
		}
		in := http.Header{}
		in.Set(name, value)
		out := inject(propagation.Of(family).Extract(in))
		r, err := http.NewRequest(http.MethodGet, "http://httpbin/", nil)
		require.NoError(t, err)
		r.Header = out
		_, err = refuses.RoundTrip(r) //nolint:bodyclose // there is no response
		require.ErrorIs(t, err, errDialed)
		if r.Header = in; len(out) == 0 && len(value) <= 8192 && strings.Trim(value, " \t") != "" {
			_, err = refuses.RoundTrip(r) //nolint:bodyclose // there is no response
			require.NotErrorIs(t, err, errDialed, "%q: %q is not relayed, and net/http would send it", name, value)
		} else if len(out) > 0 {
			require.Equal(t, in, out)
		}
	})
}
