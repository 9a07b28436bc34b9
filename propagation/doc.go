// Package propagation carries trace headers from the request a service is
// serving to the calls it makes while serving it.
//
// In a service mesh the sidecars make the spans, but only the application
// knows which outgoing call belongs to which incoming request. It tells the
// sidecars by sending the headers that came in along with every call that it
// makes; Istio's [distributed tracing FAQ] says why it cannot be otherwise.
//
// A [Family] is a set of headers that mean something only together, such as
// [B3]. A [Families] is the list of the families that a service relays, by
// default [Istio]. [Families.Extract] takes a snapshot of them, a [Headers],
// which travels in the context and is written to the outgoing request byte for
// byte.
//
// Most services need only package middleware, which does all of this for
// net/http, or middleware/grpcrelay, which does it for gRPC. A service that makes
// spans of its own with OpenTelemetry sets the propagator of package otelprop
// instead:
//
//	otel.SetTextMapPropagator(otelprop.Propagator{})
//
// For other carriers, such as the headers of a message, [Headers.All] yields what
// to write and [Families.Collect] reads it; [Families.Receive] reads a carrier
// that is asked by name.
//
// # Trust
//
// Headers are relayed as they came, whoever sent them. At the edge of the mesh,
// the gateway or the Edge of package middleware must drop them from requests
// from outside; see docs/security.md in the repository.
//
// # Rules
//
//   - Values are relayed byte for byte, every value of a repeated header, in
//     order. Nothing absent or empty is ever sent, nor a value that net/http
//     would trim to nothing.
//   - A family travels whole or not at all: if the outgoing request has any
//     header of it already, even a nil one, none is added.
//   - The caller's request is never modified. If there is nothing to relay, the
//     very same request is sent, at no allocation.
//   - A family is dropped, and the others are kept, if net/http would refuse to
//     send one of its values, if its values exceed 8,192 bytes together, or if
//     they are more than 64 lines; tracestate may be dropped alone.
//     [Families.Check] says what is dropped and why. Tracing never makes a good
//     call fail.
//   - Every hop of a redirect is judged again by where it leads. To a place where
//     the headers may not go, nothing is sent of what came in.
//   - Work that outlives the request keeps its headers. Outside any request
//     there is nothing to relay.
//   - Headers that must never be relayed panic when the program starts.
//   - The ResponseWriter and the body pass through untouched.
//   - What [Headers.Only] leaves out does not travel, unless the outgoing request
//     has it already, as one that a reverse proxy forwards does.
//   - A snapshot that was taken with [Families.Collect] or [Families.Incoming]
//     shares no memory that its owner may write again.
//
// [distributed tracing FAQ]: https://istio.io/latest/about/faq/distributed-tracing/
package propagation
