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
// net/http. A service that makes spans of its own with OpenTelemetry sets a
// [Propagator] instead:
//
//	otel.SetTextMapPropagator(propagation.Propagator{})
//
// # Trust
//
// Headers are relayed as they came, whoever sent them. At the edge of the
// mesh, a gateway that drops them from outside requests decides what may start
// a trace; see docs/security.md in the repository.
//
// # Limits
//
// A family is dropped whole, and the others are kept, when net/http would
// refuse to send one of its values, when its values together exceed 8 KiB, or
// when there are more than 64 of them. One list holds at most 64 header names.
//
// [distributed tracing FAQ]: https://istio.io/latest/about/faq/distributed-tracing/
package propagation
