package grpcrelay

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/tracebaton/tracebaton/propagation"
)

// listWeight is how much gRPC's specification suggests that all headers of a call
// may weigh (PROTOCOL-HTTP2.md, Requests), and grpcWeight is more than gRPC's own
// do, such as :path and user-agent. maxWeight is how much the relayed headers may
// weigh together, so that the caller's own have the rest.
const (
	listWeight = 8 << 10
	grpcWeight = 512
	maxWeight  = 4 << 10
)

// lineWeight is what HTTP/2 counts for a header line beside its name and value
// (RFC 9113, section 6.5.2).
const lineWeight = 32

// UnaryServerInterceptor returns an interceptor that keeps the headers of f that
// come in with a unary call in the context of the method, as [Incoming] does.
func UnaryServerInterceptor(f propagation.Families) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return handler(Incoming(ctx, f), req)
	}
}

// StreamServerInterceptor returns an interceptor that keeps the headers of f
// that come in with a stream in the context of the stream, as [Incoming] does.
// A stream that brings none of them passes through as it is.
func StreamServerInterceptor(f propagation.Families) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx := ss.Context()
		if in := Incoming(ctx, f); in != ctx {
			ss = &serverStream{ss, in}
		}
		return handler(srv, ss)
	}
}

type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *serverStream) Context() context.Context { return s.ctx }

// UnaryClientInterceptor returns an interceptor that sends the headers in the
// context of a unary call with it, as [Outgoing] does.
func UnaryClientInterceptor() grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return invoker(Outgoing(ctx), method, req, reply, cc, opts...)
	}
}

// StreamClientInterceptor returns an interceptor that sends the headers in the
// context of a stream when it is opened, as [Outgoing] does.
func StreamClientInterceptor() grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		return streamer(Outgoing(ctx), desc, cc, method, opts...)
	}
}

// Incoming returns ctx with those headers of f that its incoming metadata has,
// where [propagation.FromContext] finds them; or ctx itself, at no allocation,
// if it has none. The server's interceptors are made of it. Use it in proxies,
// stats handlers and other places that have a context and no interceptor.
//
// Headers of other families that ctx carries already are kept. The bytes of
// grpc-trace-bin become unpadded base64, as HTTP carries it. Incoming drops what
// [propagation.Families.Extract] drops.
func Incoming(ctx context.Context, f propagation.Families) context.Context {
	return f.Receive(ctx, func(name string) []string {
		values := metadata.ValueFromIncomingContext(ctx, name)
		if isBinary(name) {
			for i, v := range values { // a copy
				values[i] = base64.RawStdEncoding.EncodeToString([]byte(v))
			}
		}
		return values
	})
}

// Outgoing returns ctx with the headers that it carries (see
// [propagation.FromContext]) in its outgoing metadata; or ctx itself, at no
// allocation, if there are none. The client's interceptors are made of it.
//
// If the metadata already has any key of a family, even one without values,
// Outgoing adds nothing of that family. So that the headers cannot make the call
// fail, Outgoing drops
//
//   - a family with a value that has other characters than those from space to
//     tilde, or with a name that has others than 0-9, a-z, hyphen, underscore and
//     dot, or tracestate alone if that is at fault;
//   - what goes beyond 4 KiB for all headers together, as HTTP/2 counts them
//     (name, value, and 32 bytes a line), or beyond what large metadata of the
//     caller's own leaves of 8 KiB: first tracestate, then whole families, the last
//     of the list first.
//
// ctx still carries what is dropped, for calls over HTTP.
func Outgoing(ctx context.Context) context.Context {
	h := propagation.FromContext(ctx)
	var refused []string
	carries, state := false, true
	for name, value := range h.All() {
		carries = true
		switch {
		case sendable(name, value):
		case name == tracestate:
			state = false
		default:
			refused = append(refused, name)
		}
	}
	if !carries {
		return ctx
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	h = h.Missing(func(name string) bool {
		_, ok := md[name]
		return ok || slices.Contains(refused, name)
	})
	var stack [32]string
	kv, last, weight := pairs(stack[:0], h, state)
	for most := room(md); weight > most; {
		if state {
			state = false
		} else {
			h = h.Missing(func(name string) bool { return name == last })
		}
		kv, last, weight = pairs(stack[:0], h, state)
	}
	if len(kv) == 0 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, kv...)
}

const tracestate = "tracestate"

// pairs appends to kv what gRPC is to send of h, with tracestate or without. It
// returns the name of the last header too, and what all weigh.
func pairs(kv []string, h propagation.Headers, state bool) (_ []string, last string, weight int) {
	for name, value := range h.All() {
		switch {
		case name == tracestate && !state:
			continue
		case isBinary(name):
			values, _ := decode(value)
			for _, v := range values {
				kv = append(kv, name, v)
				weight += weigh(name, v)
			}
		default:
			kv = append(kv, name, value)
			weight += weigh(name, value)
		}
		last = name
	}
	return kv, last, weight
}

// room returns how much the relayed headers of a call may weigh beside the
// caller's own.
func room(own metadata.MD) int {
	left := listWeight
	for name, values := range own {
		for _, v := range values {
			left -= weigh(name, v)
		}
	}
	if left < 0 {
		return maxWeight // the server takes more, or the call fails anyway
	}
	return min(maxWeight, max(0, left-grpcWeight))
}

// weigh returns what a line of metadata weighs.
func weigh(name, value string) int {
	n := len(value)
	if isBinary(name) {
		n = base64.RawStdEncoding.EncodedLen(n)
	}
	return lineWeight + len(name) + n
}

// sendable reports whether gRPC sends the header: it fails the call otherwise.
func sendable(name, value string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || 'z' < c) && (c < '0' || '9' < c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	if isBinary(name) {
		_, ok := decode(value)
		return ok
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || '~' < c {
			return false
		}
	}
	return true
}

// isBinary reports whether gRPC takes the header's values for bytes, which it
// sends as base64.
func isBinary(name string) bool { return strings.HasSuffix(name, "-bin") }

// decode returns the bytes that a binary header's value stands for: base64 with
// or without padding, of one value or of several joined with commas.
func decode(value string) (values []string, ok bool) {
	for part := range strings.SplitSeq(value, ",") {
		part = strings.TrimRight(strings.Trim(part, " \t"), "=")
		v, err := base64.RawStdEncoding.DecodeString(part)
		if err != nil {
			return nil, false
		}
		if len(v) > 0 {
			values = append(values, string(v))
		}
	}
	return values, true
}
