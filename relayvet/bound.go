package relayvet

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// A verdict says what became of the context at a call.
type verdict struct {
	state
	fresh *ast.CallExpr // the context.Background() or TODO() that was sent instead
	own   *types.Var    // the package's variable that holds it, if one does
	made  *ast.CallExpr // what made the request, where it was not bound
	url   ast.Expr      // nil if not known
	ctx   ast.Expr      // the context, nil if the call has none
	base  ast.Expr      // what that was derived from, where it is kept
	freed bool          // by way of context.WithoutCancel
}

type state int

const (
	unknown state = iota
	lost          // no context of a request's, for sure
	kept          // a context that the function was given
)

// judge says what became of the context at a call that sends, by itself or
// further down.
func (c *call) judge() verdict {
	switch c.kind {
	case simple:
		if isHeimdall(c.callee) && (c.f.mentionsReach(c.Args[len(c.Args)-1]) || c.f.readsHeaders()) {
			return verdict{}
		}
		return verdict{state: lost, url: c.Args[0]}
	case request:
		return c.f.request(c.Args[0], 0)
	case built:
		return c.built()
	case rpc:
		v := c.f.context(c.Args[0], 0)
		v.ctx = c.Args[0]
		return v
	}
	if e := c.f.p.effectOf(c.callee); e.Carries != "" {
		params := c.callee.Signature().Params()
		for i, a := range c.Args {
			if i < params.Len() && isContext(params.At(i).Type()) {
				v := c.f.context(a, 0)
				v.ctx = a
				return v
			}
		}
	}
	return verdict{}
}

// maxDepth ends the way back through variables that are assigned in circles.
const maxDepth = 8

// context says where a context comes from.
func (f *function) context(e ast.Expr, depth int) verdict {
	e = ast.Unparen(e)
	if depth > maxDepth {
		return verdict{}
	}
	switch e := e.(type) {
	case *ast.CallExpr:
		callee := typeutil.Callee(f.p.TypesInfo, e)
		if callee == nil {
			break
		}
		switch full(callee) {
		case "context.Background", "context.TODO":
			return verdict{state: lost, fresh: e}
		case "context.WithCancel", "context.WithTimeout", "context.WithDeadline", "context.WithCancelCause",
			"context.WithTimeoutCause", "context.WithDeadlineCause", "context.WithoutCancel", "os/signal.NotifyContext":
			if len(e.Args) == 0 {
				break
			}
			v := f.context(e.Args[0], depth+1)
			v.freed = v.freed || callee.Name() == "WithoutCancel"
			return v
		}
	case *ast.Ident:
		v, ok := f.p.TypesInfo.ObjectOf(e).(*types.Var)
		if !ok || f.isParam(v) {
			break
		}
		got := f.all(v, func(e ast.Expr) verdict { return f.context(e, depth+1) })
		if v.Parent() == f.p.Pkg.Scope() {
			got.own = v
		}
		return got
	}
	if f.mentionsReach(e) {
		return verdict{state: kept, base: e}
	}
	return verdict{}
}

// request says what a request is bound to.
func (f *function) request(e ast.Expr, depth int) verdict {
	e = ast.Unparen(e)
	if depth > maxDepth {
		return verdict{}
	}
	switch e := e.(type) {
	case *ast.UnaryExpr:
		if lit, ok := e.X.(*ast.CompositeLit); ok && e.Op == token.AND && isRequest(f.p.TypesInfo.TypeOf(lit)) {
			return verdict{state: lost, url: field(lit, "URL")}
		}
	case *ast.CallExpr:
		callee, ok := typeutil.Callee(f.p.TypesInfo, e).(*types.Func)
		if !ok {
			break
		}
		switch name := callee.Name(); {
		case name == "NewRequest" && isHTTP(callee.Pkg().Path()) && len(e.Args) == 3:
			return verdict{state: lost, made: e, url: e.Args[1]}
		case name == "NewRequestWithContext" && isHTTP(callee.Pkg().Path()) && len(e.Args) == 4:
			v := f.context(e.Args[0], depth+1)
			v.made, v.url, v.ctx = e, e.Args[2], e.Args[0]
			return v
		case (name == "WithContext" || name == "Clone") && len(e.Args) == 1:
			return f.context(e.Args[0], depth+1)
		}
		if f.mentionsReach(e) {
			return verdict{}
		}
		if f.p.effectOf(callee).Builds {
			return verdict{state: lost}
		}
	case *ast.Ident:
		v, ok := f.p.TypesInfo.ObjectOf(e).(*types.Var)
		if !ok || f.isParam(v) {
			break
		}
		got := f.all(v, func(e ast.Expr) verdict { return f.request(e, depth+1) })
		if got.state == lost && f.binds(v) {
			return verdict{}
		}
		return got
	}
	if f.mentionsReach(e) {
		return verdict{state: kept}
	}
	return verdict{}
}

// all judges every value of a variable: it is lost only if all are.
func (f *function) all(v *types.Var, judge func(ast.Expr) verdict) verdict {
	values := f.valuesOf(v)
	var worst verdict
	for i, e := range values {
		got := judge(e)
		switch {
		case got.state == kept:
			return got
		case i == 0:
			worst = got
		case got.state == unknown:
			worst = verdict{}
		}
	}
	return worst
}

// valuesOf are the expressions assigned to a variable.
func (f *function) valuesOf(v *types.Var) []ast.Expr {
	if v.Parent() == f.p.Pkg.Scope() {
		return f.p.globals()[v]
	}
	if f.values == nil {
		f.values = map[*types.Var][]ast.Expr{}
		assignments(f.p.TypesInfo, f.decl, f.values)
	}
	return f.values[v]
}

// globals are the values of the package's variables.
func (p *pkg) globals() map[*types.Var][]ast.Expr {
	if p.vars == nil {
		p.vars = map[*types.Var][]ast.Expr{}
		for _, f := range p.files {
			assignments(p.TypesInfo, f, p.vars)
		}
	}
	return p.vars
}

func assignments(info *types.Info, n ast.Node, into map[*types.Var][]ast.Expr) {
	add := func(lhs []ast.Expr, rhs []ast.Expr) {
		for i, l := range lhs {
			id, ok := ast.Unparen(l).(*ast.Ident)
			if !ok {
				continue
			}
			v, ok := info.ObjectOf(id).(*types.Var)
			switch {
			case !ok:
			case len(lhs) == len(rhs):
				into[v] = append(into[v], rhs[i])
			case len(rhs) == 1:
				into[v] = append(into[v], rhs[0])
			}
		}
	}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			add(n.Lhs, n.Rhs)
		case *ast.RangeStmt:
			add([]ast.Expr{n.Key, n.Value}, []ast.Expr{n.X})
		case *ast.ValueSpec:
			var lhs []ast.Expr
			for _, id := range n.Names {
				lhs = append(lhs, id)
			}
			add(lhs, n.Values)
		}
		return true
	})
}

// isParam says whether v is a parameter of the function or of a literal in it.
func (f *function) isParam(v *types.Var) bool {
	if f.params == nil {
		f.params = map[*types.Var]bool{}
		note := func(l *ast.FieldList) {
			if l == nil {
				return
			}
			for _, field := range l.List {
				for _, n := range field.Names {
					if v, ok := f.p.TypesInfo.Defs[n].(*types.Var); ok {
						f.params[v] = true
					}
				}
			}
		}
		note(f.decl.Recv)
		ast.Inspect(f.decl, func(n ast.Node) bool {
			if ft, ok := n.(*ast.FuncType); ok {
				note(ft.Params)
			}
			return true
		})
	}
	return f.params[v]
}

// mentionsReach says whether an expression has something to do with a request
// or a context that the function, or a literal in it, was given.
func (f *function) mentionsReach(e ast.Node) bool {
	return mentions(f.p.TypesInfo, e, func(v *types.Var) bool {
		if !f.isParam(v) {
			return false
		}
		_, ok, _ := contextOf(v.Type())
		return ok || isRequest(v.Type())
	})
}

func mentions(info *types.Info, n ast.Node, is func(*types.Var) bool) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !found {
			v, ok := info.Uses[id].(*types.Var)
			found = ok && is(v)
		}
		return !found
	})
	return found
}

// binds says whether something in the function may bind the request v, or
// copy the incoming headers into it: then nothing is said of it.
func (f *function) binds(v *types.Var) bool {
	info := f.p.TypesInfo
	isV := func(w *types.Var) bool { return w == v }
	// itself, or its headers: what is done with its URL or body binds nothing.
	is := func(e ast.Expr) bool {
		e = ast.Unparen(e)
		if s, ok := e.(*ast.StarExpr); ok {
			e = s.X
		}
		for _, part := range []string{"Header", "Request"} { // go-retryablehttp's has net/http's in it
			if s, ok := e.(*ast.SelectorExpr); ok && s.Sel.Name == part {
				e = s.X
			}
		}
		id, ok := e.(*ast.Ident)
		return ok && info.Uses[id] == v
	}
	found := false
	ast.Inspect(f.decl.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, l := range n.Lhs {
				if ix, ok := l.(*ast.IndexExpr); ok && is(ix.X) && !isConstant(info, ix.Index) {
					found = found || f.readsHeaders()
				}
				if len(n.Lhs) == len(n.Rhs) && is(l) && f.mentionsReach(n.Rhs[i]) {
					found = true
				}
			}
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && is(sel.X) {
				switch sel.Sel.Name {
				case "WithContext", "Clone":
					found = found || len(n.Args) == 1 && f.context(n.Args[0], 0).state != lost && !mentions(info, n.Args[0], isV)
				case "Set", "Add":
					if len(n.Args) == 2 {
						found = found || f.copies(n.Args[0], n.Args[1])
					}
				}
				break
			}
			given, reached := false, false
			for _, a := range n.Args {
				switch {
				case is(a):
					given = true
				case f.mentionsReach(a) || isContext(info.TypeOf(a)) && f.context(a, 0).state != lost:
					reached = true
				}
			}
			if given && !reached {
				// A method of ours may do with it what it likes.
				if callee, ok := typeutil.Callee(info, n).(*types.Func); ok {
					reached = f.p.effectOf(callee).Binds
				}
			}
			found = found || given && reached
		}
		return !found
	})
	return found
}

// copies says whether a header set on a request is copied from the incoming
// one, trace headers perhaps among others.
func (f *function) copies(key, value ast.Expr) bool {
	if k := f.p.TypesInfo.Types[key].Value; k != nil && k.Kind() == constant.String {
		return isTraceHeader(constant.StringVal(k)) && f.mentionsReach(value)
	}
	return f.readsHeaders()
}

// readsHeaders says whether the function reads the headers of what it is given.
func (f *function) readsHeaders() bool {
	found := false
	ast.Inspect(f.decl.Body, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && strings.Contains(s.Sel.Name, "Header") && f.mentionsReach(s.X) {
			found = true
		}
		return !found
	})
	return found
}

func isConstant(info *types.Info, e ast.Expr) bool { return info.Types[e].Value != nil }

func field(lit *ast.CompositeLit, name string) ast.Expr {
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if id, ok := kv.Key.(*ast.Ident); ok && id.Name == name {
				return kv.Value
			}
		}
	}
	return nil
}
