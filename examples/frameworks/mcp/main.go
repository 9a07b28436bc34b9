// A call of the Model Context Protocol has metadata, _meta: over stdio there is
// no header at all, and over HTTP a session outlives the request.
package main

import (
	"context"
	"errors"
	"log"
	"maps"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/example"
	"github.com/tracebaton/tracebaton/middleware"
	"github.com/tracebaton/tracebaton/propagation"
)

var families = propagation.Istio()

// send is what middleware.Transport is to net/http, for tools.
func send(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		if params, ok := req.GetParams().(*mcp.CallToolParams); ok {
			meta := maps.Clone(params.Meta)
			if meta == nil {
				meta = make(mcp.Meta)
			}
			has := func(name string) bool { return params.Meta[name] != nil }
			for name, value := range propagation.FromContext(ctx).Missing(has).All() {
				if before, ok := meta[name].(string); ok {
					value = before + "," + value // the lines of a list
				}
				meta[name] = value
			}
			params.Meta = meta
		}
		return next(ctx, method, req)
	}
}

// receive is what middleware.Relay is to net/http.
func receive(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		if params, ok := req.GetParams().(*mcp.CallToolParamsRaw); ok {
			ctx = propagation.NewContext(ctx, families.Collect(func(yield func(name, value string) bool) {
				for name, value := range params.Meta {
					if value, ok := value.(string); ok && !yield(name, value) {
						return
					}
				}
			}))
		}
		return next(ctx, method, req)
	}
}

type input struct {
	URL string `json:"url"`
}

// server has a tool that calls a URL.
func server(client *http.Client) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "caller", Version: "1"}, nil)
	s.AddReceivingMiddleware(receive)
	mcp.AddTool(s, &mcp.Tool{Name: "call"}, func(ctx context.Context, _ *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
		body, err := example.Get(ctx, client, in.URL)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(body)}}}, nil, err
	})
	return s
}

// service has the tool of the session call the URL in the query.
func service(session *mcp.ClientSession) http.Handler {
	return middleware.Relay(families)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		result, err := session.CallTool(r.Context(), &mcp.CallToolParams{Name: "call", Arguments: input{r.FormValue("url")}})
		if err == nil && result.IsError {
			err = errors.New("the tool failed")
		}
		example.Answer(w, []byte("called\n"), err)
	}))
}

func connect(ctx context.Context, s *mcp.Server, sending ...mcp.Middleware) (*mcp.ClientSession, error) {
	there, here := mcp.NewInMemoryTransports()
	if _, err := s.Connect(ctx, there, nil); err != nil {
		return nil, err
	}
	c := mcp.NewClient(&mcp.Implementation{Name: "frontend", Version: "1"}, nil)
	c.AddSendingMiddleware(sending...)
	return c.Connect(ctx, here, nil)
}

func main() {
	example.Serve(func(_ string, client *http.Client) http.Handler {
		client.Transport = &middleware.Transport{Base: client.Transport}
		session, err := connect(context.Background(), server(client), send)
		if err != nil {
			log.Fatal(err)
		}
		return service(session)
	})
}
