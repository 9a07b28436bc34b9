package conformance_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/propagation/propagationtest"
)

var update = flag.Bool("update", false, "write docs/conformance.md anew")

// everybody says, in the environment, that those peers are tested too that may
// fail.
const everybody = "CONFORMANCE_OF_EVERYBODY"

const doc = "../../docs/conformance.md"

func TestConformance(t *testing.T) {
	for _, p := range peers {
		if p.ours || os.Getenv(everybody) != "" {
			t.Run(p.name, func(t *testing.T) { propagationtest.Run(t, p.service()) })
		}
	}
}

func TestTheTableInTheDocsIsWhatEverybodyDoes(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestConformance$", "-test.v")
	cmd.Env = append(os.Environ(), everybody+"=1")
	out, err := cmd.Output()
	var failed *exec.ExitError
	require.ErrorAs(t, err, &failed, "nobody failed, or the tests did not run:\n%s", out)
	results, cases := read(out)
	for _, p := range peers {
		require.Contains(t, results, p.name, "%s", out)
	}

	old, err := os.ReadFile(doc)
	require.NoError(t, err)
	const begin, end = "<!-- What follows is written by go test: see the end. -->\n", "<!-- What comes before was written by go test. -->\n"
	head, rest, ok := bytes.Cut(old, []byte(begin))
	require.True(t, ok, "%s has no line %q", doc, begin)
	_, tail, ok := bytes.Cut(rest, []byte(end))
	require.True(t, ok, "%s has no line %q", doc, end)
	want := string(head) + begin + table(results, cases) + end + string(tail)
	if *update {
		require.NoError(t, os.WriteFile(doc, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, string(old), "%s is not what the test finds; write it with -update and read the difference", doc)
}

// result is what came of a case.
type result struct {
	verdict string // PASS, FAIL or SKIP
	faults  []string
}

var (
	verdictLine = regexp.MustCompile(`^ {4,}--- (PASS|FAIL|SKIP): TestConformance/([^/]+)/(.+) \([0-9.]+s\)$`)
	startLine   = regexp.MustCompile(`^=== (?:RUN|NAME) +TestConformance/([^/]+)/(.+)$`)
	faultLine   = regexp.MustCompile(`^ +propagationtest\.go:\d+: (.+)$`)
	count       = regexp.MustCompile(` \(\d+ times\)$`)
)

// read returns the results by peer and case, and the cases in order, from what
// go test -v prints.
func read(out []byte) (results map[string]map[string]*result, cases []string) {
	results = make(map[string]map[string]*result)
	seen := make(map[string]bool)
	var at *result
	var name string
	get := func(peer, c string) *result {
		peer, c = plain(peer), plain(c)
		if results[peer] == nil {
			results[peer] = make(map[string]*result)
		}
		if results[peer][c] == nil {
			results[peer][c] = &result{}
		}
		if !seen[c] {
			seen[c] = true
			cases = append(cases, c)
		}
		return results[peer][c]
	}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if m := startLine.FindStringSubmatch(line); m != nil {
			at, name = get(m[1], m[2]), plain(m[2])
		} else if m := verdictLine.FindStringSubmatch(line); m != nil {
			get(m[2], m[3]).verdict = m[1]
		} else if m := faultLine.FindStringSubmatch(line); m != nil && at != nil {
			what := strings.TrimPrefix(m[1], name+": ")
			what = count.ReplaceAllString(what, "")
			if strings.HasSuffix(what, " arrived empty") {
				what = "headers that were not sent arrived empty"
			}
			at.faults = append(at.faults, what)
		}
	}
	return results, cases
}

// plain is a subtest's name as it was given.
func plain(name string) string { return strings.ReplaceAll(name, "_", " ") }

// table writes the results down.
func table(results map[string]map[string]*result, cases []string) string {
	var b strings.Builder
	b.WriteString("\n| column | what it is |\n|---|---|\n")
	for _, p := range peers {
		fmt.Fprintf(&b, "| %s | %s |\n", p.name, p.what)
	}
	b.WriteString("\n| | case |")
	for _, p := range peers {
		fmt.Fprintf(&b, " %s |", p.name)
	}
	b.WriteString("\n|--:|---|" + strings.Repeat(":-:|", len(peers)) + "\n")
	signs := map[string]string{"PASS": "✓", "FAIL": "**✗**", "SKIP": "–"}
	for i, c := range cases {
		fmt.Fprintf(&b, "| %d | %s |", i+1, c)
		for _, p := range peers {
			sign := "–"
			if r := results[p.name][c]; r != nil {
				sign = signs[r.verdict]
			}
			fmt.Fprintf(&b, " %s |", sign)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n## What fails\n\nThe numbers are those of the cases.\n")
	for _, p := range peers {
		where := make(map[string][]string)
		var faults []string
		for n, c := range cases {
			r := results[p.name][c]
			if r == nil {
				continue
			}
			for _, f := range r.faults {
				if where[f] == nil {
					faults = append(faults, f)
				}
				if number := strconv.Itoa(n + 1); r.verdict == "FAIL" && !slices.Contains(where[f], number) {
					where[f] = append(where[f], number)
				}
			}
		}
		faults = slices.DeleteFunc(faults, func(f string) bool { return where[f] == nil })
		if len(faults) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n**%s**\n\n", p.name)
		for _, f := range faults {
			fmt.Fprintf(&b, "- %s (%s)\n", f, strings.Join(where[f], ", "))
		}
	}
	b.WriteString("\n")
	return b.String()
}
