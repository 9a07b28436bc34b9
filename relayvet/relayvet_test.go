package relayvet_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

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

func TestNothingIsReportedWhereALossIsMended(t *testing.T) {
	all(t)
	analysistest.Run(reports{t}, analysistest.TestData(), relayvet.Analyzer, "./mended/...")
}

func TestEveryLossHasAMendedTwin(t *testing.T) {
	losses := 0
	err := filepath.WalkDir("testdata/lost", func(path string, d fs.DirEntry, err error) error {
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
