package relayvet

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// An effect is what a function does as far as its callers are concerned.
type effect struct {
	Sends   []way  // without a context, as it has none
	Carries string // with the context that it is given: the call
	Builds  bool   // it returns a request that is bound to nothing
	Binds   bool   // it binds the request that it is given
}

func (*effect) AFact() {}

func (e *effect) String() string {
	var s []string
	for _, w := range e.Sends {
		s = append(s, w.String())
	}
	if e.Carries != "" {
		s = append(s, "carries "+e.Carries)
	}
	if e.Builds {
		s = append(s, "builds")
	}
	if e.Binds {
		s = append(s, "binds")
	}
	return strings.Join(s, ", ")
}

// A way leads from a function down to a call that sends.
type way struct {
	Via     []string // the functions, the first below the one that has the way
	Call    string   // http.Get
	At      string   // prices/fetch.go:12
	Dynamic bool
}

func (w way) String() string { return strings.Join(append(slices.Clone(w.Via), w.Call), " -> ") }

const (
	maxSteps = 3 // functions between a handler and the call that sends
	maxWays  = 8 // kept of one function
)

// effectOf is the effect of a function of this package, or of one before.
func (p *pkg) effectOf(fn *types.Func) *effect {
	if fn == nil {
		return &effect{}
	}
	fn = fn.Origin()
	if f, ok := p.funcs[fn]; ok {
		return &f.effect
	}
	var e effect
	if fn.Pkg() != nil && fn.Pkg() != p.Pkg {
		p.ImportObjectFact(fn, &e)
	}
	return &e
}

// settle finds the effects of all functions, and makes facts of them.
func (p *pkg) settle() {
	for range maxSteps + 3 {
		changed := false
		for _, f := range p.order {
			e := f.find()
			if e.String() != f.effect.String() {
				f.effect, changed = e, true
			}
		}
		if !changed {
			break
		}
	}
	for _, f := range p.order {
		if f.effect.String() != "" {
			p.ExportObjectFact(f.obj, &f.effect)
		}
	}
}

func (f *function) find() effect {
	var e effect
	for _, c := range f.calls {
		if f.p.silenced(c.Pos()) {
			continue
		}
		v := c.judge()
		if v.state == kept && f.root.reach != nil && v.ctx != nil && e.Carries == "" {
			e.Carries = c.text()
		}
		if f.root.reach != nil || c.scope.reach != nil || c.scope.after || c.scope.spawn && !f.waits {
			continue
		}
		if v.state == lost && !f.public(v.url) {
			e.add(way{Call: c.text(), At: f.p.where(c.Pos()), Dynamic: c.dynamic(v)})
		}
		for _, w := range c.ways() {
			if len(w.Via) < maxSteps {
				w.Dynamic = w.Dynamic || c.dynamic(v)
				e.add(w)
			}
		}
	}
	f.returns(&e)
	return e
}

// ways are those down from a call, each with the function called first.
func (c *call) ways() []way {
	if c.kind != other || c.callee == nil || c.callee == c.f.obj {
		return nil
	}
	fn := c.callee
	if isInterface(fn) {
		fn = c.f.p.behind(fn)
	}
	var ways []way
	for _, w := range c.f.p.effectOf(fn).Sends {
		w.Via = append([]string{short(fn, c.f.p.Pkg)}, w.Via...)
		ways = append(ways, w)
	}
	return ways
}

// add keeps one way, the shortest, to each call that sends.
func (e *effect) add(w way) {
	for i, old := range e.Sends {
		if old.At == w.At {
			if len(w.Via) < len(old.Via) {
				e.Sends[i] = w
			}
			return
		}
	}
	if len(e.Sends) < maxWays {
		e.Sends = append(e.Sends, w)
	}
}

// returns notes a function that makes a request for others to send, and one
// that binds what it is given.
func (f *function) returns(e *effect) {
	res := f.obj.Signature().Results()
	if res.Len() > 0 && isRequest(res.At(0).Type()) {
		ast.Inspect(f.decl.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				return false
			case *ast.ReturnStmt:
				if len(n.Results) > 0 && f.request(n.Results[0], 0).state == lost {
					e.Builds = true
				}
			}
			return true
		})
	}
	for v := range f.obj.Signature().Params().Variables() {
		if isRequest(v.Type()) && f.binds(v) {
			e.Binds = true
		}
	}
}

// short is a function's name as it is written in this package.
func short(fn *types.Func, in *types.Package) string {
	name := fn.Name()
	if recv := fn.Signature().Recv(); recv != nil {
		if n := named(recv.Type()); n != "" {
			name = n[strings.LastIndexByte(n, '.')+1:] + "." + name
		}
	}
	if fn.Pkg() != in {
		name = fn.Pkg().Name() + "." + name
	}
	return name
}

// through reports the calls that a function with a context reaches by way of
// functions without: each once, with the shortest way.
func (p *pkg) through(says *program) {
	type found struct {
		way
		from  *call
		sites int
	}
	sinks := map[string]*found{}
	var order []string
	for _, f := range p.order {
		for _, c := range f.calls {
			r := c.scope.serving()
			if r == nil || c.kind != other || c.scope.after || c.scope.spawn && !f.waits || p.silenced(c.Pos()) {
				continue
			}
			for _, w := range c.ways() {
				old := sinks[w.At]
				if old == nil {
					sinks[w.At] = &found{w, c, 1}
					order = append(order, w.At)
					continue
				}
				old.sites++
				if len(w.Via) < len(old.Via) {
					old.way, old.from = w, c
				}
			}
		}
	}
	before := map[string]bool{}
	for _, f := range p.imported() {
		for _, at := range f.Reported {
			before[at] = true
		}
	}
	for _, at := range order {
		s := sinks[at]
		if before[at] {
			continue
		}
		category := "through"
		if s.Dynamic {
			category = "dynamic"
		}
		more := ""
		if s.sites > 1 {
			more = fmt.Sprintf(", and from %d more calls of this package", s.sites-1)
		}
		node, elsewhere := p.sink(at), ""
		if node == nil {
			node, elsewhere = s.from, " ("+at+")"
			says.Reported = append(says.Reported, at)
		}
		p.report(category, node, nil, "%s%s is sent without the context that its caller has: %s -> %s%s: the trace headers that came in stay behind; give %s a context.Context and pass it down%s",
			s.Call, elsewhere, short(s.from.f.obj, p.Pkg), s.way, more, s.Via[0], p.latent(node.Pos()))
	}
}

// sink is the call at a place, if it is in this package.
func (p *pkg) sink(at string) ast.Node {
	for _, f := range p.order {
		for _, c := range f.calls {
			if p.where(c.Pos()) == at {
				return c
			}
		}
	}
	return nil
}
