package relayvet

import (
	"fmt"
	"go/types"
	"strings"
)

// send reports the calls that are sent without the context in their reach.
func (p *pkg) send() {
	for _, f := range p.order {
		for _, c := range f.calls {
			v := c.judge()
			if v.state != lost || c.scope.reach == nil || c.scope.after || f.public(v.url) {
				continue
			}
			category := "send"
			switch {
			case c.scope.spawn && !f.waits:
				category = "late"
			case c.dynamic(v):
				category = "dynamic"
			}
			p.report(category, c, c.fixes(v), "%s", c.complaint(v))
		}
	}
}

func (c *call) complaint(v verdict) string {
	r := c.scope.reach
	name, ctx := "the caller", r.expr
	if ctx == "" {
		ctx = "its context"
	} else {
		name = strings.TrimSuffix(ctx, "()")
		name, _, _ = strings.Cut(name, ".")
	}
	how := fmt.Sprintf("is sent without %s's context", name)
	if isContext(r.v.Type()) {
		how = fmt.Sprintf("is sent without %s", name)
	}
	if v.fresh != nil {
		how = fmt.Sprintf("is sent with %s", types.ExprString(v.fresh))
	}
	var use string
	switch {
	case c.kind == simple:
		use = fmt.Sprintf("use http.NewRequestWithContext(%s, …)", ctx)
	case v.fresh != nil:
		use = "pass " + ctx
	case v.made != nil:
		use = fmt.Sprintf("make it with http.NewRequestWithContext(%s, …)", ctx)
	default:
		use = fmt.Sprintf("bind it with WithContext(%s)", ctx)
	}
	if c.scope.spawn && !c.f.waits {
		use += ", in context.WithoutCancel where the work outlives the request"
	}
	return fmt.Sprintf("%s %s: the trace headers that came in stay behind; %s%s", c.text(), how, use, c.f.p.latent(c.Pos()))
}
