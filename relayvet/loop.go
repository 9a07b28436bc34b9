package relayvet

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/typeutil"
)

// traceHeaders are those that hand-written copies are about, in lower case.
var traceHeaders = []string{
	"traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags",
	"x-request-id", "x-ot-span-context", "x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority",
	"x-datadog-origin", "x-datadog-tags", "sw8", "sw8-x", "sw8-correlation", "x-cloud-trace-context", "grpc-trace-bin",
	"x-amzn-trace-id", "uber-trace-id",
}

func isTraceHeader(s string) bool { return slices.Contains(traceHeaders, strings.ToLower(s)) }

// A copied is one header, or one list of them, that is copied by hand.
type copied struct {
	call     *ast.CallExpr // the one that sets it
	stmt     *ast.ExprStmt // of the call, nil if it is part of something else
	dst, src ast.Expr      // both http.Header, or src is nil
	key      ast.Expr
	names    []string
	guarded  bool
}

// loop reports hand-written copies of trace headers that set what did not come
// in, or keep only the first of several values: once a function.
func (p *pkg) loop() {
	for _, f := range p.order {
		var invents, first, misses []ast.Node
		var names []string
		var edits []analysis.TextEdit
		for _, c := range f.copied() {
			switch {
			case p.silenced(c.call.Pos()):
			case !c.guarded:
				invents = append(invents, c.call)
				names = append(names, c.names...)
				edits = append(edits, p.each(c)...)
			case slices.ContainsFunc(c.names, func(n string) bool { return n == "tracestate" || n == "baggage" }):
				first = append(first, c.call)
				edits = append(edits, p.each(c)...)
			}
		}
		fixes := func(all int) []analysis.SuggestedFix {
			if len(edits) == 0 || len(edits) < all {
				return nil
			}
			return []analysis.SuggestedFix{fix("Copy what came in, every value of it", edits...)}
		}
		switch {
		case len(invents) > 0:
			p.report("loop", invents[0], fixes(len(invents)+len(first)), "%s sets %s even where none came in: an empty header is sent, which readers take for a trace, or for no sampling; "+
				"copy each of Values(name), or use middleware.Transport", types.ExprString(invents[0].(*ast.CallExpr).Fun), sum(names))
		case len(first) > 0:
			p.report("loop", first[0], fixes(len(first)), "%s keeps only the first value: tracestate and baggage may come in several; "+
				"copy each of Values(name), or use middleware.Transport", types.ExprString(first[0].(*ast.CallExpr).Fun))
		}
		misses = f.misses()
		for _, n := range misses {
			ix := n.(*ast.IndexExpr)
			name := constant.StringVal(p.TypesInfo.Types[ix.Index].Value)
			var fixes []analysis.SuggestedFix
			if lit, ok := ix.Index.(*ast.BasicLit); ok {
				fixes = []analysis.SuggestedFix{fix("Write the name as http.Header holds it", replace(lit, strconv.Quote(http.CanonicalHeaderKey(name))))}
			}
			p.report("loop", n, fixes, "%s finds nothing: http.Header holds this header as %q; use Values(%q)", types.ExprString(ix), http.CanonicalHeaderKey(name), name)
		}
	}
}

func sum(names []string) string {
	if len(names) > 1 {
		return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
	}
	return names[0]
}

// copied finds the copies in a function.
func (f *function) copied() []copied {
	info := f.p.TypesInfo
	var found []copied
	var stack []ast.Node
	ast.Inspect(f.decl.Body, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		stack = append(stack, n)
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 {
			return true
		}
		args := call.Args
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		var dst ast.Expr
		switch callee := typeutil.Callee(info, call); {
		case callee == nil:
			return true
		case full(callee) == "google.golang.org/grpc/metadata.AppendToOutgoingContext":
			args = args[1:]
		case full(callee) == "google.golang.org/grpc/metadata.Pairs":
		case (sel.Sel.Name == "Set" || sel.Sel.Name == "Add") && len(args) == 2:
			switch named(info.TypeOf(sel.X)) {
			case "net/http.Header":
				dst = sel.X
			case "google.golang.org/grpc/metadata.MD":
			default:
				return true
			}
		default:
			return true
		}
		for ; len(args) >= 2; args = args[2:] {
			key := args[0]
			names := f.keys(key)
			get := f.get(args[1], key)
			if len(names) == 0 || get == nil {
				continue
			}
			c := copied{call: call, dst: dst, key: key, names: names, guarded: f.guarded(args[1], key, stack)}
			if len(stack) > 1 {
				c.stmt, _ = stack[len(stack)-2].(*ast.ExprStmt)
			}
			if get, ok := get.Fun.(*ast.SelectorExpr); ok && named(info.TypeOf(get.X)) == "net/http.Header" && get.Sel.Name == "Get" {
				c.src = get.X
			}
			found = append(found, c)
			break // one a call
		}
		return true
	})
	return found
}

// keys are the trace headers that an expression may name: a constant, or the
// variable of a loop over a list.
func (f *function) keys(e ast.Expr) []string {
	info := f.p.TypesInfo
	if v := info.Types[e].Value; v != nil && v.Kind() == constant.String {
		if s := constant.StringVal(v); isTraceHeader(s) {
			return []string{strings.ToLower(s)}
		}
		return nil
	}
	if ix, ok := e.(*ast.IndexExpr); ok { // list[i]
		return f.list(ix.X)
	}
	if id, ok := e.(*ast.Ident); ok {
		if v, ok := info.ObjectOf(id).(*types.Var); ok {
			if values := f.valuesOf(v); len(values) == 1 {
				return f.list(values[0])
			}
		}
	}
	return nil
}

func (f *function) list(e ast.Expr) []string {
	info := f.p.TypesInfo
	if id, ok := e.(*ast.Ident); ok {
		if v, ok := info.ObjectOf(id).(*types.Var); ok {
			if values := f.valuesOf(v); len(values) == 1 {
				e = values[0]
			}
		}
	}
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	var names []string
	for _, e := range lit.Elts {
		if v := info.Types[e].Value; v != nil && v.Kind() == constant.String && isTraceHeader(constant.StringVal(v)) {
			names = append(names, strings.ToLower(constant.StringVal(v)))
		}
	}
	return names
}

// get is the call that reads the header of that key, by itself or into the
// variable that e is.
func (f *function) get(e, key ast.Expr) *ast.CallExpr {
	if id, ok := e.(*ast.Ident); ok {
		if v, ok := f.p.TypesInfo.ObjectOf(id).(*types.Var); ok {
			if values := f.valuesOf(v); len(values) == 1 {
				e = values[0]
			}
		}
	}
	call, ok := e.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 || len(call.Args) > 2 || !f.sameKey(call.Args[0], key) {
		return nil
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	switch sel.Sel.Name {
	case "Get", "GetHeader", "Header":
		return call
	}
	return nil
}

func (f *function) sameKey(a, b ast.Expr) bool {
	va, vb := f.p.TypesInfo.Types[a].Value, f.p.TypesInfo.Types[b].Value
	if va != nil && vb != nil {
		return va.Kind() == constant.String && vb.Kind() == constant.String &&
			strings.EqualFold(constant.StringVal(va), constant.StringVal(vb))
	}
	return types.ExprString(a) == types.ExprString(b)
}

// guarded says whether the value, or the header, is looked at before it is
// set: by an if around it, or by one on the variable that leaves the loop.
func (f *function) guarded(value, key ast.Expr, stack []ast.Node) bool {
	info := f.p.TypesInfo
	v, _ := value.(*ast.Ident)
	looks := func(n ast.Node) bool {
		found := false
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				found = found || v != nil && info.ObjectOf(n) == info.ObjectOf(v)
			case *ast.CallExpr:
				for _, a := range n.Args {
					found = found || f.sameKey(a, key)
				}
			case *ast.IndexExpr:
				found = found || f.sameKey(n.Index, key)
			}
			return !found
		})
		return found
	}
	for _, n := range stack {
		if n, ok := n.(*ast.IfStmt); ok && (looks(n.Cond) || n.Init != nil && v == nil && looks(n.Init)) {
			return true
		}
	}
	if v == nil {
		return false
	}
	found := false
	ast.Inspect(f.decl.Body, func(n ast.Node) bool {
		if n, ok := n.(*ast.IfStmt); ok && looks(n.Cond) {
			found = true
		}
		return !found
	})
	return found
}

// each copies every value, and nothing where nothing came in.
func (p *pkg) each(c copied) []analysis.TextEdit {
	if c.stmt == nil || c.dst == nil || c.src == nil {
		return nil
	}
	if _, ok := c.call.Args[1].(*ast.CallExpr); !ok {
		return nil
	}
	dst, key := p.src(c.dst), p.src(c.key)
	text := fmt.Sprintf("for _, v := range %s.Values(%s) {\n%s.Add(%s, v)\n}", p.src(c.src), key, dst, key)
	if c.call.Fun.(*ast.SelectorExpr).Sel.Name == "Set" {
		text = fmt.Sprintf("%s.Del(%s)\n%s", dst, key, text)
	}
	return []analysis.TextEdit{replace(c.stmt, text)}
}

// misses are the look-ups in an http.Header of a name that it never holds in
// that spelling.
func (f *function) misses() []ast.Node {
	info := f.p.TypesInfo
	var found []ast.Node
	written := map[ast.Expr]bool{}
	ast.Inspect(f.decl.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok == token.ASSIGN {
				for _, l := range n.Lhs {
					written[l] = true
				}
			}
		case *ast.IndexExpr:
			v := info.Types[n.Index].Value
			if !written[n] && v != nil && v.Kind() == constant.String && named(info.TypeOf(n.X)) == "net/http.Header" {
				if s := constant.StringVal(v); isTraceHeader(s) && http.CanonicalHeaderKey(s) != s {
					found = append(found, n)
				}
			}
		}
		return true
	})
	return found
}
