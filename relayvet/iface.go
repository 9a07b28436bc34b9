package relayvet

import (
	"go/types"
	"slices"
	"strings"
)

// maxCandidates is how many implementations an interface may have for a call
// through it to be followed: beyond, who is called is a guess.
const maxCandidates = 2

// behind are the methods that a call of an interface's method may end in, as
// far as this package sees the implementations; nil if there are too many.
func (p *pkg) behind(fn *types.Func) []*types.Func {
	if found, ok := p.followed[fn]; ok {
		return found
	}
	p.followed[fn] = nil // an interface that embeds itself by way of a struct ends here
	var found []*types.Func
	add := func(m *types.Func) {
		if !slices.Contains(found, m) {
			found = append(found, m)
		}
	}
	if iface, ok := fn.Signature().Recv().Type().Underlying().(*types.Interface); ok && !takesContext(fn) {
		for _, t := range p.types() {
			if !types.Implements(t, iface) && !types.Implements(types.NewPointer(t), iface) {
				continue
			}
			obj, _, _ := types.LookupFieldOrMethod(t, true, fn.Pkg(), fn.Name())
			m, ok := obj.(*types.Func)
			switch {
			case !ok || m == fn:
			case isInterface(m): // of an interface that the type embeds
				for _, m := range p.behind(m) {
					add(m)
				}
			default:
				add(m)
			}
		}
	}
	slices.SortFunc(found, func(a, b *types.Func) int { return strings.Compare(a.FullName(), b.FullName()) })
	if len(found) > maxCandidates {
		found = nil
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
