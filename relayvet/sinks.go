package relayvet

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// A function is a declared function, and the calls in it that matter.
type function struct {
	p      *pkg
	decl   *ast.FuncDecl
	obj    *types.Func
	root   *scope
	calls  []*call
	blind  []*call // of interfaces' methods that cannot be followed
	waits  bool    // for goroutines, as far as can be seen
	effect effect

	values map[*types.Var][]ast.Expr // what is assigned to its variables
	params map[*types.Var]bool       // its own, and its literals'
}

// A call may send something, by itself or further down.
type call struct {
	*ast.CallExpr
	f      *function
	scope  *scope
	callee *types.Func // nil for a function value
	kind   kind
}

type kind int

const (
	other   kind = iota
	simple       // http.Get and its like: no request to bind
	request      // Do and its like: the last argument is the request
	rpc          // gRPC and its like: the first argument is the context
	built        // resty's and its like: the receiver is the request
)

// collect finds the functions of the package and their calls.
func (p *pkg) collect() {
	for _, file := range p.files {
		for _, d := range file.Decls {
			d, ok := d.(*ast.FuncDecl)
			if !ok || d.Body == nil {
				continue
			}
			obj, ok := p.TypesInfo.Defs[d.Name].(*types.Func)
			if !ok {
				continue
			}
			f := &function{p: p, decl: d, obj: obj}
			f.root = &scope{reach: p.reachOf(d.Recv, d.Type, d.Name.Name)}
			f.walk(d.Body, f.root)
			p.funcs[obj] = f
			p.order = append(p.order, f)
		}
	}
}

// walk notes the calls under n, each with its scope.
func (f *function) walk(n ast.Node, in *scope) {
	// What is done with the literal decides whether the outer context is its own.
	literals := map[*ast.FuncLit]*scope{}
	kept := map[*ast.CallExpr]bool{} // what opens a stream that outlives the request
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			s := &scope{reach: in.reach, outer: in, spawn: true, after: in.after}
			f.walk(n.Call, s)
			return false
		case *ast.DeferStmt:
			s := &scope{reach: in.reach, outer: in, spawn: in.spawn, after: true}
			f.walk(n.Call, s)
			return false
		case *ast.AssignStmt:
			if call, ok := ast.Unparen(n.Rhs[0]).(*ast.CallExpr); ok && f.keepsStream(n.Lhs[0]) {
				kept[call] = true
			}
			for i, r := range n.Rhs {
				if lit, ok := r.(*ast.FuncLit); ok && len(n.Lhs) == len(n.Rhs) {
					if id, ok := n.Lhs[i].(*ast.Ident); ok {
						if v, ok := f.p.TypesInfo.ObjectOf(id).(*types.Var); ok && v.Parent() != f.p.Pkg.Scope() {
							literals[lit] = in
						}
					}
				}
			}
		case *ast.CallExpr:
			if lit, ok := ast.Unparen(n.Fun).(*ast.FuncLit); ok {
				literals[lit] = in
			}
			if callee := typeutil.Callee(f.p.TypesInfo, n); callee == nil || !strings.HasPrefix(full(callee), "sync.") {
				for _, a := range n.Args {
					if lit, ok := a.(*ast.FuncLit); ok {
						literals[lit] = in
					}
				}
			}
			if !kept[n] {
				f.call(n, in)
			}
		case *ast.FuncLit:
			own := f.p.reachOf(nil, n.Type, "")
			if own != nil && in.reach != nil && in.handler {
				own.handler = true
			}
			s := &scope{outer: in, reach: own}
			if outer, ok := literals[n]; ok {
				s.spawn, s.after = outer.spawn, outer.after
				if own == nil {
					s.reach = outer.reach
				}
			} else if own == nil {
				s.after = true // it is stored, and run who knows when
			}
			f.walk(n.Body, s)
			return false
		case *ast.UnaryExpr:
			f.waits = f.waits || n.Op == token.ARROW
		case *ast.SelectStmt:
			f.waits = true
		}
		return true
	})
}

// keepsStream says whether what is assigned to is a field for a gRPC client's stream.
func (f *function) keepsStream(to ast.Expr) bool {
	field, ok := ast.Unparen(to).(*ast.SelectorExpr)
	if !ok {
		return false
	}
	t := f.p.TypesInfo.TypeOf(field)
	return t != nil && has(t, "CloseSend") && has(t, "RecvMsg")
}

func (f *function) call(n *ast.CallExpr, in *scope) {
	sig, ok := f.p.TypesInfo.TypeOf(n.Fun).(*types.Signature)
	if !ok {
		return // a conversion, a built-in, or it does not type-check
	}
	c := &call{CallExpr: n, f: f, scope: in}
	c.callee, _ = typeutil.Callee(f.p.TypesInfo, n).(*types.Func)
	if c.callee != nil && c.callee.Name() == "Wait" {
		f.waits = true
	}
	c.kind = sends(sig, c.callee, len(n.Args))
	if len(n.Args) == 0 && c.kind != built {
		c.kind = other // broken code
	}
	if c.kind == other && f.p.blind(c.callee) {
		f.blind = append(f.blind, c)
		return
	}
	if c.kind == other && (c.callee == nil || !f.p.ours(c.callee)) {
		return
	}
	f.calls = append(f.calls, c)
}

// ours says whether a function is of this package, or has a fact: only those
// of the same module have.
func (p *pkg) ours(fn *types.Func) bool {
	return fn.Pkg() == p.Pkg || isInterface(fn) && p.behind(fn) != nil || fn.Pkg() != nil && p.ImportObjectFact(fn.Origin(), &effect{})
}

func isInterface(fn *types.Func) bool {
	recv := fn.Signature().Recv()
	return recv != nil && types.IsInterface(recv.Type())
}

// sends says what kind of call sends something, by its signature: wrappers of
// clients keep it.
func sends(sig *types.Signature, callee *types.Func, args int) kind {
	params, results := sig.Params(), sig.Results()
	if _, ok := builderOf(callee); ok {
		return built
	}
	if isHeimdall(callee) {
		return simple
	}
	if callee != nil && callee.Pkg() != nil && isHTTP(callee.Pkg().Path()) {
		switch callee.Name() {
		case "Get", "Head", "Post", "PostForm":
			if results.Len() == 2 && named(results.At(0).Type()) == "net/http.Response" {
				return simple
			}
		}
	}
	if params.Len() == 1 && results.Len() == 2 && args == 1 &&
		isRequest(params.At(0).Type()) && named(results.At(0).Type()) == "net/http.Response" {
		return request
	}
	if args == 0 || params.Len() == 0 || !isContext(params.At(0).Type()) {
		return other
	}
	if last := params.At(params.Len() - 1).Type(); sig.Variadic() {
		if s, ok := last.(*types.Slice); ok && named(s.Elem()) == "google.golang.org/grpc.CallOption" {
			return rpc
		}
	}
	if params.Len() == 2 && results.Len() == 2 && isConnect(params.At(1).Type()) {
		return rpc
	}
	return other
}

func isHTTP(path string) bool {
	return path == "net/http" || path == "github.com/hashicorp/go-retryablehttp"
}

func isRequest(t types.Type) bool {
	n := named(t)
	return n == "net/http.Request" || n == "github.com/hashicorp/go-retryablehttp.Request"
}

func full(o types.Object) string {
	if o.Pkg() == nil {
		return o.Name()
	}
	return o.Pkg().Path() + "." + o.Name()
}

// text is how a reader knows a call.
func (c *call) text() string {
	s := types.ExprString(c.Fun)
	if len(s) > 60 && c.callee != nil {
		return short(c.callee, c.f.p.Pkg)
	}
	return s
}
