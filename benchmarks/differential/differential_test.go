// Package differential_test compares what this library reads in B3 headers
// with what others read. See docs/conformance.md, "Where parsers disagree".
package differential_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// compare fails if a peer disagrees in a way that is in none of its classes.
// It returns, by peer, the classes that a disagreement is of.
func compare(t *testing.T, h http.Header) [][]string {
	t.Helper()
	found := make([][]string, len(peers))
	ours := asTracebaton(h)
	for i, p := range peers {
		theirs := p.parse(h)
		if theirs == ours {
			continue
		}
		read := h.Clone()
		for _, c := range p.classes {
			before := read.Clone()
			if c.reads(read); !maps.EqualFunc(before, read, slices.Equal) {
				found[i] = append(found[i], c.name)
			}
		}
		as := asTracebaton(read)
		if len(read[panicked]) > 0 {
			as = meaning{panicked: true}
		}
		require.Equal(t, as, theirs, "%q\nours: %+v\n%s disagrees in a way that is not listed (%v, reading %q)", h, ours, p.name, found[i], read)
	}
	return found
}

const (
	traceID = "463ac35c9f6413ad48485a3953bb6124"
	spanID  = "a2fb4a1d1a96d312"
	parent  = "0020000000000001"
)

var (
	traceIDs = []string{
		"", traceID, traceID[16:], strings.ToUpper(traceID), strings.ToUpper(traceID[16:]), "463AC35C9f6413ad48485a3953bb6124",
		strings.Repeat("0", 16) + traceID[16:], strings.Repeat("0", 32), strings.Repeat("0", 16), strings.Repeat("0", 31) + "1",
		"1", "0", traceID[1:], traceID[17:], traceID[:24], "0" + traceID, "1" + traceID, strings.Repeat("0", 16) + traceID,
		"g" + traceID[1:], traceID[:31] + "\u0664"[:1], strings.Repeat("\u00e9", 16), "-", traceID[:15] + "-" + traceID[16:], "+" + traceID[1:], "0x" + traceID[2:], "4_6" + traceID[3:],
	}
	spanIDs = []string{
		"", spanID, strings.ToUpper(spanID), strings.Repeat("0", 16), strings.Repeat("0", 15) + "1", "1", spanID[1:], "0" + spanID, "1" + spanID,
		"g" + spanID[1:], "-", strings.Repeat("\u00e9", 8), "+" + spanID[1:],
	}
	parents = []string{"", parent, strings.ToUpper(spanID), strings.Repeat("0", 16), "1", "0" + parent, "zz", "-", spanID[1:] + "g", "-" + parent[1:]}
	states  = []string{"", "0", "1", "d", "D", "2", "true", "-", "01"}
	sampled = []string{"", "0", "1", "d", "true", "TRUE", "False", "fal\u017fe", "hello", "01", "1,0", "tru\u0435"}
	flags   = []string{"", "1", "0", "3", "11", "01", "true"}
	marks   = []string{"-", "_", "--", "", ",", ":", "%2d"}
)

// singles calls f with the values of b3 in which each field, and each
// separator, is all that it can be.
func singles(f func(string)) {
	for _, trace := range traceIDs {
		for _, span := range spanIDs {
			f(trace)
			f(trace + "-")
			f(trace + "-" + span)
			for _, state := range states {
				f(state)
				f(trace + "-" + span + "-" + state)
				for _, parent := range parents {
					f(trace + "-" + span + "-" + state + "-" + parent)
				}
				f(trace + "-" + span + "-" + state + "-" + parent + "-" + state)
			}
			for _, a := range marks {
				for _, b := range marks {
					f(trace + a + span + b + "1")
					for _, c := range marks {
						f(trace + a + span + b + "0" + c + parent)
					}
				}
			}
		}
	}
}

func header(single, trace, span, parent, sampled, flags string) http.Header {
	h := http.Header{}
	for i, v := range []string{trace, span, parent, sampled, flags} {
		if v != "" {
			h[multi[i]] = []string{v}
		}
	}
	if single != "" {
		h["B3"] = []string{single}
	}
	return h
}

// generated calls f with all combinations of fields, in either format, with
// some of both, and with mutations of these.
func generated(f func(http.Header)) {
	var all []string
	singles(func(v string) {
		all = append(all, v)
		f(header(v, "", "", "", "", ""))
		f(header(v, traceID, spanID, "", "0", ""))
	})
	for _, trace := range traceIDs {
		for _, span := range spanIDs {
			for _, parent := range parents {
				for _, sampled := range sampled {
					for _, flags := range flags {
						f(header("", trace, span, parent, sampled, flags))
					}
				}
			}
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	one := func(from []string) string { return from[random.IntN(len(from))] }
	for range 200_000 {
		h := header(one(all), one(traceIDs), one(spanIDs), one(parents), one(sampled), one(flags))
		names := slices.Sorted(maps.Keys(h))
		for range random.IntN(3) {
			if len(names) == 0 {
				break
			}
			name := one(names)
			switch v := []byte(h.Get(name)); {
			case random.IntN(4) == 0:
				h.Add(name, one(all))
			case len(v) > 0:
				v[random.IntN(len(v))] = "0123456789abcdefABCDEFdg-_,\xff"[random.IntN(28)]
				h[name][0] = string(v)
			}
		}
		f(h)
	}
}

// vectors calls f with the library's own, of which everybody agreed on the
// meaning before.
func vectors(t *testing.T, f func(http.Header)) {
	for _, file := range []string{"b3.json", "more.json"} {
		b, err := os.ReadFile("../../propagation/otelprop/testdata/" + file)
		require.NoError(t, err)
		var doc struct {
			Vectors []struct{ Headers map[string]any }
		}
		require.NoError(t, json.Unmarshal(b, &doc))
		require.NotEmpty(t, doc.Vectors)
		for _, v := range doc.Vectors {
			h := http.Header{}
			for name, value := range v.Headers {
				switch value := value.(type) {
				case string:
					h.Add(name, value)
				case []any:
					for _, one := range value {
						h.Add(name, one.(string))
					}
				}
			}
			if carried(h) {
				f(h)
			}
		}
	}
}

// carried reports whether net/http's server hands over such values: it trims
// them, and refuses control characters.
func carried(h http.Header) bool {
	size := 0
	for _, values := range h {
		for _, v := range values {
			size += len(v)
			if v != strings.Trim(v, " \t") || strings.ContainsFunc(v, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
				return false
			}
		}
	}
	return size <= 8<<10
}

func TestPeersDisagreeInNoOtherWayThanListed(t *testing.T) {
	alone := map[string]int{}
	count := 0
	check := func(h http.Header) {
		count++
		for i, classes := range compare(t, h) {
			if len(classes) == 1 {
				alone[peers[i].name+": "+classes[0]]++
			}
		}
	}
	vectors(t, check)
	generated(check)
	t.Log(count, "inputs")
	for _, p := range peers {
		for _, c := range p.classes {
			name := p.name + ": " + c.name
			t.Log(alone[name], name)
			assert.NotZero(t, alone[name], "%s does not disagree about %s any more: take it off the list, here and in the docs", p.name, c.name)
		}
	}
}

func TestTheDocsListTheDisagreements(t *testing.T) {
	b, err := os.ReadFile("../../docs/conformance.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(b), "\n## Where parsers disagree\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	listed := map[string]string{}
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			listed[strings.ReplaceAll(strings.TrimSpace(cells[1]), "`", "")] = cells[2]
		}
	}
	delete(listed, "input")
	delete(listed, "---")
	rows := map[string]bool{}
	for _, p := range peers {
		for _, c := range p.classes {
			rows[c.name] = true
			assert.Contains(t, listed[c.name], p.name, "the row of %q", c.name)
		}
		for name, who := range listed {
			if strings.Contains(who, p.name) {
				assert.True(t, slices.ContainsFunc(p.classes, func(c class) bool { return c.name == name }),
					"the row of %q names %s, which does not differ there", name, p.name)
			}
		}
	}
	for name := range listed {
		assert.True(t, rows[name], "%q is listed, and no class", name)
	}
}
