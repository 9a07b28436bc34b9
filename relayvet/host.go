package relayvet

import (
	"go/ast"
	"go/constant"
	"go/types"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

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
			if fn, ok := callee.(*types.Func); ok && f.p.funcs[fn] != nil {
				return f.p.funcs[fn].answer(depth + 1)
			}
		}
	}
	return ""
}

// answer is what is known of the beginning of the string that a function
// returns, if all that it returns are public.
func (f *function) answer(depth int) string {
	var first string
	all := true
	ast.Inspect(f.decl.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			known := ""
			if len(n.Results) > 0 {
				known = f.prefix(n.Results[0], depth)
			}
			all = all && publicURL(known)
			if first == "" {
				first = known
			}
		}
		return true
	})
	if !all {
		return ""
	}
	return first
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
	case u.Scheme == "http" && u.Port() != "":
		return false // ratings.bookinfo:9080, a Service and its namespace
	}
	switch tld {
	case "local", "internal", "svc", "cluster", "localhost", "lan", "test", "default", "example", "localdomain":
		return false
	}
	return true
}

// thirdParty are words in the names of a call's surroundings that say that it
// goes to somebody else's service.
var thirdParty = strings.Fields(`captcha turnstile webhook avatar gravatar telegram slack discord dingtalk feishu lark wechat weixin wecom twitter facebook
	openai anthropic gemini sms twilio sendgrid mailgun stripe paypal alipay pagerduty opsgenie sentry newrelic github gitlab bitbucket dockerhub
	downloader downloadurl download_url imageurl image_url fromurl from_url callback telemetry updatecheck update_check checkupdate check_update license`)

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
	text = strings.ToLower(text)
	return slices.ContainsFunc(thirdParty, func(word string) bool { return strings.Contains(text, word) })
}
