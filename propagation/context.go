package propagation

import "context"

// inline is how many values fit beside a context, and beside an outgoing
// request: as many as an Istio mesh sends. Values apart take one allocation more
// on each side.
const inline = 6

// node is a context that carries a snapshot. It is a type of its own, not a
// context.WithValue, so that the snapshot can be part of it.
type node struct {
	context.Context
	headers Headers
	room    [inline]field
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

// newNode copies the fields, so that they may be on the caller's stack.
func newNode(ctx context.Context, fields []field) *node {
	n := &node{Context: ctx}
	n.headers.fields = append(n.room[:0], fields...)
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
// NewContext panics if ctx is nil.
func NewContext(ctx context.Context, h Headers) context.Context {
	if ctx == nil {
		panic("propagation: cannot carry headers in a nil context")
	}
	if len(h.fields) == 0 && len(FromContext(ctx).fields) == 0 {
		return ctx
	}
	return newNode(ctx, h.fields)
}

// FromContext returns the headers that ctx carries, or the zero Headers if it
// carries none: outside any request, there is nothing to relay. They keep ctx in
// memory; to keep them alone for later, keep NewContext(context.Background(), h).
func FromContext(ctx context.Context) Headers {
	if ctx != nil {
		if n, ok := ctx.Value(contextKey{}).(*node); ok {
			return n.headers
		}
	}
	return Headers{}
}
