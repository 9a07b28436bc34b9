package relayvet

import (
	"go/types"
	"slices"
	"strings"
)

// behind is the method that a call of an interface's method ends in, as far as
// this package sees the implementations. With a second one, it is a guess which
// is called: it sent one harbor's local pushes to a remote registry's adapter.
func (p *pkg) behind(fn *types.Func) *types.Func {
	if found := p.implementations(fn); len(found) == 1 {
		return found[0]
	}
	return nil
}

// implementations are the methods that a call of an interface's method may end
// in, as far as this package sees them; a nil one is by way of an interface
// that nothing in sight implements.
func (p *pkg) implementations(fn *types.Func) []*types.Func {
	if found, ok := p.followed[fn]; ok {
		return found
	}
	p.followed[fn] = nil // an interface that embeds itself by way of a struct ends here
	iface, ok := fn.Signature().Recv().Type().Underlying().(*types.Interface)
	if !ok || takesContext(fn) {
		return nil
	}
	var found []*types.Func
	for _, t := range p.types() {
		if !types.Implements(t, iface) && !types.Implements(types.NewPointer(t), iface) {
			continue
		}
		obj, _, _ := types.LookupFieldOrMethod(t, true, fn.Pkg(), fn.Name())
		m, ok := obj.(*types.Func)
		if !ok || m == fn {
			continue
		}
		ends := []*types.Func{m}
		if isInterface(m) { // of an interface that the type embeds
			if ends = p.implementations(m); len(ends) == 0 {
				ends = []*types.Func{nil}
			}
		}
		for _, m := range ends {
			if !slices.Contains(found, m) {
				found = append(found, m)
			}
		}
	}
	p.followed[fn] = found
	return found
}

func takesContext(fn *types.Func) bool {
	for v := range fn.Signature().Params().Variables() {
		if _, ok, _ := contextOf(v.Type()); ok {
			return true
		}
	}
	return false
}

// types are the named types of this package, and of those before it that have
// effects: the others send nothing.
func (p *pkg) types() []*types.Named {
	if p.named != nil {
		return p.named
	}
	p.named = []*types.Named{}
	seen := map[*types.Package]bool{p.Pkg: true}
	for _, f := range p.AllObjectFacts() {
		seen[f.Object.Pkg()] = true
	}
	for in := range seen {
		for _, name := range in.Scope().Names() {
			t, ok := in.Scope().Lookup(name).(*types.TypeName)
			if !ok || t.IsAlias() || types.IsInterface(t.Type()) {
				continue
			}
			if n, ok := t.Type().(*types.Named); ok && n.TypeParams() == nil && n.NumMethods() > 0 {
				p.named = append(p.named, n)
			}
		}
	}
	return p.named
}

// unfollowed says once for a package what through has not seen: the calls that
// are sent behind its interfaces with several implementations, and how many
// interfaces of this module have none in sight.
func (p *pkg) unfollowed() {
	if !*enabled["unfollowed"] {
		return
	}
	var first, dark *call
	var sinks []string
	var calls, unseen int
	called := p.called()
	for _, f := range p.order {
		for _, c := range f.blind {
			if c.scope.serving() == nil && !called[f] || c.scope.after || c.scope.spawn && !f.waits || p.silenced(c.Pos()) {
				continue
			}
			found := p.implementations(c.callee)
			if len(found) == 0 {
				unseen++
				if dark == nil {
					dark = c
				}
				continue
			}
			sends := false
			for _, m := range found {
				for _, w := range p.effectOf(m).Sends {
					sends = true
					if at := w.Call + " at " + w.At; !slices.Contains(sinks, at) {
						sinks = append(sinks, at)
					}
				}
			}
			if sends {
				calls++
				if first == nil {
					first = c
				}
			}
		}
	}
	slices.Sort(sinks)
	switch {
	case first != nil:
		p.report("unfollowed", first, nil, "not followed in this package, here first: calls of interfaces' methods with several implementations of which some send without a context: %d; "+
			"such sends: %d (%s); calls of methods that nothing in sight implements: %d", calls, len(sinks), strings.Join(sinks, ", "), unseen)
	case dark != nil:
		p.report("unfollowed", dark, nil, "not followed in this package, here first: calls of interfaces' methods that nothing in sight implements: %d", unseen)
	}
}

// called are the functions without a context that those with one call, and those
// that these call, as far as they are of this package.
func (p *pkg) called() map[*function]bool {
	all := map[*function]bool{}
	for range maxSteps {
		for _, f := range p.order {
			for _, c := range f.calls {
				g := p.funcs[c.callee]
				if g != nil && g.root.reach == nil && !c.scope.after && (c.scope.serving() != nil || all[f]) {
					all[g] = true
				}
			}
		}
	}
	return all
}

// blind says whether a call cannot be followed that may lead to one that sends.
func (p *pkg) blind(fn *types.Func) bool {
	if fn == nil || fn.Pkg() == nil || !isInterface(fn) || takesContext(fn) {
		return false
	}
	n := len(p.implementations(fn))
	return n > 1 || n == 0 && p.inModule(fn.Pkg())
}

func (p *pkg) inModule(in *types.Package) bool {
	return in == p.Pkg || p.Module != nil && p.Module.Path != "" && strings.HasPrefix(in.Path()+"/", p.Module.Path+"/")
}
