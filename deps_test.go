// Package tracebaton_test keeps what importing the library brings along small.
package tracebaton_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tracebaton/tracebaton"

// arrows are what a package of this module must not import, and why. An entry
// stands for all that is below it too. That no package needs anything outside
// the standard library and this module is checked for all of them.
var arrows = []struct{ from, to, why string }{
	{"propagation", "propagation/propagationtest", "the library must not need its tests"},
	{"propagation", "middleware", "headers know nothing of clients and servers"},
	{"propagation", "internal", "the kit reads headers with other code than the library"},
	{"middleware", "propagation/propagationtest", "the library must not need its tests"},
	{"middleware", "internal", "the kit reads headers with other code than the library"},
	{"internal", "propagation", "what judges the library must not share its code"},
	{"internal", "middleware", "what judges the library must not share its code"},
	{"propagation/propagationtest", "middleware", "a service may use another way to relay"},
}

// testImports are of the standard library, and for tests all the same:
// importing httptest adds a flag to every program.
var testImports = []string{"net/http/httptest", "testing"}

type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

func TestTheLibraryNeedsTheStandardLibraryOnly(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range list(t) {
		if p.Standard {
			continue
		}
		seen[p.ImportPath] = true
		if p.ImportPath != module && !strings.HasPrefix(p.ImportPath, module+"/") {
			t.Errorf("the library needs %s: what needs more than the standard library is a module of its own", p.ImportPath)
		}
	}
	for _, path := range []string{"propagation", "middleware"} {
		if !seen[module+"/"+path] {
			t.Errorf("%s was not checked: go list does not know it", path)
		}
	}
}

func TestImportsPointOneWayOnly(t *testing.T) {
	for _, p := range list(t) {
		for _, path := range p.Imports {
			if why := forbidden(p.ImportPath, path); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, path, why)
			}
		}
		if !slices.Contains(library, p.ImportPath) {
			continue
		}
		for _, path := range p.Imports {
			if slices.Contains(testImports, path) {
				t.Errorf("%s imports %s, which is for tests", p.ImportPath, path)
			}
		}
	}
}

func TestAForbiddenImportIsToldFromAnother(t *testing.T) {
	for _, row := range []struct {
		from, to string
		want     bool
	}{
		{"propagation", "middleware", true},
		{"propagation", "internal/wire", true},
		{"middleware", "internal/paper", true},
		{"internal/hop", "propagation", true},
		{"internal/hop", "propagation/propagationtest", true},
		{"middleware", "propagation", false},
		{"propagation/propagationtest", "propagation", false},
		{"propagation/propagationtest", "internal/hop", false},
		{"internal/hop", "internal/wire", false},
	} {
		if got := forbidden(module+"/"+row.from, module+"/"+row.to) != ""; got != row.want {
			t.Errorf("%s may not import %s: %v, want %v", row.from, row.to, got, row.want)
		}
	}
}

// library are the packages that services import in production.
var library = []string{module + "/propagation", module + "/middleware"}

// forbidden says why one package must not import the other, or returns "" if
// it may. The kit, which stands below propagation, has arrows of its own.
func forbidden(from, to string) string {
	for _, a := range arrows {
		if below(from, a.from) && below(to, a.to) && below(from, "propagation/propagationtest") == (a.from == "propagation/propagationtest") {
			return a.why
		}
	}
	return ""
}

func below(path, dir string) bool {
	return path == module+"/"+dir || strings.HasPrefix(path, module+"/"+dir+"/")
}

// list returns the packages of this module, without their tests, and all that
// they need.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Imports", "./...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cannot list the packages: %v\n%s", err, &stderr)
	}
	var packages []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("cannot read what go list says: %v", err)
		}
		packages = append(packages, p)
	}
}
