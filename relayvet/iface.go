package relayvet

import "go/types"

// behind is the method that a call of an interface's method ends in, as far as
// this package sees the implementations. With a second one, who is called is a
// guess: it sent one harbor's local pushes to a remote registry's adapter.
func (p *pkg) behind(fn *types.Func) *types.Func {
	if found, ok := p.followed[fn]; ok {
		return found
	}
	p.followed[fn] = nil // an interface that embeds itself by way of a struct ends here
	iface, ok := fn.Signature().Recv().Type().Underlying().(*types.Interface)
	if !ok || takesContext(fn) {
		return nil
	}
	var found *types.Func
	for _, t := range p.types() {
		if !types.Implements(t, iface) && !types.Implements(types.NewPointer(t), iface) {
			continue
		}
		obj, _, _ := types.LookupFieldOrMethod(t, true, fn.Pkg(), fn.Name())
		m, ok := obj.(*types.Func)
		if ok && m != fn && isInterface(m) { // of an interface that the type embeds
			m = p.behind(m)
		}
		switch {
		case !ok || m == fn || m == found:
		case m == nil || found != nil:
			return nil
		default:
			found = m
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
