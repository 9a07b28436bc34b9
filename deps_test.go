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

// badImports are what no package of this module may need, however indirectly,
// and why. An entry stands for all that is below it too.
var badImports = []struct{ path, why string }{
	{"go.opentelemetry.io/otel/sdk", "whether there is an SDK, and which, is up to the service"},
	{"go.opentelemetry.io/otel/exporters", "where spans go is up to the service"},
	{"go.opentelemetry.io/otel/bridge", "what a service migrates from is its own affair"},
	{"go.opentelemetry.io/contrib/instrumentation", "the service instruments itself, at the version it likes; the propagator works below any"},
	{"go.opentelemetry.io/contrib/exporters", "where spans go is up to the service"},
	{"github.com/go-chi", "the middleware has the form that all routers take; examples and tests may use one"},
	{"github.com/gorilla", "the middleware has the form that all routers take"},
	{"github.com/gin-gonic", "the middleware has the form that all routers take"},
	{"github.com/labstack", "the middleware has the form that all routers take"},
	{"google.golang.org/grpc", "gRPC metadata is written with Headers.All, by the service that has it"},
	{"github.com/openzipkin", "a peer, to be compared with in a module of its own"},
	{"github.com/opentracing", "a peer, to be compared with in a module of its own"},
	{"github.com/jaegertracing", "a server, to be run from a module of its own"},
	{"github.com/stretchr", "assertions are for tests only"},
	{"go.uber.org/goleak", "it looks for leaks in tests only"},
	{module + "/examples", "the library must not need its examples"},
	{module + "/integration", "the library must not need its tests"},
}

// directImports are all that a package may import itself beside the standard
// library. Packages that are not here may import what is not bad.
var directImports = map[string][]string{
	module + "/propagation": {
		"go.opentelemetry.io/contrib/propagators/b3",
		"go.opentelemetry.io/otel/propagation",
		"go.opentelemetry.io/otel/trace",
	},
	module + "/middleware": {
		module + "/propagation",
	},
}

// testImports are of the standard library, and for tests all the same:
// importing httptest adds a flag to every program.
var testImports = []string{"net/http/httptest", "testing"}

type pkg struct {
	ImportPath string
	Standard   bool
	DepOnly    bool
	Imports    []string
	Deps       []string
}

func TestPackagesImportNoMoreThanTheyShould(t *testing.T) {
	packages := list(t)
	standard := make(map[string]bool)
	for _, p := range packages {
		standard[p.ImportPath] = p.Standard
	}
	checked := make(map[string]bool)
	for _, p := range packages {
		if p.DepOnly || len(p.Deps) == 0 {
			continue
		}
		checked[p.ImportPath] = true
		for _, dep := range p.Deps {
			if why := bad(dep); why != "" {
				t.Errorf("%s needs %s: %s", p.ImportPath, dep, why)
			}
		}
		allowed, ok := directImports[p.ImportPath]
		if !ok {
			continue
		}
		for _, path := range p.Imports {
			if slices.Contains(testImports, path) {
				t.Errorf("%s imports %s, which is for tests", p.ImportPath, path)
			}
			if !standard[path] && !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s; beside the standard library it may import %v only", p.ImportPath, path, allowed)
			}
		}
	}
	for path := range directImports {
		if !checked[path] {
			t.Errorf("%s was not checked: go list does not know it", path)
		}
	}
}

func TestABadImportIsToldFromAGoodOne(t *testing.T) {
	for path, want := range map[string]bool{
		"go.opentelemetry.io/otel/sdk/trace":                            true,
		"go.opentelemetry.io/otel/exporters/otlp/otlptrace":             true,
		"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp": true,
		"github.com/go-chi/chi/v5":                                      true,
		"github.com/stretchr/testify/assert":                            true,
		"go.opentelemetry.io/otel/trace":                                false,
		"go.opentelemetry.io/otel/semconv/v1.37.0":                      false,
		"go.opentelemetry.io/contrib/propagators/b3":                    false,
		"net/http":              false,
		module + "/propagation": false,
	} {
		if got := bad(path) != ""; got != want {
			t.Errorf("%s is a bad import: %v, want %v", path, got, want)
		}
	}
}

// bad says why a package must not be needed, or returns "" if it may be.
func bad(path string) string {
	for _, b := range badImports {
		if path == b.path || strings.HasPrefix(path, b.path+"/") {
			return b.why
		}
	}
	return ""
}

// list returns the packages of this module, without their tests, and all that
// they need.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,DepOnly,Imports,Deps", "./...")
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
