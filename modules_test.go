package tracebaton_test

import (
	"bytes"
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

// The two readers share no code, so that each proves the other. Modules cannot
// share a file either.
func TestBothReadersOfHeadersReadTheSameVectors(t *testing.T) {
	for library, judge := range map[string]string{"b3.json": "b3.json", "more.json": "b3-more.json", "w3c.json": "w3c.json"} {
		one, err := os.ReadFile("propagation/otelprop/testdata/" + library)
		if err != nil {
			t.Fatal(err)
		}
		other, err := os.ReadFile("internal/wire/testdata/" + judge)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one, other) {
			t.Errorf("the vectors of propagation/otelprop, %s, and of internal/wire, %s, differ: copy one to the other", library, judge)
		}
	}
}
