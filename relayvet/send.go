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
			if v.state != lost || c.scope.serving() == nil || c.scope.after || f.public(v.url) {
				continue
			}
			// The program's own context, for a function that may keep it: meant.
			if c.kind == other && v.own != nil {
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
	owner, what := "the caller", "the caller's context"
	if r.expr != "" {
		owner, _, _ = strings.Cut(r.expr, ".")
		what = owner + "'s context"
		if isContext(r.v.Type()) {
			what = owner
		}
	}
	how := "without " + what
	switch {
	case v.own != nil:
		how = "with " + v.own.Name() + ", not with " + what
	case v.fresh != nil:
		how = "with " + types.ExprString(v.fresh)
	}
	var use string
	switch {
	case r.expr == "":
		use = "name the parameter and pass its context"
	case c.kind == built && v.fresh == nil:
		b, _ := builderOf(c.callee)
		use = fmt.Sprintf(b.use, r.expr)
	case c.kind == simple:
		use = fmt.Sprintf("use http.NewRequestWithContext(%s, …)", r.expr)
	case v.fresh != nil:
		use = "pass " + r.expr
	case v.made != nil:
		use = fmt.Sprintf("make it with http.NewRequestWithContext(%s, …)", r.expr)
	default:
		use = fmt.Sprintf("bind it with WithContext(%s)", r.expr)
	}
	if c.scope.spawn && !c.f.waits {
		use += ", in context.WithoutCancel where the work outlives the request"
	}
	sent := "sent"
	if c.kind == other {
		sent = "called"
	}
	return fmt.Sprintf("%s is %s %s: the trace headers that came in stay behind; %s%s", c.text(), sent, how, use, c.f.p.latent(c.Pos()))
}
