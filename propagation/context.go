package propagation

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// inlineValues is how many values fit into a snapshot without an allocation
// of their own: one of every header that this package knows.
const inlineValues = 24

// node is a context that carries a snapshot. It is a type of its own, not a
// context.WithValue, so that the snapshot's values can be part of it.
type node struct {
	context.Context
	headers Headers
}

type contextKey struct{}

// Value returns the node itself for this package's key: a pointer fits into
// the any without an allocation.
func (n *node) Value(key any) any {
	if _, ok := key.(contextKey); ok {
		return n
	}
	return n.Context.Value(key)
}

// String keeps the values out of a context that is printed.
func (n *node) String() string { return "propagation.NewContext" }

// newNode copies the values, so that they may be on the caller's stack. With
// joins, it has room for what a Propagator reads in them.
func newNode(ctx context.Context, t *table, mask uint64, from []string, joins bool) *node {
	var n *node
	var values []string
	var joined *received
	switch k := len(from); {
	case k <= 6 && joins:
		s := new(struct {
			node
			values [6]string
			joined received
		})
		n, values, joined = &s.node, s.values[:k:k], &s.joined
	case k <= 6:
		s := new(struct {
			node
			values [6]string
		})
		n, values = &s.node, s.values[:k:k]
	case k <= 12:
		s := new(struct {
			node
			values [12]string
		})
		n, values = &s.node, s.values[:k:k]
	case k <= inlineValues:
		s := new(struct {
			node
			values [inlineValues]string
		})
		n, values = &s.node, s.values[:k:k]
	default:
		n, values = new(node), make([]string, k)
	}
	if joins && joined == nil {
		joined = new(received)
	}
	copy(values, from)
	n.Context = ctx
	n.headers = Headers{t: t, mask: mask, values: values, joined: joined}
	return n
}

// NewContext returns a copy of ctx that carries h, in place of what ctx
// carries. With the zero Headers, calls made with the result carry nothing.
//
// Work that outlives its request keeps the headers with
// [context.WithoutCancel], or, leaving all else of the request behind, with
//
//	ctx := propagation.NewContext(context.Background(), propagation.FromContext(r.Context()))
//
// Headers that a [Propagator] has read bring their remote parent along where
// ctx has no span, so that spans started with the result join the trace, too.
// That is the caller's trace: where a public endpoint has begun one of its
// own, use context.WithoutCancel, which keeps the span.
//
// NewContext panics if ctx is nil.
func NewContext(ctx context.Context, h Headers) context.Context {
	if ctx == nil {
		panic("propagation: cannot carry headers in a nil context")
	}
	if h.mask == 0 && FromContext(ctx).mask == 0 {
		return ctx
	}
	n := newNode(ctx, h.t, h.mask, h.values, h.joined != nil)
	in := n.headers.joined
	if in == nil {
		return n
	}
	// A copy, as of the values: what h points to may be part of the context
	// that h is from, and would keep all of it in memory.
	*in = *h.joined
	if sc := trace.SpanContextFromContext(ctx); !sc.IsValid() {
		return n.join(in)
	} else if sc.TraceID() != in.traceID {
		n.headers.joined = nil
	}
	return n
}

// join returns n with the parent that its headers name as the remote span.
func (n *node) join(in *received) context.Context {
	n.headers.joined = in
	return trace.ContextWithRemoteSpanContext(n, in.parent(n.headers))
}

// FromContext returns the headers that ctx carries, or the zero Headers if it
// carries none: outside any request, there is nothing to relay. They keep ctx in
// memory; what is kept for later is better the result of [NewContext].
func FromContext(ctx context.Context) Headers {
	if ctx != nil {
		if n, ok := ctx.Value(contextKey{}).(*node); ok {
			return n.headers
		}
	}
	return Headers{}
}
