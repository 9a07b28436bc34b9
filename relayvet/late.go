package relayvet

import (
	"fmt"
	"go/types"

	"golang.org/x/tools/go/analysis"
)

// late reports the goroutines that send with the context of a request that
// they may outlive: it is canceled as soon as the handler returns. Those that
// send without any are reported by send, in the same category.
func (p *pkg) late() {
	for _, f := range p.order {
		if f.waits {
			continue
		}
		for _, c := range f.calls {
			r := c.scope.serving()
			if !c.scope.spawn || r == nil || !r.handler {
				continue
			}
			v := c.judge()
			if v.state != kept || v.base == nil || v.freed || !isContext(p.TypesInfo.TypeOf(v.base)) {
				continue
			}
			base := types.ExprString(v.base)
			var fixes []analysis.SuggestedFix
			if name := p.importName(c.Pos(), "context"); name != "" {
				free := fmt.Sprintf("%s.WithoutCancel(%s)", name, base)
				fixes = append(fixes, fix("Use "+free, replace(v.base, free)))
			}
			p.report("late", c, fixes, "%s is sent by a goroutine that may outlive the request, whose context is canceled when the handler returns: "+
				"use context.WithoutCancel(%s)", c.text(), base)
		}
	}
}
