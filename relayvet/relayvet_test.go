package relayvet_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/packages"

	"github.com/tracebaton/tracebaton/relayvet"
)

func set(t *testing.T, name, value string) {
	t.Helper()
	old := relayvet.Analyzer.Flags.Lookup(name).Value.String()
	if err := relayvet.Analyzer.Flags.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = relayvet.Analyzer.Flags.Set(name, old) })
}

// reports are what analysistest complains of; what the analyzer tells itself,
// from package to package, is left out of what is compared.
type reports []string

func (r *reports) Errorf(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !strings.Contains(s, "unexpected fact") {
		*r = append(*r, s)
	}
}

// seeds runs the analyzer over all of testdata, once for all tests: to load
// what it imports takes most of the time.
var seeds = sync.OnceValues(func() (complaints reports, pkgs []*packages.Package) {
	for _, r := range analysistest.RunWithSuggestedFixes(&complaints, analysistest.TestData(), relayvet.Analyzer, "./...") {
		pkgs = append(pkgs, r.Action.Package)
	}
	return complaints, pkgs
})

func TestMain(m *testing.M) {
	flag.Parse()
	// The trees of the standard library stay: nothing is gained by looking
	// through them before memory gets scarce.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(1 << 30)
	for _, name := range []string{"dynamic", "late", "unfollowed"} {
		_ = relayvet.Analyzer.Flags.Set(name, "true")
	}
	os.Exit(m.Run())
}

func TestEverySeededLossIsReportedAndFixed(t *testing.T) {
	complaints, _ := seeds()
	for _, c := range complaints {
		if strings.Contains(c, "lost") {
			t.Error(c)
		}
	}
}

func TestNothingIsReportedWhereALossIsMendedOrAReaderWouldShrug(t *testing.T) {
	complaints, pkgs := seeds()
	for _, c := range complaints {
		if !strings.Contains(c, "lost") {
			t.Error(c)
		}
	}
	for _, dir := range []string{"mended/send", "quiet", "quiet/cli", "ignore"} {
		if !slices.ContainsFunc(pkgs, func(p *packages.Package) bool { return p.PkgPath == "example.com/shop/"+dir }) {
			t.Errorf("%s was not analyzed", dir)
		}
	}
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
	const name = "testdata/latent/latent.go"
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	found, _ := check(t, name, src)
	if len(found) != 1 || !strings.HasSuffix(found[0].Message, "(latent: go.mod requires nothing that relays them yet)") {
		t.Errorf("got %v, want one report that ends in (latent: …)", found)
	}
}

func TestASwitchSilencesItsCategoryAndNoOther(t *testing.T) {
	_, seeded := seeds()
	var pkgs []*packages.Package
	for _, p := range seeded {
		if strings.HasPrefix(p.PkgPath, "example.com/shop/lost/") {
			pkgs = append(pkgs, alone(p))
		}
	}
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

// alone is a package that imports no more than others of its module: the
// standard library says nothing, and takes most of the time.
func alone(p *packages.Package) *packages.Package {
	less := *p
	less.Imports = map[string]*packages.Package{}
	for path, i := range p.Imports {
		if strings.HasPrefix(i.PkgPath, "example.com/shop/") {
			less.Imports[path] = alone(i)
		}
	}
	return &less
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
