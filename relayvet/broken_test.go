package relayvet_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/analysis/passes/httpresponse"
	"golang.org/x/tools/go/analysis/passes/lostcancel"
	"golang.org/x/tools/go/packages"

	"github.com/tracebaton/tracebaton/relayvet"
)

// sources are the seeded files.
func sources(t testing.TB) [][]byte {
	t.Helper()
	var all [][]byte
	for _, dir := range []string{"testdata/lost", "testdata/quiet"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" {
				return err
			}
			src, err := os.ReadFile(path)
			all = append(all, src)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

type imports map[string]*types.Package

func (i imports) Import(path string) (*types.Package, error) {
	if p := i[path]; p != nil {
		return p, nil
	}
	return nil, fs.ErrNotExist
}

var dependencies = sync.OnceValue(func() imports {
	all := imports{}
	_, pkgs := seeds()
	packages.Visit(pkgs, nil, func(p *packages.Package) { all[p.PkgPath] = p.Types })
	return all
})

// analyze runs the analyzer over one file as far as that can be read and
// typed, as editors do; it returns what was reported.
func analyze(t testing.TB, src []byte) []analysis.Diagnostic {
	t.Helper()
	found, _ := check(t, "broken.go", src)
	return found
}

// check also returns what is wrong with the file.
func check(t testing.TB, name string, src []byte) (found []analysis.Diagnostic, errs []error) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		errs = append(errs, err)
	}
	if file == nil {
		return nil, errs
	}
	info := &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
		Implicits: map[ast.Node]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}, Scopes: map[ast.Node]*types.Scope{},
		Instances: map[*ast.Ident]types.Instance{}, FileVersions: map[*ast.File]string{},
	}
	conf := types.Config{Importer: dependencies(), Error: func(err error) { errs = append(errs, err) }}
	pkg, _ := conf.Check("example.com/shop/broken", fset, []*ast.File{file}, info)
	_, err = relayvet.Analyzer.Run(&analysis.Pass{
		Analyzer: relayvet.Analyzer, Fset: fset, Files: []*ast.File{file}, Pkg: pkg, TypesInfo: info, Module: &analysis.Module{},
		Report:            func(d analysis.Diagnostic) { found = append(found, d) },
		ReadFile:          func(string) ([]byte, error) { return src, nil },
		ImportObjectFact:  func(types.Object, analysis.Fact) bool { return false },
		ExportObjectFact:  func(types.Object, analysis.Fact) {},
		ExportPackageFact: func(analysis.Fact) {},
		AllObjectFacts:    func() []analysis.ObjectFact { return nil },
		AllPackageFacts:   func() []analysis.PackageFact { return nil },
	})
	if err != nil {
		t.Error(err)
	}
	for _, d := range found {
		if d.Pos < file.FileStart || d.End > file.FileEnd || d.Pos > d.End {
			t.Errorf("a report at %d to %d, outside of the file", d.Pos, d.End)
		}
		for _, f := range d.SuggestedFixes {
			for _, e := range f.TextEdits {
				if e.Pos < file.FileStart || e.End > file.FileEnd || e.Pos > e.End {
					t.Errorf("an edit at %d to %d, outside of the file", e.Pos, e.End)
				}
			}
		}
	}
	return found, errs
}

func TestALineMoreOrLessDoesNotPanic(t *testing.T) {
	dependencies()
	var reports atomic.Int64
	var files sync.WaitGroup
	for _, src := range sources(t) {
		files.Go(func() {
			lines := bytes.SplitAfter(src, []byte("\n"))
			for i, line := range lines {
				if len(bytes.TrimSpace(line)) == 0 {
					continue
				}
				less := analyze(t, bytes.Join(slices.Concat(lines[:i], lines[i+1:]), nil))
				more := analyze(t, bytes.Join(slices.Concat(lines[:i+1], lines[i:]), nil))
				reports.Add(int64(len(less) + len(more)))
			}
		})
	}
	files.Wait()
	if reports.Load() == 0 {
		t.Error("nothing was analyzed: no report on any file")
	}
}

func FuzzBrokenCodeDoesNotPanic(f *testing.F) {
	dependencies() // outside of the time that one input has
	for _, src := range sources(f) {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) { analyze(t, src) })
}

// RELAYVET_BENCH names the packages of a module, by its directory, instead of
// the standard library.
func BenchmarkAnalyze(b *testing.B) {
	cfg := &packages.Config{Mode: packages.LoadAllSyntax}
	pattern := "std"
	if dir := os.Getenv("RELAYVET_BENCH"); dir != "" {
		cfg.Dir, pattern = dir, "./..."
	}
	pkgs, err := packages.Load(cfg, pattern)
	if err != nil {
		b.Fatal(err)
	}
	lines := 0
	for _, p := range pkgs {
		for _, f := range p.Syntax {
			lines += p.Fset.File(f.FileStart).LineCount()
		}
	}
	for _, set := range []struct {
		name      string
		analyzers []*analysis.Analyzer
	}{
		{"lostcancel+httpresponse", []*analysis.Analyzer{lostcancel.Analyzer, httpresponse.Analyzer}},
		{"relayvet", []*analysis.Analyzer{relayvet.Analyzer}},
	} {
		b.Run(set.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := checker.Analyze(set.analyzers, pkgs, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(lines), "lines")
		})
	}
}
