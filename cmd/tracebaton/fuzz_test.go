package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/internal/hop"
)

// FuzzFamilies checks that a list of families is refused with a reason, or is
// of headers that can be sent.
func FuzzFamilies(f *testing.F) {
	f.Add("request-id, b3, end-user")
	f.Add("a-`") // a backtick is a character of tokens (RFC 9110, section 5.6.2)
	f.Fuzz(func(t *testing.T, list string) {
		families, err := parseFamilies(list)
		if err != nil {
			require.NotContains(t, err.Error(), "runtime error")
			return
		}
		names := hop.Headers(families)
		require.NotEmpty(t, names)
		for _, name := range names {
			require.Regexp(t, headerLine, name+": x")
			var h http.Header
			require.NoError(t, addHeader(&h, name+": x"))
			require.Equal(t, "x", h.Get(name))
		}
		// Twice the same is once the same.
		again, err := parseFamilies(list + "," + list)
		require.NoError(t, err)
		require.Equal(t, names, hop.Headers(again))
		for _, known := range hop.Known {
			first := known.Headers[0]
			asked := slices.ContainsFunc(strings.Split(list, ","), func(name string) bool {
				name = strings.ToLower(strings.TrimSpace(name))
				return name == known.Name || name == "all"
			})
			require.Equal(t, asked, slices.Contains(names, first), known.Name)
		}
	})
}
