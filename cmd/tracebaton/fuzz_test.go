package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/internal/hop"
)

// FuzzDump checks that headers are found in whatever form a client prints
// them.
func FuzzDump(f *testing.F) {
	f.Add("b3", "0", "x-request-id", "r")
	f.Fuzz(func(t *testing.T, name, value, other, otherValue string) {
		want := http.Header{}
		for _, pair := range [][2]string{{name, value}, {other, otherValue}} {
			// The value of what a client prints is text in a line.
			if strings.Contains(pair[0], ":") || !field.MatchString(pair[0]+": ") || strings.ContainsAny(pair[1], "\r\n\x1b") || pair[1] != strings.TrimSpace(pair[1]) || pair[1] != strings.ToValidUTF8(pair[1], "") {
				return
			}
			want.Add(pair[0], pair[1])
		}
		var lines, marked strings.Builder
		for name, values := range want {
			for _, v := range values {
				lines.WriteString(name + ": " + v + "\r\n")
				marked.WriteString("> " + name + ": " + v + "\n")
			}
		}
		object, err := json.Marshal(map[string]any{"args": 1, "headers": want})
		require.NoError(t, err)
		for form, dump := range map[string]string{
			"lines":        lines.String(),
			"HTTPie":       "GET / HTTP/1.1\r\n" + lines.String() + "\r\n",
			"curl -v":      "* Trying\n> GET / HTTP/1.1\n" + marked.String() + ">\n",
			"JSON":         string(object) + "\n",
			"after a page": "<html>\n\n" + string(object),
			"in colour":    "\x1b[36mGET / HTTP/1.1\x1b[0m\n\x1b[1m" + strings.ReplaceAll(lines.String(), "\r\n", "\x1b[0m\n\x1b[1m"),
		} {
			messages := readDump([]byte(dump))
			require.Len(t, messages, 1, "%s: %q", form, dump)
			require.Equal(t, want, messages[0].header, "%s: %q", form, dump)
		}
	})
}

// FuzzFamilies checks that a list of families is refused with a reason, or is
// of headers that can be sent.
func FuzzFamilies(f *testing.F) {
	f.Add("request-id, b3, end-user")
	f.Fuzz(func(t *testing.T, list string) {
		families, err := parseFamilies(list)
		if err != nil {
			require.NotContains(t, err.Error(), "runtime error")
			return
		}
		names := hop.Headers(families)
		require.NotEmpty(t, names)
		for _, name := range names {
			require.Regexp(t, field, name+": x")
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
