package relayvet

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/typeutil"
)

const (
	middleware = "github.com/tracebaton/tracebaton/middleware"
	propagator = "github.com/tracebaton/tracebaton/propagation/otelprop.Propagator"
)

// wiring reports what is put together in a way that relays nothing, or
// something else.
func (p *pkg) wiring() {
	var relays, replaced bool
	for _, file := range p.files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				p.upgrade(n)
				callee := typeutil.Callee(p.TypesInfo, n)
				if callee == nil {
					break
				}
				relays = relays || full(callee) == middleware+".Relay"
				if full(callee) == "go.opentelemetry.io/otel/propagation.NewCompositeTextMapPropagator" {
					p.composite(n)
				}
			case *ast.AssignStmt:
				for i, l := range n.Lhs {
					if p.isHTTP(l, "DefaultTransport") && len(n.Lhs) == len(n.Rhs) {
						replaced = true
						p.circle(n.Rhs[i])
					}
					if sel, ok := l.(*ast.SelectorExpr); ok && p.isHTTP(sel.X, "DefaultClient") {
						replaced = true
					}
				}
			}
			return true
		})
	}
	if !relays {
		return
	}
	for _, f := range p.order {
		ast.Inspect(f.decl.Body, func(n ast.Node) bool {
			if lit, ok := n.(*ast.CompositeLit); ok && named(p.TypesInfo.TypeOf(lit)) == "net/http.Client" {
				p.client(f, lit, replaced)
			}
			return true
		})
		for _, c := range f.calls {
			if !replaced && c.scope.serving() != nil && p.isDefault(c) {
				p.report("wiring", c, nil, "%s uses a client that does not relay: give a client of your own the transport &middleware.Transport{}, or set http.DefaultTransport", c.text())
			}
		}
	}
}

// isDefault says whether a call is sent by http.DefaultClient, and with a
// context: without one, it is reported already.
func (p *pkg) isDefault(c *call) bool {
	sel, ok := c.Fun.(*ast.SelectorExpr)
	return ok && c.kind == request && p.isHTTP(sel.X, "DefaultClient") && c.judge().state == kept
}

// client looks at the transport of a client in a program that relays.
func (p *pkg) client(f *function, lit *ast.CompositeLit, replaced bool) {
	transport := field(lit, "Transport")
	if transport == nil && (replaced || f.setsLater(lit)) {
		return
	}
	if bare, ends := f.bare(transport, 0); bare && (!ends || !replaced) {
		var fixes []analysis.SuggestedFix
		if name := p.importName(lit.Pos(), middleware); name != "" && name != "." {
			relay := "&" + name + ".Transport{}"
			switch {
			case transport == nil:
				sep := ""
				if len(lit.Elts) > 0 {
					sep = ", "
				}
				fixes = append(fixes, fix("Relay with middleware.Transport", insert(lit.Lbrace+1, "Transport: "+relay+sep)))
			case p.isHTTP(transport, "DefaultTransport"):
				fixes = append(fixes, fix("Relay with middleware.Transport", replace(transport, relay)))
			default:
				fixes = append(fixes, fix("Relay with middleware.Transport",
					insert(transport.Pos(), "&"+name+".Transport{Base: "), insert(transport.End(), "}")))
			}
			if _, call := transport.(*ast.CallExpr); call { // otelhttp must stay outside
				fixes = nil
			}
		}
		p.report("wiring", lit, fixes, "this program relays what comes in, but this client does not: give it Transport: &middleware.Transport{…}")
	}
}

// setsLater says whether the client's transport is set after it is made: in
// the same function, or in one of this package that is given it.
func (f *function) setsLater(lit *ast.CompositeLit) bool {
	found := setsTransport(f.decl.Body)
	ast.Inspect(f.decl.Body, func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if !ok || found {
			return !found
		}
		for _, a := range c.Args {
			if u, ok := ast.Unparen(a).(*ast.UnaryExpr); ok && u.X == lit {
				callee, _ := typeutil.Callee(f.p.TypesInfo, c).(*types.Func)
				if given, ok := f.p.funcs[callee]; ok {
					found = setsTransport(given.decl.Body)
				}
			}
		}
		return !found
	})
	return found
}

func setsTransport(body *ast.BlockStmt) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok {
			for _, l := range a.Lhs {
				if s, ok := l.(*ast.SelectorExpr); ok && s.Sel.Name == "Transport" {
					found = true
				}
			}
		}
		return !found
	})
	return found
}

// bare says whether a transport is known, and has no middleware.Transport in
// it; and whether it ends in http.DefaultTransport.
func (f *function) bare(e ast.Expr, depth int) (bare, ends bool) {
	p := f.p
	if e == nil || p.TypesInfo.Types[e].IsNil() || p.isHTTP(e, "DefaultTransport") {
		return true, true
	}
	if depth > maxDepth {
		return false, false
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.UnaryExpr:
		if lit, ok := e.X.(*ast.CompositeLit); ok && e.Op == token.AND {
			return named(p.TypesInfo.TypeOf(lit)) == "net/http.Transport", false
		}
	case *ast.Ident:
		if v, ok := p.TypesInfo.ObjectOf(e).(*types.Var); ok && !f.isParam(v) {
			if values := f.valuesOf(v); len(values) == 1 {
				return f.bare(values[0], depth+1)
			}
		}
	case *ast.CallExpr:
		switch callee := typeutil.Callee(p.TypesInfo, e); {
		case callee == nil:
		case full(callee) == "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp.NewTransport" && len(e.Args) > 0:
			return f.bare(e.Args[0], depth+1)
		case full(callee) == "net/http.Clone":
			return named(p.TypesInfo.TypeOf(e)) == "net/http.Transport", false
		}
	}
	return false, false
}

// circle reports a transport that http.DefaultTransport is set to, and that
// ends in http.DefaultTransport: the wrapper hides itself from Transport.
func (p *pkg) circle(e ast.Expr) {
	if isTransport(p.TypesInfo.TypeOf(e)) {
		return // Transport itself sees to that
	}
	ast.Inspect(e, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || !isTransport(p.TypesInfo.TypeOf(lit)) || field(lit, "Base") != nil || len(lit.Elts) > 0 && !keyed(lit) {
			return true
		}
		var fixes []analysis.SuggestedFix
		if name := p.importName(lit.Pos(), "net/http"); name != "" && name != "." {
			text := "Base: " + name + ".DefaultTransport"
			if len(lit.Elts) > 0 {
				text += ", "
			}
			fixes = append(fixes, fix("Set Base to the transport so far", insert(lit.Lbrace+1, text)))
		}
		p.report("wiring", lit, fixes, "every call will call itself: a nil Base is http.DefaultTransport, which is set here to a wrapper of this Transport; set Base")
		return true
	})
}

func keyed(lit *ast.CompositeLit) bool {
	_, ok := lit.Elts[0].(*ast.KeyValueExpr)
	return ok
}

func isTransport(t types.Type) bool { return t != nil && named(t) == middleware+".Transport" }

// composite reports a propagator beside ours that writes the same headers.
func (p *pkg) composite(c *ast.CallExpr) {
	ours := false
	for _, a := range c.Args {
		ours = ours || named(p.TypesInfo.TypeOf(a)) == propagator
	}
	if !ours {
		return
	}
	for i, a := range c.Args {
		t := named(p.TypesInfo.TypeOf(a))
		if t != "go.opentelemetry.io/otel/propagation.TraceContext" && !strings.HasPrefix(t, "go.opentelemetry.io/contrib/propagators/b3.") && !p.isB3(a) {
			continue
		}
		edit := analysis.TextEdit{Pos: a.Pos(), End: a.End()}
		if i+1 < len(c.Args) {
			edit.End = c.Args[i+1].Pos()
		} else {
			edit.Pos = c.Args[i-1].End()
		}
		p.report("wiring", a, []analysis.SuggestedFix{fix("Leave it out", edit)},
			"%s writes over what otelprop.Propagator relays: leave it out, since Propagator reads and writes the same headers", types.ExprString(a))
	}
}

// isB3 says whether a propagator is made by contrib's b3.New, which returns an interface.
func (p *pkg) isB3(e ast.Expr) bool {
	c, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return false
	}
	callee := typeutil.Callee(p.TypesInfo, c)
	return callee != nil && full(callee) == "go.opentelemetry.io/contrib/propagators/b3.New"
}

// upgrade reports a Relay around h2c's handler, which takes the connection
// over: requests after the upgrade never pass the Relay.
func (p *pkg) upgrade(c *ast.CallExpr) {
	relay, ok := ast.Unparen(c.Fun).(*ast.CallExpr)
	if !ok || len(c.Args) != 1 || !p.calls(relay, middleware+".Relay") {
		return
	}
	inner, ok := ast.Unparen(c.Args[0]).(*ast.CallExpr)
	if !ok || len(inner.Args) != 2 || !p.calls(inner, "golang.org/x/net/http2/h2c.NewHandler") {
		return
	}
	text := p.src(inner.Fun) + "(" + p.src(relay) + "(" + p.src(inner.Args[0]) + "), " + p.src(inner.Args[1]) + ")"
	p.report("wiring", c, []analysis.SuggestedFix{fix("Put Relay inside", replace(c, text))},
		"h2c takes the connection over, and its requests never pass this Relay: put Relay inside h2c.NewHandler")
}

func (p *pkg) calls(c *ast.CallExpr, name string) bool {
	callee := typeutil.Callee(p.TypesInfo, c)
	return callee != nil && full(callee) == name
}

// isHTTP says whether e is that variable of net/http.
func (p *pkg) isHTTP(e ast.Expr, name string) bool {
	sel, ok := ast.Unparen(e).(*ast.SelectorExpr)
	if !ok {
		return false
	}
	v, ok := p.TypesInfo.Uses[sel.Sel].(*types.Var)
	return ok && v.Pkg() != nil && v.Pkg().Path() == "net/http" && v.Name() == name
}
