// Package propagation carries trace headers from the request a service is
// serving to the calls it makes while serving it.
//
// In a service mesh the sidecars make the spans, but only the application
// knows which outgoing call belongs to which incoming request. It tells the
// sidecars by sending the headers that came in along with every call that it
// makes; Istio's [distributed tracing FAQ] says why it cannot be otherwise.
//
// A [Family] is a set of headers that mean something only together, such as
// [B3]; a [Families] is the list of those that a service passes on, [Istio]
// unless said otherwise. Extract takes a snapshot of them, a [Headers], which
// travels in the context and is written to the outgoing request byte for byte.
//
// Most services need only package middleware, which does all of this for
// net/http, or middleware/grpcrelay, which does it for gRPC. A service that makes
// spans of its own with OpenTelemetry sets the propagator of package otelprop
// instead:
//
//	otel.SetTextMapPropagator(otelprop.Propagator{})
//
// Other carriers are written with [Headers.All] and read with
// [Families.Collect], such as the headers of a message, or read with
// [Families.Receive] where they are asked by name.
//
// # Trust
//
// Headers are relayed as they came, whoever sent them. At the edge of the mesh
// the gateway drops them from outside requests, or the Edge of package
// middleware does; see docs/security.md in the repository.
//
// # Rules
//
//   - Values are relayed byte for byte, every value of a repeated header, in
//     order. Nothing absent or empty is ever sent, nor what net/http would trim
//     to nothing.
//   - A family travels whole or not at all: if the outgoing request has any
//     header of it already, even a nil one, none is added.
//   - The caller's request is never modified. Where there is nothing to relay,
//     the very same request is sent, at no allocation.
//   - A family is left out, and the others are kept, when net/http would refuse
//     to send one of its values, when they exceed 8,192 bytes together, or when
//     they are more than 64 lines; tracestate may be left out alone.
//     [Families.Check] tells. Tracing never makes a good call fail.
//   - Every hop of a redirect is judged again by where it leads. Where the
//     headers may not go, nothing that came in leaves.
//   - Work that outlives the request keeps its headers. Outside any request
//     there is nothing to relay.
//   - Headers that must never be relayed panic when the program starts.
//   - The ResponseWriter and the body pass through untouched.
//   - What [Headers.Only] leaves out does not travel, unless the outgoing request
//     has it already, as one that a reverse proxy forwards does.
//   - A snapshot shares no memory that its owner writes again, if it was taken
//     with [Families.Collect] or [Families.Incoming].
//
// [distributed tracing FAQ]: https://istio.io/latest/about/faq/distributed-tracing/
package propagation
