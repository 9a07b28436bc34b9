package tracebaton_test

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// A module that is forgotten there keeps its old dependencies for ever, and
// nothing says so.
func TestDependabotKnowsEveryModule(t *testing.T) {
	config, err := os.ReadFile(".github/dependabot.yml")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for line := range strings.Lines(string(config)) {
		if dir, ok := strings.CutPrefix(strings.TrimSpace(line), "- /"); ok {
			known = append(known, path.Clean(dir))
		}
	}
	var modules []string
	err = fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git"):
			return fs.SkipDir
		case d.Name() == "go.mod":
			modules = append(modules, path.Dir(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(modules) < 2 {
		t.Fatalf("found the modules %q only", modules)
	}
	for _, dir := range modules {
		if !slices.Contains(known, dir) {
			t.Errorf("%s has a go.mod: add /%[1]s to the gomod directories of .github/dependabot.yml", dir)
		}
	}
}
