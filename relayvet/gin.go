package relayvet

import (
	"fmt"
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/typeutil"
)

const (
	ginContext  = "github.com/gin-gonic/gin.Context"
	fiberTwo    = "github.com/gofiber/fiber/v2.Ctx"
	fiberThree  = "github.com/gofiber/fiber/v3.Ctx"
	fastContext = "github.com/valyala/fasthttp.RequestCtx"
)

// hides says whether a framework's context, passed as a context.Context, finds
// nothing of the context of the request.
func hides(t types.Type) bool {
	switch named(t) {
	case ginContext, fiberThree, fastContext:
		return true
	}
	return false
}

// gin reports frameworks' contexts that are passed to a call that sends: gin's
// once an engine, as one line mends them all, others where they are passed.
func (p *pkg) gin(self *program) {
	for _, f := range p.order {
		for _, c := range f.calls {
			if v := c.judge(); v.base != nil && c.scope.serving() != nil {
				p.hidden(f, c, v.base, self)
			}
		}
	}
	var engines []*ast.CallExpr
	for _, file := range p.files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				switch callee := typeutil.Callee(p.TypesInfo, n); {
				case callee == nil:
				case full(callee) == "github.com/gin-gonic/gin.New", full(callee) == "github.com/gin-gonic/gin.Default":
					engines = append(engines, n)
				}
			case *ast.SelectorExpr:
				self.Fallback = self.Fallback || n.Sel.Name == "ContextWithFallback"
			}
			return true
		})
	}
	passed, fallback := self.Gin, self.Fallback
	for _, f := range p.imported() {
		fallback = fallback || f.Fallback
		if passed == "" {
			passed = f.Gin
		}
	}
	if passed == "" || fallback {
		return
	}
	for _, e := range engines {
		p.report("gin", e, p.fallback(e), "the contexts of this gin engine hide the context of the request: %s, which finds no trace headers in it; "+
			"set ContextWithFallback, or pass c.Request.Context()%s", passed, p.latent(e.Pos()))
	}
}

// hidden looks at one context that is passed to a call that sends.
func (p *pkg) hidden(f *function, c *call, ctx ast.Expr, self *program) {
	t := p.TypesInfo.TypeOf(ctx)
	if t == nil || !hides(t) || p.silenced(c.Pos()) {
		return
	}
	use := "propagation.NewContext with the headers that Families.Collect reads"
	var fixes []analysis.SuggestedFix
	switch named(t) {
	case ginContext:
		if self.Gin == "" {
			self.Gin = fmt.Sprintf("%s passes %s to %s (%s)", short(f.obj, nil), types.ExprString(ctx), c.text(), p.where(c.Pos()))
		}
		return
	case fiberThree:
		use = types.ExprString(ctx) + ".Context()"
		fixes = []analysis.SuggestedFix{fix("Pass "+use, replace(ctx, use))}
	case fastContext:
		if call, ok := ctx.(*ast.CallExpr); ok {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && named(p.TypesInfo.TypeOf(sel.X)) == fiberTwo {
				use = types.ExprString(sel.X) + ".UserContext()"
				fixes = []analysis.SuggestedFix{fix("Pass "+use, replace(ctx, use))}
			}
		}
	}
	p.report("gin", c, fixes, "%s is sent with %s, which holds nothing of the request's context: the trace headers that came in stay behind; use %s%s",
		c.text(), types.ExprString(ctx), use, p.latent(c.Pos()))
}

// fallback sets the switch on the line after the engine is made.
func (p *pkg) fallback(engine *ast.CallExpr) []analysis.SuggestedFix {
	for _, f := range p.order {
		if engine.Pos() < f.decl.Pos() || engine.End() > f.decl.End() {
			continue
		}
		var fixes []analysis.SuggestedFix
		ast.Inspect(f.decl.Body, func(n ast.Node) bool {
			block, ok := n.(*ast.BlockStmt)
			if !ok {
				return true
			}
			for _, s := range block.List {
				if a, ok := s.(*ast.AssignStmt); ok && len(a.Lhs) == 1 && len(a.Rhs) == 1 && a.Rhs[0] == engine {
					line := "\n" + p.src(a.Lhs[0]) + ".ContextWithFallback = true"
					fixes = []analysis.SuggestedFix{fix("Set ContextWithFallback", insert(a.End(), line))}
				}
			}
			return true
		})
		return fixes
	}
	return nil
}
