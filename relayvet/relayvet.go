// Package relayvet finds the lines on which a Go program loses the trace of
// the request that it serves.
//
// It reports a call that is sent without the request's context, and reports it
// once. It judges the call that sends, not how its request was made. It does not
// report calls in tests, command lines and generated code, at start-up and
// shutdown, and to hosts that are constant and public.
//
// A comment with a reason silences a line:
//
//	resp, err := http.Get(u) //relayvet:ignore the licence server knows no traces
package relayvet

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Analyzer reports calls that leave an incoming request's trace headers behind.
var Analyzer = &analysis.Analyzer{
	Name:      "relayvet",
	Doc:       doc,
	URL:       "https://github.com/tracebaton/tracebaton/blob/main/docs/relayvet.md",
	Flags:     flags(),
	Run:       run,
	FactTypes: []analysis.Fact{(*effect)(nil), (*program)(nil)},
}

const doc = `report calls that leave an incoming request's trace headers behind

A service is part of a trace only as long as every call that it makes for a
request is sent with that request's context. relayvet reports the calls that
are not. Each kind of report has a switch, such as -relayvet.loop=false, and a
line is silenced by a comment with a reason: //relayvet:ignore <reason>`

// The kinds of reports, in the order of the documentation.
var categories = []struct {
	name string
	on   bool
	doc  string
}{
	{"send", true, "calls sent without the context in reach"},
	{"through", true, "calls in functions without a context that handlers call"},
	{"gin", true, "framework contexts that do not hold the request's"},
	{"loop", true, "hand-written copies of trace headers that lose or invent values"},
	{"wiring", true, "clients, propagators and handlers put together so that nothing is relayed"},
	{"dynamic", false, "calls whose host is probably a third party's"},
	{"late", false, "goroutines that outlive their request and call on"},
	{"unfollowed", false, "how many calls behind interfaces were not followed"},
}

var enabled = map[string]*bool{}

func flags() flag.FlagSet {
	fs := flag.NewFlagSet("relayvet", flag.ContinueOnError)
	for _, c := range categories {
		enabled[c.name] = fs.Bool(c.name, c.on, "report "+c.doc)
	}
	return *fs
}

func run(pass *analysis.Pass) (any, error) {
	// Somebody else's module: nothing to report, and no fact crosses over.
	if pass.Module != nil && pass.Module.Version != "" {
		return nil, nil
	}
	p := &pkg{Pass: pass, ignored: map[line]bool{}, funcs: map[*types.Func]*function{}, followed: map[*types.Func][]*types.Func{}}
	if p.testing() {
		return nil, nil
	}
	for _, f := range pass.Files {
		name := pass.Fset.File(f.FileStart).Name()
		p.comments(f)
		if !strings.HasSuffix(name, "_test.go") && !ast.IsGenerated(f) {
			p.files = append(p.files, f)
		}
	}
	p.collect()
	p.settle()
	var says program
	p.send()
	p.through(&says)
	p.unfollowed()
	p.late()
	p.gin(&says)
	p.loop()
	p.wiring()
	if says.String() != "" {
		p.ExportPackageFact(&says)
	}
	return nil, nil
}

// A program is what a package says to those that import it.
type program struct {
	Reported []string // calls of other packages that it has reported, by place
	Gin      string   // a gin context that is passed to a call that sends
	Fallback bool     // ContextWithFallback is set
}

func (*program) AFact() {}

func (p *program) String() string {
	s := append(slices.Clone(p.Reported), p.Gin)
	if p.Fallback {
		s = append(s, "ContextWithFallback")
	}
	return strings.Trim(strings.Join(s, " "), " ")
}

// imported is what the packages say that this one imports, by whatever way.
func (p *pkg) imported() []*program {
	var all []*program
	for _, f := range p.AllPackageFacts() {
		if f, ok := f.Fact.(*program); ok {
			all = append(all, f)
		}
	}
	return all
}

// A pkg is one package under analysis.
type pkg struct {
	*analysis.Pass
	files   []*ast.File // less tests and generated files
	funcs   map[*types.Func]*function
	vars    map[*types.Var][]ast.Expr // of the package
	order   []*function
	ignored map[line]bool

	followed map[*types.Func][]*types.Func // what is behind interfaces' methods
	named    []*types.Named                // the types that may be
}

type line struct {
	file string
	n    int
}

const ignore = "//relayvet:ignore"

// comments notes the lines that a comment silences: its own, and the next one
// where the comment stands alone.
func (p *pkg) comments(f *ast.File) {
	for _, g := range f.Comments {
		for _, c := range g.List {
			reason, ok := strings.CutPrefix(c.Text, ignore)
			if !ok {
				continue
			}
			reason, _, _ = strings.Cut(reason, "//")
			if strings.TrimSpace(reason) == "" {
				p.Report(analysis.Diagnostic{Pos: c.Pos(), End: c.End(), Category: "send",
					Message: ignore + " needs a reason after it"})
				continue
			}
			at := p.Fset.Position(c.Pos())
			p.ignored[line{at.Filename, at.Line}] = true
			if p.alone(c) {
				p.ignored[line{at.Filename, at.Line + 1}] = true
			}
		}
	}
}

// alone says whether a comment has its line to itself.
func (p *pkg) alone(c *ast.Comment) bool {
	file := p.Fset.File(c.Pos())
	src, err := p.ReadFile(file.Name())
	from := file.Offset(file.LineStart(file.Line(c.Pos())))
	to := file.Offset(c.Pos())
	return err == nil && to <= len(src) && len(bytes.TrimSpace(src[from:to])) == 0
}

func (p *pkg) silenced(pos token.Pos) bool {
	at := p.Fset.Position(pos)
	return p.ignored[line{at.Filename, at.Line}]
}

func (p *pkg) report(category string, at ast.Node, fixes []analysis.SuggestedFix, format string, args ...any) {
	if !*enabled[category] || p.silenced(at.Pos()) {
		return
	}
	file := p.Fset.File(at.Pos())
	eof := token.Pos(file.Base() + file.Size())
	// What lacks its last token ends beyond the file, and is not there to be replaced.
	fixes = slices.DeleteFunc(fixes, func(f analysis.SuggestedFix) bool {
		return slices.ContainsFunc(f.TextEdits, func(e analysis.TextEdit) bool { return e.End > eof })
	})
	p.Report(analysis.Diagnostic{
		Pos:            at.Pos(),
		End:            min(at.End(), eof),
		Category:       category,
		Message:        fmt.Sprintf(format, args...),
		SuggestedFixes: fixes,
	})
}

// where is a position as a reader of another package finds it.
func (p *pkg) where(pos token.Pos) string {
	at := p.Fset.Position(pos)
	dir := p.Pkg.Path()
	if p.Module != nil {
		dir = strings.TrimPrefix(strings.TrimPrefix(dir, p.Module.Path), "/")
	}
	if dir != "" {
		dir += "/"
	}
	return fmt.Sprintf("%s%s:%d", dir, at.Filename[strings.LastIndexAny(at.Filename, `/\`)+1:], at.Line)
}
