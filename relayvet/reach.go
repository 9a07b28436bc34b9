package relayvet

import (
	"go/ast"
	"go/types"
	"strings"
)

// A reach is where a function finds the context of the request that it serves.
type reach struct {
	v       *types.Var // the parameter, or the receiver
	expr    string     // the context in Go, "" where the parameter has no name
	handler bool       // it is a request's for sure: not any context
	quiet   bool       // it is a program's, a controller's or a test's: nothing is reported
}

// A scope is a function or a function literal, and what is in its reach.
type scope struct {
	*reach
	outer *scope
	spawn bool // run by a go statement
	after bool // run by a defer statement, or kept for later: nothing is reported
}

// reachOf says what a function of this type has in reach.
func (p *pkg) reachOf(recv *ast.FieldList, ft *ast.FuncType, name string) *reach {
	var found *reach
	var writer, quiet bool
	fields := ft.Params.List
	for i, f := range fields {
		t := p.TypesInfo.TypeOf(f.Type)
		if t == nil {
			continue
		}
		if isWriter(t) {
			writer = true
		}
		switch named(t) {
		case "testing.T", "testing.B", "testing.TB", "testing.F", "testing.M",
			"github.com/spf13/cobra.Command", "github.com/urfave/cli.Context",
			"github.com/urfave/cli/v2.Context", "github.com/urfave/cli/v3.Command",
			"sigs.k8s.io/controller-runtime/pkg/reconcile.Request":
			quiet = true
		}
		if found != nil && found.handler {
			continue
		}
		how, ok, handler := contextOf(t)
		if !ok || found != nil && !handler {
			continue
		}
		found = &reach{handler: handler}
		if len(f.Names) > 0 {
			found.v, _ = p.TypesInfo.Defs[f.Names[0]].(*types.Var)
			if n := f.Names[0].Name; n != "_" && found.v != nil && named(t) != fastContext {
				found.expr = n + how
			}
		}
		if i == 0 && recv != nil && p.isRPC(ft) {
			found.handler = true
		}
	}
	if quiet {
		return &reach{quiet: true}
	}
	// A request that is answered with a response is somebody's to send.
	if found != nil && (writer || found.v != nil && isRequest(found.v.Type()) && !p.answers(ft)) {
		found.handler = true
	}
	if found == nil && recv != nil && len(recv.List) == 1 && len(recv.List[0].Names) == 1 {
		// beego's controllers hold their context.
		n := recv.List[0].Names[0]
		if v, ok := p.TypesInfo.Defs[n].(*types.Var); ok {
			if obj, _, _ := types.LookupFieldOrMethod(v.Type(), true, p.Pkg, "Ctx"); obj != nil {
				if how, _, handler := contextOf(obj.Type()); handler {
					found = &reach{v: v, expr: n.Name + ".Ctx" + how, handler: true}
				}
			}
		}
	}
	if found != nil && !found.handler {
		found.quiet = p.lifecycle(name)
	}
	return found
}

// serving is what a request's context is had from; nil if from nothing.
func (s *scope) serving() *reach {
	if s.reach == nil || s.quiet {
		return nil
	}
	return s.reach
}

// answers says whether a function returns a response, as those do that send.
func (p *pkg) answers(ft *ast.FuncType) bool {
	if ft.Results != nil {
		for _, f := range ft.Results.List {
			if t := p.TypesInfo.TypeOf(f.Type); t != nil && named(t) == "net/http.Response" {
				return true
			}
		}
	}
	return false
}

// lifecycle says whether a function that is given a context, of no request for
// sure, starts or ends something: its context is the program's.
func (p *pkg) lifecycle(name string) bool {
	for _, s := range []string{"New", "new", "Init", "init", "Setup", "setup", "Must", "Shutdown", "shutdown", "Close", "Stop", "Cleanup"} {
		if strings.HasPrefix(name, s) {
			return true
		}
	}
	switch name {
	case "main", "Run", "run", "Start", "start", "Serve", "ListenAndServe":
		return true
	}
	return p.tool()
}

// testing says whether the package helps tests.
func (p *pkg) testing() bool {
	for e := range strings.SplitSeq(p.Pkg.Path(), "/") {
		switch e {
		case "e2e", "test", "tests", "testing", "testutil", "tstest", "fixtures":
			return true
		}
	}
	return false
}

// tool says whether the package is a command line.
func (p *pkg) tool() bool {
	for e := range strings.SplitSeq(p.Pkg.Path(), "/") {
		switch e {
		case "cmd", "cli", "ctl", "shell", "hack", "tools", "tool", "scripts", "migrations":
			return p.Pkg.Name() != "main" || !p.serves()
		}
	}
	return p.Pkg.Name() == "main" && !p.serves()
}

// serves says whether the package has something to do with a server.
func (p *pkg) serves() bool {
	for _, i := range p.Pkg.Imports() {
		if i.Path() == "google.golang.org/grpc" {
			return true
		}
	}
	for _, f := range p.files {
		for _, d := range f.Decls {
			if d, ok := d.(*ast.FuncDecl); ok {
				for _, f := range d.Type.Params.List {
					if t := p.TypesInfo.TypeOf(f.Type); t != nil && isWriter(t) {
						return true
					}
				}
			}
		}
	}
	return false
}

// isRPC says whether a method has the form of a generated server's: a context
// and a message in, a message and an error out.
func (p *pkg) isRPC(ft *ast.FuncType) bool {
	if ft.Params.NumFields() != 2 || ft.Results.NumFields() != 2 || len(ft.Params.List) != 2 {
		return false
	}
	in := p.TypesInfo.TypeOf(ft.Params.List[1].Type)
	return in != nil && (has(in, "ProtoReflect") || has(in, "ProtoMessage") || isConnect(in))
}

// contextOf says how a request's context is had from a value of type t: what
// to write after its name; "" if it has none.
func contextOf(t types.Type) (how string, ok, handler bool) {
	switch n := named(t); n {
	case "context.Context", fastContext:
		return "", true, n != "context.Context"
	case "net/http.Request":
		return ".Context()", true, false
	case "net/http.Response", "net/http/httputil.ProxyRequest":
		return "", false, false
	case fiberTwo:
		return ".UserContext()", true, true
	case fiberThree:
		return ".Context()", true, true
	case "github.com/emicklei/go-restful.Request", "github.com/emicklei/go-restful/v3.Request":
		return ".Request.Context()", true, true
	case "":
		return "", false, false
	}
	// The stream of a gRPC server, but not of a client.
	if has(t, "SetTrailer") && has(t, "RecvMsg") && has(t, "Context") {
		return ".Context()", true, true
	}
	// echo, iris: a method that returns the request.
	if obj, _, _ := types.LookupFieldOrMethod(t, true, nil, "Request"); obj != nil {
		if f, isFunc := obj.(*types.Func); isFunc && f.Signature().Params().Len() == 0 && f.Signature().Results().Len() == 1 &&
			named(f.Signature().Results().At(0).Type()) == "net/http.Request" {
			return ".Request().Context()", true, true
		}
	}
	// gin, beego, and contexts like theirs: the request and its writer side by
	// side. go-swagger's parameters: the request, by its name.
	s, isStruct := deref(t).Underlying().(*types.Struct)
	if !isStruct {
		return "", false, false
	}
	var request string
	var writer bool
	for f := range s.Fields() {
		switch {
		case !f.Exported():
		case f.Name() == "HTTPRequest" && named(f.Type()) == "net/http.Request":
			return ".HTTPRequest.Context()", true, true
		case named(f.Type()) == "net/http.Request":
			request = f.Name()
		case isWriter(f.Type()):
			writer = true
		}
	}
	if request != "" && writer {
		return "." + request + ".Context()", true, true
	}
	return "", false, false
}

// named is the full name of t, or of what t points to; "" if it has none.
func named(t types.Type) string {
	if n, ok := types.Unalias(deref(t)).(*types.Named); ok && n.Obj().Pkg() != nil {
		return n.Obj().Pkg().Path() + "." + n.Obj().Name()
	}
	return ""
}

func deref(t types.Type) types.Type {
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		return types.Unalias(p.Elem())
	}
	return t
}

func isContext(t types.Type) bool { return t != nil && named(t) == "context.Context" }

func has(t types.Type, method string) bool {
	obj, _, _ := types.LookupFieldOrMethod(t, true, nil, method)
	_, ok := obj.(*types.Func)
	return ok
}

// isWriter says whether t is a response's writer, found by its methods: the
// package may not import net/http.
func isWriter(t types.Type) bool { return has(t, "WriteHeader") && has(t, "Write") && has(t, "Header") }

func isConnect(t types.Type) bool {
	n := named(t)
	return n == "connectrpc.com/connect.Request" || n == "github.com/bufbuild/connect-go.Request"
}
