package relayvet

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/tools/go/analysis"
)

// fixes are the edits that are surely right: imports that they leave unused
// are the driver's to remove.
func (c *call) fixes(v verdict) []analysis.SuggestedFix {
	ctx := c.scope.expr
	switch {
	case ctx == "":
		return nil
	case v.fresh != nil:
		if !c.visible(v.fresh.Pos()) {
			return nil
		}
		pass := fix("Pass "+ctx, replace(v.fresh, ctx))
		sel, ok := v.fresh.Fun.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name == "TODO" {
			return []analysis.SuggestedFix{pass}
		}
		// Background may be meant: so much that the call outlives the request.
		detached := fmt.Sprintf("%s.WithoutCancel(%s)", c.f.p.src(sel.X), ctx)
		return []analysis.SuggestedFix{fix("Keep the trace with "+detached, replace(v.fresh, detached)), pass}
	case v.made != nil:
		sel, ok := v.made.Fun.(*ast.SelectorExpr)
		if !ok || !c.visible(v.made.Pos()) {
			return nil
		}
		return []analysis.SuggestedFix{fix("Make the request with "+ctx,
			replace(sel.Sel, "NewRequestWithContext"), insert(v.made.Args[0].Pos(), ctx+", "))}
	case c.kind == built:
		b, _ := builderOf(c.callee)
		sel, ok := c.Fun.(*ast.SelectorExpr)
		if !ok || len(b.binds) == 0 || !c.visible(c.Pos()) {
			return nil
		}
		return []analysis.SuggestedFix{fix("Bind the request to "+ctx, insert(sel.X.End(), "."+b.binds[0]+"("+ctx+")"))}
	case c.kind == simple && c.visible(c.Pos()):
		return c.split(ctx)
	}
	return nil
}

// split makes two statements, and two checks, of
//
//	resp, err := http.Get(u)
//	if err != nil {
func (c *call) split(ctx string) []analysis.SuggestedFix {
	p := c.f.p
	sel, ok := c.Fun.(*ast.SelectorExpr)
	if !ok || c.callee == nil || c.callee.Pkg().Path() != "net/http" || c.callee.Name() == "PostForm" || len(c.Args) != c.callee.Signature().Params().Len() {
		return nil
	}
	assign, check := c.f.statement(c.CallExpr)
	if check == nil || assign.Tok != token.DEFINE || len(assign.Lhs) != 2 {
		return nil
	}
	resp, ok1 := assign.Lhs[0].(*ast.Ident)
	err, ok2 := assign.Lhs[1].(*ast.Ident)
	if !ok1 || !ok2 || err.Name == "_" || p.TypesInfo.Defs[resp] == nil {
		return nil
	}
	cond, ok := check.Cond.(*ast.BinaryExpr)
	if !ok || check.Init != nil || check.Else != nil || cond.Op != token.NEQ || p.src(cond) != err.Name+" != nil" ||
		mentions(p.TypesInfo, check, func(v *types.Var) bool { return v == p.TypesInfo.Defs[resp] }) {
		return nil
	}
	pkg, client := p.importName(c.Pos(), "net/http"), p.src(sel.X)
	if c.callee.Signature().Recv() == nil {
		client = pkg + ".DefaultClient"
	}
	req := ""
	for _, name := range []string{"req", "out", "outgoing"} {
		if _, obj := p.Pkg.Scope().Innermost(c.Pos()).LookupParent(name, token.NoPos); obj == nil {
			req = name
			break
		}
	}
	if pkg == "" || req == "" {
		return nil
	}
	body, header := "nil", ""
	if c.callee.Name() == "Post" {
		body = p.src(c.Args[2])
		header = fmt.Sprintf("%s.Header.Set(\"Content-Type\", %s)\n", req, p.src(c.Args[1]))
	}
	text := fmt.Sprintf("%s, %s := %s.NewRequestWithContext(%s, %s.Method%s, %s, %s)\n%s\n%s%s, %s := %s.Do(%s)",
		req, err.Name, pkg, ctx, pkg, c.callee.Name(), p.src(c.Args[0]), body, p.src(check), header, resp.Name, err.Name, client, req)
	return []analysis.SuggestedFix{fix("Send a request made with "+ctx, replace(assign, text))}
}

// statement is the assignment of a call's results, and the if that follows it.
func (f *function) statement(c *ast.CallExpr) (*ast.AssignStmt, *ast.IfStmt) {
	var assign *ast.AssignStmt
	var check *ast.IfStmt
	ast.Inspect(f.decl.Body, func(n ast.Node) bool {
		var list []ast.Stmt
		switch n := n.(type) {
		case *ast.BlockStmt:
			list = n.List
		case *ast.CaseClause:
			list = n.Body
		case *ast.CommClause:
			list = n.Body
		}
		for i, s := range list {
			if a, ok := s.(*ast.AssignStmt); ok && len(a.Rhs) == 1 && a.Rhs[0] == c && i+1 < len(list) {
				assign = a
				check, _ = list[i+1].(*ast.IfStmt)
			}
		}
		return assign == nil
	})
	return assign, check
}

// visible says whether what is in reach has its name at pos.
func (c *call) visible(pos token.Pos) bool {
	if pos < c.f.decl.Pos() || pos > c.f.decl.End() {
		return false
	}
	in := c.f.p.Pkg.Scope().Innermost(pos)
	if in == nil {
		return false
	}
	_, obj := in.LookupParent(c.scope.v.Name(), pos)
	return obj == c.scope.v
}

// importName is what a file calls a package; "" if it does not import it.
func (p *pkg) importName(pos token.Pos, path string) string {
	for _, f := range p.files {
		if pos < f.FileStart || pos > f.FileEnd {
			continue
		}
		for _, i := range f.Imports {
			if name := p.TypesInfo.PkgNameOf(i); name != nil && name.Imported().Path() == path {
				return name.Name()
			}
		}
	}
	return ""
}

func (p *pkg) src(n ast.Node) string {
	var b bytes.Buffer
	_ = format.Node(&b, p.Fset, n) // into memory, of a tree that was parsed
	return b.String()
}

func fix(message string, edits ...analysis.TextEdit) analysis.SuggestedFix {
	return analysis.SuggestedFix{Message: message, TextEdits: edits}
}

func replace(n ast.Node, text string) analysis.TextEdit {
	return analysis.TextEdit{Pos: n.Pos(), End: n.End(), NewText: []byte(text)}
}

func insert(at token.Pos, text string) analysis.TextEdit {
	return analysis.TextEdit{Pos: at, End: at, NewText: []byte(text)}
}

// relays are the modules of which a direct requirement says that something in
// the program puts trace headers on calls.
var relays = []string{
	"github.com/tracebaton/", "go.opentelemetry.io/", "connectrpc.com/otelconnect",
	"gopkg.in/DataDog/dd-trace-go", "github.com/DataDog/dd-trace-go", "github.com/openzipkin", "go.elastic.co/apm",
	"github.com/opentracing/", "github.com/uber/jaeger-client-go", "github.com/apache/skywalking-go", "github.com/SkyAPM/",
	"github.com/newrelic/go-agent", "github.com/getsentry/sentry-go", "github.com/aws/aws-xray-sdk-go", "go.opencensus.io",
}

var manifests sync.Map // directory to whether its go.mod requires one of relays; true if there is none

// latent ends a report where nothing in the program relays yet: today nothing
// is lost.
func (p *pkg) latent(pos token.Pos) string {
	if relaying(filepath.Dir(p.Fset.File(pos).Name())) {
		return ""
	}
	return " (latent: go.mod requires nothing that relays them yet)"
}

func relaying(dir string) bool {
	if v, ok := manifests.Load(dir); ok {
		return v.(bool)
	}
	found := true
	if mod, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil { //nolint:gosec // a directory of the source that is analyzed
		found = false
		for l := range strings.Lines(string(mod)) {
			if strings.Contains(l, "// indirect") {
				continue
			}
			for _, r := range relays {
				found = found || strings.Contains(l, r)
			}
		}
	} else if up := filepath.Dir(dir); up != dir {
		found = relaying(up)
	}
	manifests.Store(dir, found)
	return found
}
