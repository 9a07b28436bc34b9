package relayvet

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// A builder is a library's request that sends itself: resty's, and its like.
type builder struct {
	sends []string // its methods that send
	binds []string // its methods that take a context; none if it knows none
	use   string   // what to write, after the context in reach
}

var methods = []string{"Get", "Head", "Post", "Put", "Delete", "Options", "Patch", "Trace", "Send", "Execute"}

var builders = map[string]builder{
	"github.com/go-resty/resty/v2.Request": {methods, []string{"SetContext"}, "bind it with SetContext(%s)"},
	"resty.dev/v3.Request":                 {methods, []string{"SetContext", "WithContext", "Clone"}, "bind it with SetContext(%s)"},
	"github.com/imroc/req/v3.Request":      {methods, []string{"SetContext"}, "bind it with SetContext(%s)"},
	"github.com/dghubble/sling.Sling": {[]string{"Receive", "ReceiveSuccess"}, nil,
		"sling takes no context: call Request, bind what it makes with WithContext(%s), and send it with Do"},
	"github.com/parnurzeal/gorequest.SuperAgent": {[]string{"End", "EndBytes", "EndStruct"}, nil,
		"gorequest takes no context: call MakeRequest, bind what it makes with WithContext(%s), and send it with a client's Do"},
}

// builderOf is what a method sends by itself; ok is false if it does not.
func builderOf(callee *types.Func) (b builder, ok bool) {
	if callee == nil || callee.Signature().Recv() == nil {
		return builder{}, false
	}
	b, ok = builders[named(callee.Signature().Recv().Type())]
	return b, ok && slices.Contains(b.sends, callee.Name())
}

// isHeimdall says whether a method is one of heimdall's clients that make the
// request themselves: headers come last.
func isHeimdall(callee *types.Func) bool {
	return callee != nil && callee.Pkg() != nil && strings.HasPrefix(callee.Pkg().Path(), "github.com/gojek/heimdall") &&
		callee.Signature().Recv() != nil && slices.Contains([]string{"Get", "Post", "Put", "Patch", "Delete"}, callee.Name())
}

// built says what a request that sends itself is bound to.
func (c *call) built() verdict {
	sel, ok := ast.Unparen(c.Fun).(*ast.SelectorExpr)
	if !ok {
		return verdict{}
	}
	b, _ := builderOf(c.callee)
	v := c.f.chain(sel.X, b, nil, 0)
	if v.url == nil && len(b.binds) > 0 && len(c.Args) > 0 {
		v.url = c.Args[len(c.Args)-1]
	}
	if v.state == lost && c.f.p.publicBase() {
		return verdict{}
	}
	return v
}

// chain judges a request by the calls that it was put together with. That self
// is assigned what was made of itself says nothing.
func (f *function) chain(e ast.Expr, b builder, self *types.Var, depth int) verdict {
	e = ast.Unparen(e)
	if depth > 4*maxDepth {
		return verdict{}
	}
	switch e := e.(type) {
	case *ast.CallExpr:
		callee, ok := typeutil.Callee(f.p.TypesInfo, e).(*types.Func)
		sel, isSel := ast.Unparen(e.Fun).(*ast.SelectorExpr)
		if !ok || !isSel || callee.Pkg() == nil {
			return verdict{}
		}
		if slices.Contains(b.binds, callee.Name()) && len(e.Args) == 1 {
			v := f.context(e.Args[0], 0)
			v.ctx = e.Args[0]
			return v
		}
		recv := callee.Signature().Recv()
		if recv == nil || !isBuilder(recv.Type()) {
			// What a library makes is bound to nothing, unless it is made of
			// something that is; what the program makes is not known.
			if !library(callee) || f.mentionsReach(e) {
				return verdict{}
			}
			return verdict{state: lost}
		}
		if f.fills(e) {
			return verdict{}
		}
		v := f.chain(sel.X, b, self, depth+1)
		if len(b.binds) == 0 && v.url == nil && len(e.Args) == 1 && isString(f.p.TypesInfo.TypeOf(e.Args[0])) {
			v.url = e.Args[0]
		}
		return v
	case *ast.Ident:
		v, ok := f.p.TypesInfo.ObjectOf(e).(*types.Var)
		switch {
		case !ok || f.isParam(v):
			return verdict{}
		case v == self:
			return verdict{state: lost}
		}
		got := f.all(v, func(e ast.Expr) verdict { return f.chain(e, b, v, depth+1) })
		if got.state == lost && f.bindsBuilt(v, b) {
			return verdict{}
		}
		return got
	case *ast.SelectorExpr:
		if len(b.binds) == 0 && !f.mentionsReach(e) { // a field: it can be bound to nothing
			return verdict{state: lost}
		}
	}
	return verdict{}
}

func isBuilder(t types.Type) bool { _, ok := builders[named(t)]; return ok }

// library says whether a function is of a package that has builders.
func library(fn *types.Func) bool {
	for name := range builders {
		if name[:strings.LastIndexByte(name, '.')] == fn.Pkg().Path() {
			return true
		}
	}
	return false
}

func isString(t types.Type) bool {
	b, ok := t.(*types.Basic)
	return ok && b.Info()&types.IsString != 0
}

// fills says whether a call of a builder may copy the incoming headers.
func (f *function) fills(c *ast.CallExpr) bool {
	sel, ok := ast.Unparen(c.Fun).(*ast.SelectorExpr)
	if !ok || !strings.Contains(sel.Sel.Name, "Header") && sel.Sel.Name != "Set" && sel.Sel.Name != "Add" {
		return false
	}
	switch len(c.Args) {
	case 1:
		return f.mentionsReach(c) || f.readsHeaders()
	case 2:
		return f.copies(c.Args[0], c.Args[1])
	}
	return false
}

// bindsBuilt says whether something in the function may bind the request v:
// a call of it, or of a function that is given it.
func (f *function) bindsBuilt(v *types.Var, b builder) bool {
	is := func(e ast.Expr) bool {
		id, ok := ast.Unparen(e).(*ast.Ident)
		return ok && f.p.TypesInfo.Uses[id] == v
	}
	found := false
	ast.Inspect(f.decl.Body, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			for _, a := range c.Args {
				found = found || is(a)
			}
			if root := rootOf(c); root != nil && is(root) {
				name := ast.Unparen(c.Fun).(*ast.SelectorExpr).Sel.Name
				found = found || slices.Contains(b.binds, name) || f.fills(c)
			}
		}
		return !found
	})
	return found
}

// rootOf is what a chain of method calls begins with; nil if c is not one.
func rootOf(c *ast.CallExpr) ast.Expr {
	for {
		sel, ok := ast.Unparen(c.Fun).(*ast.SelectorExpr)
		if !ok {
			return nil
		}
		next, ok := ast.Unparen(sel.X).(*ast.CallExpr)
		if !ok {
			return sel.X
		}
		c = next
	}
}

// publicBase says whether the package gives a builder's client a base URL
// whose host is public: which client a call uses is seldom plain.
func (p *pkg) publicBase() bool {
	for _, f := range p.order {
		found := false
		ast.Inspect(f.decl.Body, func(n ast.Node) bool {
			if c, ok := n.(*ast.CallExpr); ok && len(c.Args) == 1 {
				if callee, ok := typeutil.Callee(p.TypesInfo, c).(*types.Func); ok && callee.Pkg() != nil && library(callee) {
					switch callee.Name() {
					case "SetBaseURL", "SetHostURL", "Base":
						found = found || f.public(c.Args[0])
					}
				}
			}
			return !found
		})
		if found {
			return true
		}
	}
	return false
}
