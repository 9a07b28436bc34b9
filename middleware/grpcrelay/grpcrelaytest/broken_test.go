package grpcrelaytest_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/tracebaton/tracebaton/middleware/grpcrelay"
	"github.com/tracebaton/tracebaton/middleware/grpcrelay/grpcrelaytest"
	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/propagationtest"
)

// names are those that a loop copies.
var names = append(propagation.Istio().Names(), "grpc-trace-bin")

// loop is a service that copies metadata by hand.
func loop(change func(out, in metadata.MD)) grpcrelaytest.Service {
	return byHand(func(ctx context.Context) context.Context {
		in, _ := metadata.FromIncomingContext(ctx)
		out := make(metadata.MD)
		change(out, in)
		return metadata.NewOutgoingContext(ctx, out)
	})
}

// all copies every header as it is.
func all(out, in metadata.MD) {
	for _, name := range names {
		for _, v := range in[name] {
			if v != "" {
				out.Append(name, v)
			}
		}
	}
}

func TestACarefulLoopPasses(t *testing.T) {
	t.Parallel()
	grpcrelaytest.Run(t, loop(all))
}

func TestABrokenServiceFailsWithTheMessageThatNamesItsFault(t *testing.T) {
	t.Parallel()
	unaryOnly := relaying(propagation.Istio())
	unaryOnly.ServerOptions = []grpc.ServerOption{grpc.UnaryInterceptor(grpcrelay.UnaryServerInterceptor(propagation.Istio()))}
	unaryOnly.DialOptions = []grpc.DialOption{grpc.WithUnaryInterceptor(grpcrelay.UnaryClientInterceptor())}

	inside := relaying(propagation.Istio())
	inside.DialOptions = append(inside.DialOptions, grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return invoker(metadata.AppendToOutgoingContext(ctx, "x-request-id", newID(16)), method, req, reply, cc, opts...)
	}))

	var mu sync.Mutex
	var first metadata.MD

	for name, test := range map[string]struct {
		service grpcrelaytest.Service
		message string // a regular expression
	}{
		"drops all": {
			loop(func(_, _ metadata.MD) {}),
			"EmptyCall: headers of all families arrive together: none of the headers arrived",
		},
		"drops one header": {
			loop(func(out, in metadata.MD) { all(out, in); delete(out, "x-b3-spanid") }),
			"EmptyCall: headers of all families arrive together: x-b3-spanid was lost from",
		},
		"takes the first value only": {
			loop(func(out, in metadata.MD) {
				all(out, in)
				for name := range out {
					out[name] = out[name][:1]
				}
			}),
			"EmptyCall: every value of a repeated header arrives, in order: .*tracestate",
		},
		"has interceptors for unary calls only": {
			unaryOnly,
			"unary calls keep the headers and streams lose them: install the interceptors for streams too",
		},
		"calls with a context of its own": {
			func() grpcrelaytest.Service {
				s := relaying(propagation.Istio())
				s.Register = byHand(func(context.Context) context.Context { return context.Background() }).Register
				return s
			}(),
			"POST " + empty + "[^:]*(\n.*)?was made with a context that does not come from the request's, such as context.Background",
		},
		"copies all metadata, and adds a trace of its own": {
			func() grpcrelaytest.Service {
				s := loop(func(out, in metadata.MD) {
					for name, values := range in {
						if !strings.HasPrefix(name, ":") {
							out.Append(name, values...)
						}
					}
					if strings.Join(in["traceparent"], "") != "" {
						out.Append("traceparent", "00-"+in["traceparent"][0][3:35]+"-"+newID(16)+"-01")
					}
				})
				s.Spans = propagationtest.OwnSpans
				return s
			}(),
			"traceparent is there 2 times",
		},
		"adds a span of its own beside the caller's in another format": {
			func() grpcrelaytest.Service {
				s := loop(func(out, in metadata.MD) {
					if all(out, in); strings.Join(in["traceparent"], "") != "" {
						out.Set("traceparent", "00-"+in["traceparent"][0][3:35]+"-"+newID(16)+"-01")
					}
				})
				s.Spans = propagationtest.OwnSpans
				return s
			}(),
			"x-b3-spanid still names the caller's span",
		},
		"encodes grpc-trace-bin twice": {
			func() grpcrelaytest.Service {
				s := loop(func(out, in metadata.MD) {
					all(out, in)
					for i, v := range out["grpc-trace-bin"] {
						out["grpc-trace-bin"][i] = base64.StdEncoding.EncodeToString([]byte(v))
					}
				})
				s.Families = propagation.Istio().With(propagation.GRPCTraceBin)
				return s
			}(),
			": grpc-trace-bin arrived encoded twice",
		},
		"puts an ID of its own into a family of the caller's": {
			loop(func(out, in metadata.MD) {
				if all(out, in); strings.Join(in["x-b3-traceid"], "") != "" {
					out.Set("x-b3-traceid", newID(32))
				}
			}),
			"x-b3-\\* names another trace",
		},
		"keeps the headers of the first call": {
			loop(func(out, in metadata.MD) {
				mu.Lock()
				defer mu.Unlock()
				if first == nil && strings.Join(in["x-b3-traceid"], "") != "" {
					first = in.Copy()
				}
				all(out, first)
			}),
			"another request",
		},
		"sends what is absent as empty": {
			loop(func(out, in metadata.MD) {
				for _, name := range propagation.Istio().Names() {
					out.Set(name, strings.Join(in[name], ","))
				}
			}),
			"nothing is invented: .* arrived empty",
		},
		"adds a request ID inside of the relay": {
			inside,
			"x-request-id arrived as",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.service.Methods = each(empty, both)
			err := grpcrelaytest.Test(test.service)
			require.Error(t, err)
			if testing.Verbose() {
				t.Log("\n" + err.Error())
			}
			assert.Regexp(t, test.message, err.Error())
		})
	}
}

func newID(digits int) string {
	b := make([]byte, digits/2)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
