package relayvet

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// A function is a declared function, and the calls in it that matter.
type function struct {
	p     *pkg
	decl  *ast.FuncDecl
	obj   *types.Func
	root  *scope
	calls []*call
	waits bool // for goroutines, as far as can be seen
	effect

	values map[*types.Var][]ast.Expr // what is assigned to its variables
	params map[*types.Var]bool       // its own, and its literals'
}

// A call may send something, by itself or further down.
type call struct {
	*ast.CallExpr
	f      *function
	scope  *scope
	callee *types.Func // nil for a function value
	kind   kind
}

type kind int

const (
	other   kind = iota
	simple       // http.Get and its like: no request to bind
	request      // Do and its like: the last argument is the request
	rpc          // gRPC and its like: the first argument is the context
)

// collect finds the functions of the package and their calls.
func (p *pkg) collect() {
	for _, file := range p.files {
		for _, d := range file.Decls {
			d, ok := d.(*ast.FuncDecl)
			if !ok || d.Body == nil {
				continue
			}
			obj, ok := p.TypesInfo.Defs[d.Name].(*types.Func)
			if !ok {
				continue
			}
			f := &function{p: p, decl: d, obj: obj}
			f.root = &scope{reach: p.reachOf(d.Recv, d.Type, d.Name.Name)}
			f.walk(d.Body, f.root)
			p.funcs[obj] = f
			p.order = append(p.order, f)
		}
	}
}

// walk notes the calls under n, each with its scope.
func (f *function) walk(n ast.Node, in *scope) {
	// What is done with the literal decides whether the outer context is its own.
	literals := map[*ast.FuncLit]*scope{}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			s := &scope{reach: in.reach, outer: in, spawn: true, after: in.after}
			f.walk(n.Call, s)
			return false
		case *ast.DeferStmt:
			s := &scope{reach: in.reach, outer: in, spawn: in.spawn, after: true}
			f.walk(n.Call, s)
			return false
		case *ast.AssignStmt:
			for i, r := range n.Rhs {
				if lit, ok := r.(*ast.FuncLit); ok && len(n.Lhs) == len(n.Rhs) {
					if id, ok := n.Lhs[i].(*ast.Ident); ok {
						if v, ok := f.p.TypesInfo.ObjectOf(id).(*types.Var); ok && v.Parent() != f.p.Pkg.Scope() {
							literals[lit] = in
						}
					}
				}
			}
		case *ast.CallExpr:
			if lit, ok := ast.Unparen(n.Fun).(*ast.FuncLit); ok {
				literals[lit] = in
			}
			if callee := typeutil.Callee(f.p.TypesInfo, n); callee == nil || !strings.HasPrefix(full(callee), "sync.") {
				for _, a := range n.Args {
					if lit, ok := a.(*ast.FuncLit); ok {
						literals[lit] = in
					}
				}
			}
			f.call(n, in)
		case *ast.FuncLit:
			own := f.p.reachOf(nil, n.Type, "")
			if own != nil && in.reach != nil && in.handler {
				own.handler = true
			}
			s := &scope{outer: in, reach: own}
			if outer, ok := literals[n]; ok {
				s.spawn, s.after = outer.spawn, outer.after
				if own == nil {
					s.reach = outer.reach
				}
			}
			f.walk(n.Body, s)
			return false
		case *ast.UnaryExpr:
			f.waits = f.waits || n.Op == token.ARROW
		case *ast.SelectStmt:
			f.waits = true
		}
		return true
	})
}

func (f *function) call(n *ast.CallExpr, in *scope) {
	sig, ok := f.p.TypesInfo.TypeOf(n.Fun).(*types.Signature)
	if !ok {
		return // a conversion, a built-in, or it does not type-check
	}
	c := &call{CallExpr: n, f: f, scope: in}
	c.callee, _ = typeutil.Callee(f.p.TypesInfo, n).(*types.Func)
	if c.callee != nil && c.callee.Name() == "Wait" {
		f.waits = true
	}
	c.kind = sends(sig, c.callee, len(n.Args))
	if len(n.Args) == 0 {
		c.kind = other // broken code
	}
	if c.kind == other && (c.callee == nil || !f.p.ours(c.callee)) {
		return
	}
	f.calls = append(f.calls, c)
}

// ours says whether a function is of this package, or has a fact: only those
// of the same module have.
func (p *pkg) ours(fn *types.Func) bool {
	return fn.Pkg() == p.Pkg || isInterface(fn) && len(p.behind(fn)) > 0 || fn.Pkg() != nil && p.ImportObjectFact(fn.Origin(), &effect{})
}

func isInterface(fn *types.Func) bool {
	recv := fn.Signature().Recv()
	return recv != nil && types.IsInterface(recv.Type())
}

// sends says what kind of call sends something, by its signature: who wraps a
// client keeps to it.
func sends(sig *types.Signature, callee *types.Func, args int) kind {
	params, results := sig.Params(), sig.Results()
	if callee != nil && callee.Pkg() != nil && isHTTP(callee.Pkg().Path()) {
		switch callee.Name() {
		case "Get", "Head", "Post", "PostForm":
			if results.Len() == 2 && named(results.At(0).Type()) == "net/http.Response" {
				return simple
			}
		}
	}
	if params.Len() == 1 && results.Len() == 2 && args == 1 &&
		isRequest(params.At(0).Type()) && named(results.At(0).Type()) == "net/http.Response" {
		return request
	}
	if args == 0 || params.Len() == 0 || !isContext(params.At(0).Type()) {
		return other
	}
	if last := params.At(params.Len() - 1).Type(); sig.Variadic() {
		if s, ok := last.(*types.Slice); ok && named(s.Elem()) == "google.golang.org/grpc.CallOption" {
			return rpc
		}
	}
	if params.Len() == 2 && results.Len() == 2 && isConnect(params.At(1).Type()) {
		return rpc
	}
	return other
}

func isHTTP(path string) bool {
	return path == "net/http" || path == "github.com/hashicorp/go-retryablehttp"
}

func isRequest(t types.Type) bool {
	n := named(t)
	return n == "net/http.Request" || n == "github.com/hashicorp/go-retryablehttp.Request"
}

func full(o types.Object) string {
	if o.Pkg() == nil {
		return o.Name()
	}
	return o.Pkg().Path() + "." + o.Name()
}

// A verdict says what became of the context at a call.
type verdict struct {
	state
	fresh *ast.CallExpr // the context.Background() or TODO() that was sent instead
	made  *ast.CallExpr // what made the request, where it was not bound
	url   ast.Expr      // nil if not known
	ctx   ast.Expr      // the context, nil if the call has none
	base  ast.Expr      // what that was derived from, where it is kept
	freed bool          // by way of context.WithoutCancel
}

type state int

const (
	unknown state = iota
	lost          // no context of a request's, for sure
	kept          // a context that the function was given
)

// judge says what became of the context at a call that sends, by itself or
// further down.
func (c *call) judge() verdict {
	switch c.kind {
	case simple:
		return verdict{state: lost, url: c.Args[0]}
	case request:
		return c.f.request(c.Args[0], 0)
	case rpc:
		v := c.f.context(c.Args[0], 0)
		v.ctx = c.Args[0]
		return v
	}
	if e := c.f.p.effectOf(c.callee); e.Carries != "" {
		params := c.callee.Signature().Params()
		for i, a := range c.Args {
			if i < params.Len() && isContext(params.At(i).Type()) {
				v := c.f.context(a, 0)
				v.ctx = a
				return v
			}
		}
	}
	return verdict{}
}

// maxDepth ends the way back through variables that are assigned in circles.
const maxDepth = 8

// context says where a context comes from.
func (f *function) context(e ast.Expr, depth int) verdict {
	e = ast.Unparen(e)
	if depth > maxDepth {
		return verdict{}
	}
	switch e := e.(type) {
	case *ast.CallExpr:
		callee := typeutil.Callee(f.p.TypesInfo, e)
		if callee == nil {
			break
		}
		switch full(callee) {
		case "context.Background", "context.TODO":
			return verdict{state: lost, fresh: e}
		case "context.WithCancel", "context.WithTimeout", "context.WithDeadline", "context.WithCancelCause",
			"context.WithTimeoutCause", "context.WithDeadlineCause", "context.WithoutCancel", "os/signal.NotifyContext":
			if len(e.Args) == 0 {
				break
			}
			v := f.context(e.Args[0], depth+1)
			v.freed = v.freed || callee.Name() == "WithoutCancel"
			return v
		}
	case *ast.Ident:
		v, ok := f.p.TypesInfo.ObjectOf(e).(*types.Var)
		if !ok || f.isParam(v) {
			break
		}
		return f.all(v, func(e ast.Expr) verdict { return f.context(e, depth+1) })
	}
	if f.mentionsReach(e) {
		return verdict{state: kept, base: e}
	}
	return verdict{}
}

// request says what a request is bound to.
func (f *function) request(e ast.Expr, depth int) verdict {
	e = ast.Unparen(e)
	if depth > maxDepth {
		return verdict{}
	}
	switch e := e.(type) {
	case *ast.UnaryExpr:
		if lit, ok := e.X.(*ast.CompositeLit); ok && e.Op == token.AND && isRequest(f.p.TypesInfo.TypeOf(lit)) {
			return verdict{state: lost, url: field(lit, "URL")}
		}
	case *ast.CallExpr:
		callee, ok := typeutil.Callee(f.p.TypesInfo, e).(*types.Func)
		if !ok {
			break
		}
		switch name := callee.Name(); {
		case name == "NewRequest" && isHTTP(callee.Pkg().Path()) && len(e.Args) == 3:
			return verdict{state: lost, made: e, url: e.Args[1]}
		case name == "NewRequestWithContext" && isHTTP(callee.Pkg().Path()) && len(e.Args) == 4:
			v := f.context(e.Args[0], depth+1)
			v.made, v.url, v.ctx = e, e.Args[2], e.Args[0]
			return v
		case (name == "WithContext" || name == "Clone") && len(e.Args) == 1:
			return f.context(e.Args[0], depth+1)
		}
		if f.mentionsReach(e) {
			return verdict{}
		}
		if f.p.effectOf(callee).Builds {
			return verdict{state: lost}
		}
	case *ast.Ident:
		v, ok := f.p.TypesInfo.ObjectOf(e).(*types.Var)
		if !ok || f.isParam(v) {
			break
		}
		got := f.all(v, func(e ast.Expr) verdict { return f.request(e, depth+1) })
		if got.state == lost && f.binds(v) {
			return verdict{}
		}
		return got
	}
	if f.mentionsReach(e) {
		return verdict{state: kept}
	}
	return verdict{}
}

// all judges every value of a variable: it is lost only if all are.
func (f *function) all(v *types.Var, judge func(ast.Expr) verdict) verdict {
	values := f.valuesOf(v)
	var worst verdict
	for i, e := range values {
		got := judge(e)
		switch {
		case got.state == kept:
			return got
		case i == 0:
			worst = got
		case got.state == unknown:
			worst = verdict{}
		}
	}
	return worst
}

// valuesOf are the expressions assigned to a variable.
func (f *function) valuesOf(v *types.Var) []ast.Expr {
	if v.Parent() == f.p.Pkg.Scope() {
		return f.p.globals()[v]
	}
	if f.values == nil {
		f.values = map[*types.Var][]ast.Expr{}
		assignments(f.p.TypesInfo, f.decl, f.values)
	}
	return f.values[v]
}

// globals are the values of the package's variables.
func (p *pkg) globals() map[*types.Var][]ast.Expr {
	if p.vars == nil {
		p.vars = map[*types.Var][]ast.Expr{}
		for _, f := range p.files {
			assignments(p.TypesInfo, f, p.vars)
		}
	}
	return p.vars
}

func assignments(info *types.Info, n ast.Node, into map[*types.Var][]ast.Expr) {
	add := func(lhs []ast.Expr, rhs []ast.Expr) {
		for i, l := range lhs {
			id, ok := ast.Unparen(l).(*ast.Ident)
			if !ok {
				continue
			}
			v, ok := info.ObjectOf(id).(*types.Var)
			switch {
			case !ok:
			case len(lhs) == len(rhs):
				into[v] = append(into[v], rhs[i])
			case len(rhs) == 1:
				into[v] = append(into[v], rhs[0])
			}
		}
	}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			add(n.Lhs, n.Rhs)
		case *ast.RangeStmt:
			add([]ast.Expr{n.Key, n.Value}, []ast.Expr{n.X})
		case *ast.ValueSpec:
			var lhs []ast.Expr
			for _, id := range n.Names {
				lhs = append(lhs, id)
			}
			add(lhs, n.Values)
		}
		return true
	})
}

// isParam says whether v is a parameter of the function or of a literal in it.
func (f *function) isParam(v *types.Var) bool {
	if f.params == nil {
		f.params = map[*types.Var]bool{}
		note := func(l *ast.FieldList) {
			if l == nil {
				return
			}
			for _, field := range l.List {
				for _, n := range field.Names {
					if v, ok := f.p.TypesInfo.Defs[n].(*types.Var); ok {
						f.params[v] = true
					}
				}
			}
		}
		note(f.decl.Recv)
		ast.Inspect(f.decl, func(n ast.Node) bool {
			if ft, ok := n.(*ast.FuncType); ok {
				note(ft.Params)
			}
			return true
		})
	}
	return f.params[v]
}

// mentionsReach says whether an expression has something to do with a request
// or a context that the function, or a literal in it, was given.
func (f *function) mentionsReach(e ast.Node) bool {
	return mentions(f.p.TypesInfo, e, func(v *types.Var) bool {
		if !f.isParam(v) {
			return false
		}
		_, ok, _ := contextOf(v.Type())
		return ok || isRequest(v.Type())
	})
}

func mentions(info *types.Info, n ast.Node, is func(*types.Var) bool) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !found {
			v, ok := info.Uses[id].(*types.Var)
			found = ok && is(v)
		}
		return !found
	})
	return found
}

// binds says whether something in the function may bind the request v, or
// copy the incoming headers into it: then nothing is said of it.
func (f *function) binds(v *types.Var) bool {
	info := f.p.TypesInfo
	isV := func(w *types.Var) bool { return w == v }
	// itself, or its headers: what is done with its URL or body binds nothing.
	is := func(e ast.Expr) bool {
		e = ast.Unparen(e)
		if s, ok := e.(*ast.StarExpr); ok {
			e = s.X
		}
		if s, ok := e.(*ast.SelectorExpr); ok && s.Sel.Name == "Header" {
			e = s.X
		}
		id, ok := e.(*ast.Ident)
		return ok && info.Uses[id] == v
	}
	found := false
	ast.Inspect(f.decl.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, l := range n.Lhs {
				if ix, ok := l.(*ast.IndexExpr); ok && is(ix.X) && !isConstant(info, ix.Index) {
					found = found || f.readsHeaders()
				}
				if len(n.Lhs) == len(n.Rhs) && is(l) && f.mentionsReach(n.Rhs[i]) {
					found = true
				}
			}
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && is(sel.X) {
				switch sel.Sel.Name {
				case "WithContext", "Clone":
					found = found || len(n.Args) == 1 && f.context(n.Args[0], 0).state != lost && !mentions(info, n.Args[0], isV)
				case "Set", "Add":
					if len(n.Args) == 2 {
						found = found || f.copies(n.Args[0], n.Args[1])
					}
				}
				break
			}
			given, reached := false, false
			for _, a := range n.Args {
				switch {
				case is(a):
					given = true
				case f.mentionsReach(a) || isContext(info.TypeOf(a)) && f.context(a, 0).state != lost:
					reached = true
				}
			}
			if given && !reached {
				// A method of ours may do with it what it likes.
				if callee, ok := typeutil.Callee(info, n).(*types.Func); ok {
					reached = f.p.effectOf(callee).Binds
				}
			}
			found = found || given && reached
		}
		return !found
	})
	return found
}

// copies says whether a header set on a request is copied from the incoming
// one, trace headers perhaps among others.
func (f *function) copies(key, value ast.Expr) bool {
	if k := f.p.TypesInfo.Types[key].Value; k != nil && k.Kind() == constant.String {
		return isTraceHeader(constant.StringVal(k)) && f.mentionsReach(value)
	}
	return f.readsHeaders()
}

// readsHeaders says whether the function reads the headers of what it is given.
func (f *function) readsHeaders() bool {
	found := false
	ast.Inspect(f.decl.Body, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && strings.Contains(s.Sel.Name, "Header") && f.mentionsReach(s.X) {
			found = true
		}
		return !found
	})
	return found
}

func isConstant(info *types.Info, e ast.Expr) bool { return info.Types[e].Value != nil }

func field(lit *ast.CompositeLit, name string) ast.Expr {
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if id, ok := kv.Key.(*ast.Ident); ok && id.Name == name {
				return kv.Value
			}
		}
	}
	return nil
}

// public says whether the host of a URL is constant and the world's: it knows
// nothing of our traces.
func (f *function) public(e ast.Expr) bool {
	return e != nil && publicURL(f.prefix(e, 0))
}

var verbs = regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z]`)

// prefix is what is known of the beginning of a string.
func (f *function) prefix(e ast.Expr, depth int) string {
	e = ast.Unparen(e)
	if v := f.p.TypesInfo.Types[e].Value; v != nil && v.Kind() == constant.String {
		return constant.StringVal(v)
	}
	if depth > maxDepth {
		return ""
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		if left := f.prefix(e.X, depth+1); left != "" {
			return left + f.prefix(e.Y, depth+1)
		}
	case *ast.Ident:
		v, ok := f.p.TypesInfo.ObjectOf(e).(*types.Var)
		if !ok || f.isParam(v) {
			break
		}
		values := f.valuesOf(v)
		for i, e := range values {
			if i > 0 && !publicURL(f.prefix(e, depth+1)) {
				return ""
			}
		}
		if len(values) > 0 {
			return f.prefix(values[0], depth+1)
		}
	case *ast.CallExpr:
		if callee := typeutil.Callee(f.p.TypesInfo, e); callee != nil {
			switch full(callee) {
			case "fmt.Sprintf", "net/url.Parse", "net/url.JoinPath", "strings.TrimSuffix", "strings.TrimRight":
				if len(e.Args) == 0 {
					break
				}
				return verbs.ReplaceAllString(f.prefix(e.Args[0], depth+1), "x")
			case "net/url.String":
				if sel, ok := e.Fun.(*ast.SelectorExpr); ok {
					return f.prefix(sel.X, depth+1)
				}
			}
		}
	}
	return ""
}

func publicURL(s string) bool {
	if !strings.HasPrefix(s, "http") {
		return false
	}
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	host := u.Hostname()
	tld := host[strings.LastIndexByte(host, '.')+1:]
	switch {
	case host == "169.254.169.254", host == "metadata.google.internal":
		return true // the cloud's, not ours
	case tld == host, len(tld) < 2, strings.Trim(tld, "0123456789") == "":
		return false
	}
	switch tld {
	case "local", "internal", "svc", "cluster", "localhost", "lan", "test", "default", "example", "localdomain":
		return false
	}
	return true
}

// thirdParty are words in the names of a call's surroundings that say that it
// goes to somebody else's service.
var thirdParty = regexp.MustCompile(`(?i)captcha|turnstile|webhook|avatar|gravatar|telegram|slack|discord|dingtalk|feishu|lark|wechat|weixin|wecom|twitter|facebook|` +
	`openai|anthropic|gemini|sms|twilio|sendgrid|mailgun|stripe|paypal|alipay|pagerduty|opsgenie|sentry|newrelic|github|gitlab|bitbucket|dockerhub|` +
	`download|image_?url|from_?url|callback|telemetry|update_?check|check_?update|license`)

// dynamic says whether a call goes to a third party, by the look of it.
func (c *call) dynamic(v verdict) bool {
	f := c.f
	dir := f.p.where(f.decl.Pos())
	text := dir + " " + f.decl.Name.Name
	if v.url != nil {
		text += " " + types.ExprString(v.url)
		if id, ok := v.url.(*ast.Ident); ok {
			if o, ok := f.p.TypesInfo.ObjectOf(id).(*types.Var); ok && !f.isParam(o) {
				for _, e := range f.valuesOf(o) {
					text += " " + types.ExprString(e)
				}
			}
		}
	}
	return thirdParty.MatchString(text)
}

// text is how a reader knows a call.
func (c *call) text() string {
	s := types.ExprString(c.Fun)
	if len(s) > 60 && c.callee != nil {
		return c.callee.Name()
	}
	return s
}
