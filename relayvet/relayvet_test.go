package relayvet_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"

	"github.com/tracebaton/tracebaton/relayvet"
)

// all switches the categories on that are off by default.
func all(t *testing.T) {
	for _, name := range []string{"dynamic", "late"} {
		set(t, name, "true")
	}
}

func set(t *testing.T, name, value string) {
	t.Helper()
	old := relayvet.Analyzer.Flags.Lookup(name).Value.String()
	if err := relayvet.Analyzer.Flags.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = relayvet.Analyzer.Flags.Set(name, old) })
}

// reports leaves what the analyzer tells itself, from package to package,
// out of what is compared.
type reports struct{ *testing.T }

func (r reports) Errorf(format string, args ...any) {
	r.Helper()
	if s := fmt.Sprintf(format, args...); !strings.Contains(s, "unexpected fact") {
		r.Error(s)
	}
}

func TestEverySeededLossIsReportedAndFixed(t *testing.T) {
	all(t)
	analysistest.RunWithSuggestedFixes(reports{t}, analysistest.TestData(), relayvet.Analyzer, "./lost/...")
}

func TestNothingIsReportedWhereALossIsMendedOrAReaderWouldShrug(t *testing.T) {
	all(t)
	analysistest.Run(reports{t}, analysistest.TestData(), relayvet.Analyzer, "./mended/...", "./quiet/...", "./ignore")
}

func TestEveryLossHasAMendedTwin(t *testing.T) {
	losses := 0
	err := filepath.WalkDir("testdata/lost", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		losses += strings.Count(string(src), "// want ")
		_, err = os.Stat(strings.Replace(path, "lost", "mended", 1))
		return err
	})
	if err != nil || losses < 60 {
		t.Errorf("%d losses, %v; want at least 60, each with its twin", losses, err)
	}
}

func TestALossIsCalledLatentWhereNothingRelays(t *testing.T) {
	analysistest.Run(reports{t}, filepath.Join(analysistest.TestData(), "latent"), relayvet.Analyzer, ".")
}

func TestASwitchSilencesItsCategoryAndNoOther(t *testing.T) {
	pkgs, err := packages.Load(&packages.Config{Mode: packages.LoadAllSyntax, Dir: analysistest.TestData(),
		Env: append(os.Environ(), "GOWORK=off")}, "./lost/...")
	if err != nil {
		t.Fatal(err)
	}
	all(t)
	want := categories(t, pkgs)
	for name := range want {
		t.Run(name, func(t *testing.T) {
			set(t, name, "false")
			got := categories(t, pkgs)
			for other, n := range want {
				if other == name {
					n = 0
				}
				if got[other] != n {
					t.Errorf("without %s: %d reports of %s, want %d", name, got[other], other, n)
				}
			}
		})
	}
}

// categories counts the reports of each.
func categories(t *testing.T, pkgs []*packages.Package) map[string]int {
	t.Helper()
	graph, err := checker.Analyze([]*analysis.Analyzer{relayvet.Analyzer}, pkgs, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, a := range graph.Roots {
		for _, d := range a.Diagnostics {
			n[d.Category]++
		}
	}
	return n
}
